"""The bound: every term against its paper's form, the decoder by integration, and the exact laboratory."""

import math

import pytest
import torch
from stepping import F64, close, normal
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from diffusion_book import grids
from diffusion_book.denoiser import FromFunction
from diffusion_book.elbo import (
    bits_per_dim,
    continuous_diffusion_loss,
    dequantize,
    diffusion_term,
    discretized_log_likelihood,
    gaussian_kl,
    larger,
    learned,
    negative_elbo,
    prior_kl,
    reconstruction_term,
    scaling_offset,
    smaller,
    step_kl,
)
from diffusion_book.errors import BookError
from diffusion_book.exact import EmpiricalDenoiser, GaussianMixture
from diffusion_book.gaussian_elbo import (
    continuous_diffusion,
    entropy,
    expected_diffusion,
    expected_error,
    expected_prior,
    expected_reconstruction,
    gaussian_elbo,
)
from diffusion_book.predictions import expand
from diffusion_book.samplers import prior
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, LinearPath

K = 8
BETAS = torch.linspace(0.02, 0.3, K, dtype=F64)
CHAIN = Discrete(BETAS)
GRID = torch.arange(256, dtype=F64) / 127.5 - 1


def curved(schedule):
    """A denoiser that is nobody's posterior mean, and takes a time a row."""
    return FromFunction(lambda x_t, t: torch.tanh(1.3 * x_t + expand(t, x_t)), schedule)


def ddpm(k):
    """alpha_bar_k, alpha_bar_{k-1}, beta_k and beta_tilde_k, k = 1..K, by the product of Ho et al."""
    alpha_bar, before = (math.prod(1 - b for b in BETAS[:n].tolist()) for n in (k, k - 1))
    beta = BETAS[k - 1].item()
    return alpha_bar, before, beta, (1 - before) / (1 - alpha_bar) * beta


def ddpm_mean(k, x, x_t):
    """Ho et al. 2020, eq. 7."""
    alpha_bar, before, beta, _ = ddpm(k)
    return (math.sqrt(before) * beta * x + math.sqrt(1 - beta) * (1 - before) * x_t) / (1 - alpha_bar)


def ddpm_noised(k, x, eps):
    return math.sqrt(ddpm(k)[0]) * x + math.sqrt(1 - ddpm(k)[0]) * eps


def torch_kl(mean1, var1, mean2, var2):
    p, q = (
        Normal(*torch.broadcast_tensors(mean, torch.as_tensor(var, dtype=F64).sqrt()))
        for mean, var in ((mean1, var1), (mean2, var2))
    )
    return kl_divergence(p, q)


# Gaussians


def test_gaussian_kl_is_that_of_torch():
    mean1, mean2, var1, var2 = normal(5, 3), normal(5, 3, seed=1), normal(5, 1, seed=2).exp(), normal(3, seed=3).exp()
    close(gaussian_kl(mean1, var1, mean2, var2), torch_kl(mean1, var1, mean2, var2))
    close(gaussian_kl(0.0, 1.0, 2.0, 4.0), math.log(2) + 1 / 8 + 4 / 8 - 1 / 2)


def test_gaussian_kl_keeps_its_digits_where_the_two_nearly_agree():
    close(gaussian_kl(0.3, 1.0 + 1e-7, 0.3, 1.0) * 1e14, 0.25, 1e-6)  # (var1/var2 - 1)^2/4
    assert gaussian_kl(0.3, 0.7, 0.3, 0.7) == 0


@pytest.mark.parametrize("var1, var2", [(0.0, 1.0), (1.0, -1.0), (1.0, math.nan)])
def test_gaussian_kl_refuses_what_is_no_variance(var1, var2):
    with pytest.raises(BookError, match="variances must be positive"):
        gaussian_kl(0.0, var1, 0.0, var2)


@pytest.mark.parametrize("schedule, t", [(VP(), 1.0), (VP(), 0.4), (VE(), 1.0), (EDM(), 0.1), (LinearPath(), 0.7)])
def test_prior_term_is_against_the_law_that_samples_start_from(schedule, t):
    x = normal(4, 2, 3)
    alpha, sigma = schedule(t)
    spread = prior(schedule, lambda: torch.ones(1, dtype=F64), t).item()  # what samplers multiply their noise with
    expected = torch_kl(alpha * x, sigma**2, torch.zeros_like(x), spread**2).sum((1, 2))
    close(prior_kl(schedule, x, t), expected)


def test_prior_term_vanishes_where_no_signal_is_left():
    close(prior_kl(Cosine(), normal(4, 2)), torch.zeros(4), 0)


# The steps, in Ho's symbols


@pytest.mark.parametrize("k", [2, 5, K])
def test_a_step_is_the_kl_between_the_two_posteriors_of_ddpm(k):
    x, eps, denoiser = normal(4, 3), normal(4, 3, seed=1), curved(CHAIN)
    x_t = ddpm_noised(k, x, eps)
    x_hat, (_, _, beta, beta_tilde) = denoiser(x_t, k / K), ddpm(k)
    for variance, value in ((smaller, beta_tilde), (larger, beta)):
        expected = torch_kl(ddpm_mean(k, x, x_t), beta_tilde, ddpm_mean(k, x_hat, x_t), value).sum(1)
        close(step_kl(denoiser, x, k / K, (k - 1) / K, eps, variance), expected, 1e-10)
        if variance is smaller:
            close(diffusion_term(denoiser, x, k / K, (k - 1) / K, eps), expected, 1e-10)


def test_a_step_in_the_noise_is_eq_12_of_ho():
    """beta^2/(2 beta_tilde (1 - beta)(1 - alpha_bar)) |eps - eps_hat|^2, each row at its own step."""
    x, eps, denoiser = normal(3, 2, 2), normal(3, 2, 2, seed=1), curved(CHAIN)
    t = torch.tensor([2, 4, K], dtype=F64) / K
    terms = diffusion_term(denoiser, x, t, t - 1 / K, eps)
    for i, k in enumerate((2, 4, K)):
        alpha_bar, _, beta, beta_tilde = ddpm(k)
        x_t = ddpm_noised(k, x[i : i + 1], eps[i : i + 1])
        eps_hat = (x_t - math.sqrt(alpha_bar) * denoiser(x_t, k / K)) / math.sqrt(1 - alpha_bar)
        factor = beta**2 / (2 * beta_tilde * (1 - beta) * (1 - alpha_bar))
        close(terms[i], factor * (eps[i] - eps_hat[0]).square().sum(), 1e-10)


@pytest.mark.parametrize("schedule", [VP(), Cosine(), VE(), LinearPath()], ids=str)
def test_the_two_forms_of_a_step_agree_on_every_schedule(schedule):
    x, eps = normal(4, 3), normal(4, 3, seed=1)
    for t, s in [(0.9, 0.5), (0.5, 0.49), (0.2, 0.01)]:
        term = diffusion_term(curved(schedule), x, t, s, eps)
        close(step_kl(curved(schedule), x, t, s, eps), term, 1e-9)
    level_s, level_t = (math.exp(schedule.logsnr(time)) for time in (s, t))
    x_hat = curved(schedule)(schedule(t)[0] * x + schedule(t)[1] * eps, t)
    close(term, (level_s - level_t) / 2 * (x - x_hat).square().sum(1), 1e-9)


def test_the_first_step_from_pure_noise_counts_the_whole_snr():
    x, eps, denoiser = normal(4, 3), normal(4, 3, seed=1), curved(Cosine())
    expected = 1 / math.tan(math.pi / 2 * 0.9) ** 2 / 2 * (x - denoiser(eps, 1.0)).square().sum(1)
    close(diffusion_term(denoiser, x, 1.0, 0.9, eps), expected)


@pytest.mark.parametrize("schedule", [VP(), Cosine(), VE(), LinearPath()], ids=str)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.97])
def test_the_continuous_loss_is_the_rate_of_the_steps_and_g2_over_sigma2(schedule, t):
    x, eps, denoiser = normal(4, 3), normal(4, 3, seed=1), curved(schedule)
    loss = continuous_diffusion_loss(denoiser, x, t, eps)
    rate, (alpha, sigma) = 1e-5, schedule(t)
    close(diffusion_term(denoiser, x, t, t - rate, eps) / rate / loss, torch.ones(4), 2e-3)
    x_hat = denoiser(alpha * x + sigma * eps, t)
    fall = schedule.diffusion(t) ** 2 / sigma**2
    close(loss, fall * math.exp(schedule.logsnr(t)) / 2 * (x - x_hat).square().sum(1), 1e-9)
    close(continuous_diffusion_loss(denoiser, x, torch.full((4,), t, dtype=F64), eps), loss)


def test_the_continuous_loss_is_finite_without_signal_and_refuses_the_clean_end():
    x, eps = normal(4, 3), normal(4, 3, seed=1)
    close(continuous_diffusion_loss(curved(Cosine()), x, 1.0, eps), torch.zeros(4), 0)
    with pytest.raises(BookError, match="infinite at t = 0.0: use t >= 1e-05"):
        continuous_diffusion_loss(curved(VP()), x, 0.0, eps)
    with pytest.raises(BookError, match="scored by `reconstruction_term`"):
        diffusion_term(curved(VP()), x, 0.5, 0.0, eps)
    with pytest.raises(BookError, match="must agree"):
        diffusion_term(curved(VP()), x, 0.5, 0.1, eps[:2])


# The decoder


def mass(low, high, mean, deviation):
    """By Simpson's rule within 12 deviations of the mean, where all of the mass is."""
    low, high = max(low, mean - 12 * deviation), min(high, mean + 12 * deviation)
    if high <= low:
        return 0.0
    z = torch.linspace(low, high, 4001, dtype=F64)
    weights = torch.full((4001,), 2.0, dtype=F64)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    density = torch.exp(-(((z - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return ((weights * density).sum() * (high - low) / 12000).item()


@pytest.mark.parametrize("mean, deviation", [(0.0, 0.1), (0.93, 0.05), (-0.37, 0.004), (-1.2, 0.3), (0.1, 3.0)])
def test_bins_hold_the_integral_of_the_density_and_the_end_bins_all_beyond(mean, deviation):
    P = discretized_log_likelihood(GRID, torch.tensor(mean, dtype=F64), deviation).exp()
    for u in (0, 1, 77, 128, 200, 254, 255):
        low = -math.inf if u == 0 else (u - 0.5) / 127.5 - 1
        high = math.inf if u == 255 else (u + 0.5) / 127.5 - 1
        close(P[u], mass(low, high, mean, deviation), 1e-10)


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.013, 0.5, 1.0, 1.4])
@pytest.mark.parametrize("deviation", [1e-4, 0.01, 0.3, 20.0])
def test_the_256_probabilities_sum_to_1(mean, deviation):
    P = discretized_log_likelihood(GRID, torch.tensor(mean, dtype=F64), torch.tensor(deviation, dtype=F64)).exp()
    close(P.sum(), 1.0, 1e-12)


@pytest.mark.parametrize("mean, u, deviation", [(1.0, 20, 0.05), (-1.0, 230, 0.05), (0.3, 100, 0.02)])
def test_far_from_the_mean_the_digits_stay(mean, u, deviation):
    near = abs(u / 127.5 - 1 - mean) - 1 / 255
    root = math.sqrt(2) * deviation
    expected = math.log((math.erfc(near / root) - math.erfc((near + 2 / 255) / root)) / 2)
    value = discretized_log_likelihood(GRID[u], torch.tensor(mean, dtype=F64), deviation)
    close(value / expected, 1.0, 1e-11)


def test_very_far_values_and_their_gradients_are_finite_also_in_float32():
    x = torch.tensor([-1.0, 2 / 255 - 1, 1 - 2 / 255, 1.0, 1.0])
    mean = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0], requires_grad=True)
    deviation = torch.full((5,), 1e-3, requires_grad=True)
    value = discretized_log_likelihood(x, mean, deviation)
    assert value.dtype == torch.float32
    # the bin's near edge is z deviations away: log P = -z^2/2 up to a few nats
    z = (2 - torch.tensor([1.0, 3.0, 3.0, 1.0]) / 255) / 1e-3
    close(value[:4] / (-(z**2) / 2), torch.ones(4), 1e-4)
    close(value[4], 0.0, 1e-4)
    value.sum().backward()
    assert mean.grad.isfinite().all()
    assert deviation.grad.isfinite().all()


def test_the_decoder_refuses_values_between_the_bins_and_no_deviation():
    zero = torch.zeros((), dtype=F64)
    for x in (dequantize(torch.tensor([7, 200]), dtype=F64), GRID[:3] - 2 / 255, GRID[-3:] + 2 / 255):
        with pytest.raises(BookError, match="8-bit values"):
            discretized_log_likelihood(x, zero, 0.1)
    with pytest.raises(BookError, match="deviation must be positive"):
        discretized_log_likelihood(GRID, zero, 0.0)
    discretized_log_likelihood(GRID.float(), zero, 0.1)  # the grid in float32 is on the grid


# The whole bound


def pixels(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(5)).double() / 127.5 - 1


class Draws:
    """noise() for a known sequence."""

    def __init__(self, shape):
        self.shape, self.all = shape, []

    def __call__(self):
        self.all.append(normal(*self.shape, seed=len(self.all)))
        return self.all[-1]


@pytest.mark.parametrize("variance", [smaller, larger])
def test_the_bound_of_a_chain_is_that_of_ddpm_term_by_term(variance):
    x, denoiser, noise = pixels(3, 2, 2), curved(CHAIN), Draws((3, 2, 2))
    bound = negative_elbo(denoiser, x, CHAIN.times(), noise, variance)
    assert len(noise.all) == K
    expected = torch_kl(math.sqrt(ddpm(K)[0]) * x, 1 - ddpm(K)[0], torch.zeros_like(x), 1.0).sum((1, 2))
    close(bound.prior, expected)
    total = expected
    for k in range(2, K + 1):
        x_t = ddpm_noised(k, x, noise.all[k - 1])
        _, _, beta, beta_tilde = ddpm(k)
        means = ddpm_mean(k, x, x_t), ddpm_mean(k, denoiser(x_t, k / K), x_t)
        expected = torch_kl(means[0], beta_tilde, means[1], beta if variance is larger else beta_tilde).sum((1, 2))
        close(bound.steps[:, k - 2], expected, 1e-10)
        total = total + expected
    # L_0: beta_1, or beta_tilde_2 for the beta_tilde_1 = 0 that has no logarithm
    deviation = math.sqrt(BETAS[0].item() if variance is larger else ddpm(2)[3])
    x_hat = denoiser(ddpm_noised(1, x, noise.all[0]), 1 / K)
    cdf = Normal(x_hat, deviation).cdf
    bins = torch.where(x == 1, 1.0, cdf(x + 1 / 255)) - torch.where(x == -1, 0.0, cdf(x - 1 / 255))
    close(bound.reconstruction, -bins.log().sum((1, 2)), 1e-8)
    close(bound.total, total + bound.reconstruction, 1e-10)
    close(bound.diffusion, bound.steps.sum(1))
    close(bound.bits_per_dim(4), bound.total / 4 / 0.6931471805599453)


def test_grids_may_rise_or_fall_and_hold_0_or_not():
    x, denoiser = pixels(3, 2), curved(CHAIN)
    first = negative_elbo(denoiser, x, CHAIN.times(), Draws((3, 2)))
    for times in (CHAIN.times().flip(0), CHAIN.times()[1:], CHAIN.times()[1:].flip(0)):
        close(negative_elbo(denoiser, x, times, Draws((3, 2))).total, first.total, 0)
    short = negative_elbo(denoiser, x, [0.5, 0.25], Draws((3, 2)))
    close(short.prior, prior_kl(CHAIN, x, 0.5), 0)
    close(short.reconstruction, reconstruction_term(denoiser, x, 0.25, normal(3, 2)), 0)
    assert short.steps.shape == (3, 1)
    assert negative_elbo(denoiser, x, [1.0], Draws((3, 2)), larger).steps.shape == (3, 0)


@pytest.mark.parametrize("times", [[], [0.0], [0.5, 0.2, 0.3], [0.5, 0.5], [-0.1, 1.0], [0.5, 1.1]])
def test_other_grids_are_refused(times):
    with pytest.raises(BookError, match="rise or fall strictly"):
        negative_elbo(curved(CHAIN), pixels(3, 2), times, Draws((3, 2)))


def test_a_single_step_from_noise_has_no_smaller_variance_and_no_learned_one():
    with pytest.raises(BookError, match="more than one step from t = 1 to 0"):
        negative_elbo(curved(CHAIN), pixels(3, 2), [1.0], Draws((3, 2)))
    with pytest.raises(BookError, match="no learned variance"):
        negative_elbo(curved(CHAIN), pixels(3, 2), CHAIN.times(), Draws((3, 2)), learned)


def test_a_fair_coin_costs_one_bit_and_never_less():
    """x = -1 or 1 with equal chance: the exact denoiser's bound is 1 bit from above, in the limit of fine steps."""
    x = torch.tensor([[-1.0], [1.0]], dtype=F64).repeat(500, 1)
    denoiser, seen = EmpiricalDenoiser(x[:2], Cosine()), {}
    for n in (64, 512):
        times = grids.logsnr(n, Cosine(), end=1e-3)  # sigma = 0.0016: less than half a bin
        bits = negative_elbo(denoiser, x, times, Draws((1000, 1))).bits_per_dim(1)
        seen[n] = bits.mean().item(), bits.std().item() / math.sqrt(1000)
    (rough, _), (fine, error) = seen[64], seen[512]
    assert 1 - 4 * error < fine < 1.08
    assert fine + 0.1 < rough
    assert abs(fine * math.log(2) - 1) > 10 * error  # nats taken for bits


# Units


def test_uniform_data_cost_8_bits_a_dimension_under_both_scalings():
    """A density of 1/length over the 256 bins: log2(length) and the offset make 8."""
    for scale, length in ((127.5, 256 / 127.5), (128.0, 2.0)):
        nats = torch.tensor([3072 * math.log(length)], dtype=F64)
        close(bits_per_dim(nats, 3072, scaling_offset(scale)), [8.0])
    assert scaling_offset(128) == 7
    assert scaling_offset() == pytest.approx(6.994353436858858, abs=1e-14)


def test_bits_per_dim_by_hand():
    close(bits_per_dim(torch.tensor([6000.0, 0.0], dtype=F64), 3072), [2.81776375, 0.0], 1e-8)  # 6000/2129.3481
    close(bits_per_dim(torch.tensor([-12000.0], dtype=F64), 3072, 7), [7 - 2 * 2.81776375], 1e-8)


def test_dequantized_values_are_spread_evenly_over_their_own_bins():
    u = torch.arange(256, dtype=torch.uint8).repeat(40, 1)
    x = dequantize(u, seed=3, dtype=F64)
    inside = (x + 1) * 128 - u
    assert x.min() >= -1
    assert x.max() < 1
    assert ((inside >= 0) & (inside < 1)).all()
    assert abs(inside.mean() - 0.5) < 4 * math.sqrt(1 / 12 / inside.numel())
    assert abs(inside.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / inside.numel())
    assert torch.equal(x.float(), dequantize(u, seed=3))
    assert not torch.equal(x.float(), dequantize(u, seed=4))


# The exact laboratory

ROUND = GaussianMixture([1.0], [[0.3, -0.2]], [0.25])
LONG = GaussianMixture([1.0], [[0.3, -0.2]], [[[0.5, 0.2], [0.2, 0.3]]])
laboratories = pytest.mark.parametrize("data", [ROUND, LONG], ids=["round", "long"])


def test_the_error_of_the_best_denoiser_by_hand():
    alpha, sigma = VP()(0.3)
    error = 2 * 0.25 * sigma**2 / (alpha**2 * 0.25 + sigma**2)
    close(expected_error(ROUND, torch.tensor([(alpha / sigma) ** 2, 0.0], dtype=F64)), [error, 0.5])
    posterior = LONG.posterior(torch.zeros(2), alpha, sigma)
    close(expected_error(LONG, torch.tensor((alpha / sigma) ** 2, dtype=F64)), posterior.covariance.trace(), 1e-10)


@laboratories
def test_expected_terms_are_the_means_of_the_drawn_ones(data):
    schedule, n = VP(), 20_000
    x, eps, times = data.sample(n, 0), normal(n, 2, seed=1), torch.tensor([0.1, 0.3, 0.8], dtype=F64)
    expected = expected_diffusion(data, schedule, times)
    for i, (s, t) in enumerate([(0.1, 0.3), (0.3, 0.8)]):
        drawn = diffusion_term(data.denoiser(schedule), x, t, s, eps)
        assert abs(drawn.mean() - expected[i]) < 4 * drawn.std() / math.sqrt(n)
    drawn = prior_kl(schedule, x, 0.3)
    assert abs(drawn.mean() - expected_prior(data, schedule, 0.3)) < 4 * drawn.std() / math.sqrt(n)
    alpha, sigma = schedule(0.1)
    x_t, cov = alpha * x + sigma * eps, data.posterior(torch.zeros(2), alpha, sigma).covariance
    drawn = -MultivariateNormal(data.denoise(x_t, alpha, sigma), cov).log_prob(x)
    assert abs(drawn.mean() - expected_reconstruction(data, schedule, 0.1)) < 4 * drawn.std() / math.sqrt(n)


@laboratories
def test_the_entropy_is_that_of_torch(data):
    close(entropy(data), MultivariateNormal(data.mean, data.covariance).entropy())


@laboratories
@pytest.mark.parametrize("schedule", [VP(), LinearPath(), EDM(3.0)], ids=str)
def test_the_limit_is_the_integral_of_the_continuous_loss(data, schedule):
    """E of `continuous_diffusion_loss` at a time, the rate of the SNR by differences, summed by the midpoint rule."""
    edges = torch.linspace(0.1, 0.9, 4001, dtype=F64)
    middle = (edges[:-1] + edges[1:]) / 2
    fall = -schedule.logsnr(edges).exp().diff()
    integral = (fall / 2 * expected_error(data, schedule.logsnr(middle).exp())).sum()
    close(continuous_diffusion(data, schedule, 0.1, 0.9), integral, 1e-5)
    n, t = 20_000, 0.4
    x, eps = data.sample(n, 0), normal(n, 2, seed=1)
    drawn = continuous_diffusion_loss(data.denoiser(schedule), x, t, eps)
    rate = (
        continuous_diffusion(data, schedule, t, t + 1e-5) - continuous_diffusion(data, schedule, t, t - 1e-5)
    ) / 2e-5
    assert abs(drawn.mean() - rate) < 4 * drawn.std() / math.sqrt(n)


@laboratories
@pytest.mark.parametrize("schedule, times", [(VP(), grids.uniform(30)), (EDM(3.0), grids.uniform(50).flip(0))])
def test_what_is_lost_is_the_excess_and_the_mismatch_of_the_prior(data, schedule, times):
    bound, (alpha, sigma) = gaussian_elbo(data, schedule, times), schedule(1.0)
    noise = Independent(Normal(torch.zeros(2, dtype=F64), math.sqrt(alpha**2 + sigma**2)), 1)
    end = data.diffused(alpha, sigma)
    start = MultivariateNormal(noise.mean, torch.diag(noise.variance))
    floor = kl_divergence(MultivariateNormal(end.mean, end.covariance), start).item()
    assert floor > 0
    assert bound.excess > 0
    close(bound.gap, bound.excess + floor, 1e-9)
    close(bound.total, entropy(data) + bound.gap, 1e-12)


def slope(sizes, values):
    x, y = (torch.tensor(v, dtype=F64).log() for v in (sizes, values))
    return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


@laboratories
@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath()], ids=str)
def test_the_excess_falls_as_1_over_K_on_a_grid_uniform_in_logsnr_and_that_in_t_is_far_worse(data, schedule):
    first, last, sizes = 1e-3, 0.999, [80, 160, 320, 640]
    level, even = [], []
    for n in sizes:
        level.append(gaussian_elbo(data, schedule, grids.logsnr(n + 1, schedule, last, first)).excess)
        even.append(gaussian_elbo(data, schedule, grids.uniform(n, last, first)).excess)
    assert abs(slope(sizes, level) + 1) < 0.05
    assert abs(slope(sizes[2:], level[2:]) + 1) < 0.025  # and nearer to 1 as it goes
    assert all(e > 10 * l for e, l in zip(even, level, strict=True))


def test_the_excess_is_half_the_step_times_what_the_steps_have_left_over():
    """With f = SNR E|x - x_hat|^2/2 over the log-SNR, in steps of h: the sum of (e^h - 1) f at the noisier ends is
    (1 + h/2) (limit - h/2 (f(first) - f(last))) to first order, so the excess is h/2 (limit - f(first) + f(last))."""
    schedule, first, last, n = VP(), 1e-3, 0.999, 2000
    f = [level.exp() / 2 * expected_error(LONG, level.exp()) for level in schedule.logsnr(torch.tensor([first, last]))]
    bound = gaussian_elbo(LONG, schedule, grids.logsnr(n + 1, schedule, last, first))
    h = (schedule.logsnr(first) - schedule.logsnr(last)) / n
    assert bound.excess == pytest.approx(h / 2 * (bound.limit - (f[0] - f[1]).item()), rel=0.01)


def test_the_laboratory_asks_for_one_gaussian_and_two_times():
    two = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.1, 0.1])
    with pytest.raises(BookError, match="this mixture has 2"):
        gaussian_elbo(two, VP(), grids.uniform(4))
    with pytest.raises(BookError, match="two times above 0"):
        gaussian_elbo(ROUND, VP(), [0.0, 0.5])


def test_any_function_may_be_scored():
    """The bound holds for a poor denoiser too: it only costs more."""
    x, best = pixels(200, 2), FromFunction(lambda x_t, t: x_t / CHAIN(t)[0], CHAIN)
    poor = FromFunction(lambda x_t, t: 0 * x_t, CHAIN)
    costs = [negative_elbo(d, x, CHAIN.times(), Draws((200, 2))).bits_per_dim(2).mean() for d in (best, poor)]
    assert 8 < costs[0] < costs[1]
