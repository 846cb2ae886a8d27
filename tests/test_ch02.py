"""The numbered equations of chapter 2, each held against something that is not the function it belongs to."""

import math

import pytest
import torch
from stepping import F64, close, normal
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from diffusion_book import elbo, gaussian_elbo
from diffusion_book.denoiser import Denoiser, FromFunction
from diffusion_book.exact import GaussianMixture
from diffusion_book.objectives import ImportanceSteps, denoising_loss, hybrid_loss
from diffusion_book.posterior import posterior
from diffusion_book.predictions import EPS, VELOCITY, X, loss_scale
from diffusion_book.samplers import ancestral
from diffusion_book.schedules import VE, VP, Cosine, Discrete, LinearPath

CHAIN = Discrete(torch.tensor([0.05, 0.1, 0.2, 0.4], dtype=F64))


class Draws:
    def __init__(self, *shape):
        self.shape, self.count = shape, 0

    def __call__(self):
        self.count += 1
        return normal(*self.shape, seed=self.count)


@pytest.mark.equation("eq-bound")
def test_the_three_terms_are_the_mean_of_minus_log_w_along_noised_paths():
    """-log p(x, x_1..K)/q(x_1..K | x) of whole paths, q told forwards and by its betas, against the terms."""
    n, x, f = 200_000, 37 / 127.5 - 1, lambda x_t: torch.tanh(1.1 * x_t - 0.3)
    denoiser = FromFunction(lambda x_t, t: f(x_t), CHAIN)
    before, log_q, path = torch.full((n,), x, dtype=F64), 0.0, []
    for k, beta in enumerate(CHAIN.betas.tolist()):
        step = Normal(math.sqrt(1 - beta) * before, math.sqrt(beta))
        before = step.mean + step.stddev * normal(n, seed=10 + k)
        log_q, path = log_q + step.log_prob(before), [*path, before]
    log_p = Normal(0.0, 1.0).log_prob(path[-1])
    bar = CHAIN.alpha_bar.tolist()
    for k in (4, 3, 2):
        beta, now = CHAIN.betas[k - 1].item(), path[k - 1]
        eps_hat = (now - math.sqrt(bar[k]) * f(now)) / math.sqrt(1 - bar[k])
        mean = (now - beta / math.sqrt(1 - bar[k]) * eps_hat) / math.sqrt(1 - beta)
        log_p = log_p + Normal(mean, math.sqrt(beta)).log_prob(path[k - 2])
    cdf = Normal(f(path[0]), math.sqrt(CHAIN.betas[0].item())).cdf
    log_p = log_p + (cdf(torch.tensor(x + 1 / 255)) - cdf(torch.tensor(x - 1 / 255))).log()
    along = log_q - log_p
    data = torch.full((n, 1), x, dtype=F64)
    terms = elbo.negative_elbo(denoiser, data, CHAIN.times(), Draws(n, 1), elbo.larger).total
    error = math.sqrt((along.var() + terms.var()).item() / n)
    assert abs(along.mean() - terms.mean()) < 4 * error
    prior = elbo.prior_kl(CHAIN, data)[0]
    assert prior > 10 * error  # a prior of the wrong sign, or left out, would show
    assert terms.std() < along.std()  # the KLs leave less to chance than the ratios


@pytest.mark.equation("eq-posterior-mean")
@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath(), VE()], ids=str)
def test_the_posterior_is_the_conditional_of_the_joint_gaussian(schedule):
    """(x_s, x_t) given x is Gaussian with covariance alpha_ts sigma_s^2: the regression of one on the other."""
    for t, s in [(0.9, 0.4), (0.5, 0.45)]:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
        covariance = alpha_t / alpha_s * sigma_s**2
        slope = covariance / sigma_t**2
        c_t, c_0, beta_tilde, _ = posterior(schedule, t, s)
        close([c_t, c_0, beta_tilde], [slope, alpha_s - slope * alpha_t, sigma_s**2 - slope * covariance])


@pytest.mark.equation("eq-posterior-eps")
@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_mean_of_a_step_seen_from_the_noise(k):
    eps_hat, x_t, z = normal(4, 3), normal(4, 3, seed=1), torch.zeros(4, 3, dtype=F64)
    alpha, sigma = CHAIN(k / 4)
    denoiser = FromFunction(lambda x_t, t: (x_t - sigma * eps_hat) / alpha, CHAIN)
    beta = CHAIN.betas[k - 1].item()
    expected = (x_t - beta / math.sqrt(1 - CHAIN.alpha_bar[k].item()) * eps_hat) / math.sqrt(1 - beta)
    close(ancestral(denoiser, x_t, k / 4, (k - 1) / 4, {}, lambda: z), expected)


@pytest.mark.equation("eq-gaussian-kl")
def test_the_price_of_a_wrong_gaussian_is_its_integral():
    line = torch.linspace(-40, 40, 400_001, dtype=F64)
    for m1, v1, m2, v2 in [(0.0, 1.0, 1.0, 4.0), (1.0, 4.0, 0.0, 1.0), (-0.5, 0.3, 0.2, 0.2)]:
        first, second = (-((line - m) ** 2) / (2 * v) - math.log(2 * math.pi * v) / 2 for m, v in ((m1, v1), (m2, v2)))
        close(elbo.gaussian_kl(m1, v1, m2, v2), torch.trapezoid(first.exp() * (first - second), line), 1e-9)


@pytest.mark.equation("eq-prior")
@pytest.mark.parametrize("schedule, t", [(VP(), 0.6), (LinearPath(), 0.8), (VE(), 1.0)], ids=str)
def test_the_prior_term_in_its_own_symbols(schedule, t):
    x, (alpha, sigma) = normal(3, 5), schedule(t)
    wide = math.sqrt(alpha**2 + sigma**2)
    expected = kl_divergence(Normal(alpha * x, sigma + 0 * x), Normal(0 * x, wide + 0 * x))
    close(elbo.prior_kl(schedule, x, t), expected.sum(1))


@pytest.mark.equation("eq-step", "eq-eps-error")
@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath()], ids=str)
def test_a_step_is_the_slice_of_snr_and_the_same_in_the_noise(schedule):
    x, eps, t, s = normal(4, 3), normal(4, 3, seed=1), 0.7, 0.55
    denoiser = FromFunction(lambda x_t, t: torch.sin(x_t), schedule)
    x_t = schedule(t)[0] * x + schedule(t)[1] * eps
    snr_t, snr_s = ((schedule(time)[0] / schedule(time)[1]) ** 2 for time in (t, s))
    term = elbo.diffusion_term(denoiser, x, t, s, eps)
    close(term, (snr_s - snr_t) / 2 * (x - torch.sin(x_t)).square().sum(1))
    eps_hat = (x_t - schedule(t)[0] * torch.sin(x_t)) / schedule(t)[1]
    close(term, (snr_s / snr_t - 1) / 2 * (eps - eps_hat).square().sum(1), 1e-9)
    close(loss_scale(EPS, schedule, t), snr_t)
    close((eps - eps_hat).square().sum(1), loss_scale(EPS, schedule, t) * (x - torch.sin(x_t)).square().sum(1), 1e-9)


@pytest.mark.equation("eq-continuous", "eq-gaussian-limit")
@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath()], ids=str)
def test_the_integral_of_the_continuous_loss_knows_the_ends_only(schedule):
    """A denoiser whose error is exactly 1 in each of 3 dimensions: the integral is 3/2 of the SNR's fall."""
    off = FromFunction(lambda x_t, t: torch.ones_like(x_t), schedule)
    x = torch.zeros(1, 3, dtype=F64)
    levels = torch.linspace(3.0, -3.0, 2001, dtype=F64)
    edges = schedule.inverse_logsnr(levels)
    middle = (edges[1:] + edges[:-1]) / 2
    loss = torch.cat([elbo.continuous_diffusion_loss(off, x, t, x) for t in middle.tolist()])
    close((loss * edges.diff()).sum(), 1.5 * (math.exp(3) - math.exp(-3)), 1e-4)
    # and of Gaussian data, where the error at a level is known
    data = GaussianMixture([1.0], [[0.0, 0.0]], [[[0.7, 0.1], [0.1, 0.05]]])
    error = gaussian_elbo.expected_error(data, schedule.logsnr(middle).exp())
    integral = (loss / 3 * error * edges.diff()).sum()
    close(gaussian_elbo.continuous_diffusion(data, schedule, edges[0].item(), edges[-1].item()), integral, 1e-4)


@pytest.mark.equation("eq-gaussian-error")
def test_the_error_of_the_best_guess_is_the_trace_of_the_conditional_covariance():
    S = torch.tensor([[0.7, 0.1], [0.1, 0.05]], dtype=F64)
    data = GaussianMixture([1.0], [[0.2, -0.4]], S[None])
    for snr in (0.01, 1.0, 40.0):
        alpha, sigma = math.sqrt(snr), 1.0
        gain = alpha * S @ torch.linalg.inv(alpha**2 * S + sigma**2 * torch.eye(2, dtype=F64))
        close(gaussian_elbo.expected_error(data, torch.tensor(snr, dtype=F64)), (S - alpha * gain @ S).trace(), 1e-10)


@pytest.mark.equation("eq-gaussian-limit")
def test_the_limit_is_a_difference_of_informations():
    """I(x; x_t) = H(x_t) - H(x_t | x), by torch's entropies."""
    S, schedule = torch.tensor([[0.7, 0.1], [0.1, 0.05]], dtype=F64), Cosine()
    data = GaussianMixture([1.0], [[0.2, -0.4]], S[None])

    def information(t):
        alpha, sigma = schedule(t)
        noise = sigma**2 * torch.eye(2, dtype=F64)
        zero = torch.zeros(2, dtype=F64)
        return MultivariateNormal(zero, alpha**2 * S + noise).entropy() - MultivariateNormal(zero, noise).entropy()

    close(gaussian_elbo.continuous_diffusion(data, schedule, 0.1, 0.8), information(0.1) - information(0.8), 1e-10)


@pytest.mark.equation("eq-decoder")
def test_the_decoder_gives_each_level_its_bucket_and_the_end_levels_all_beyond():
    u = torch.tensor([0, 1, 100, 254, 255])
    mean, deviation = torch.tensor(0.98, dtype=F64), 0.4
    edges = (torch.arange(257, dtype=F64) - 0.5) / 127.5 - 1
    edges[0], edges[-1] = -math.inf, math.inf
    P = Normal(mean, deviation).cdf(edges).diff()
    close(elbo.discretized_log_likelihood(u.double() / 127.5 - 1, mean, deviation).exp(), P[u], 1e-12)


@pytest.mark.equation("eq-bits")
@pytest.mark.parametrize("scale, low", [(127.5, -1.0), (128.0, -1.0), (2.0, 5.0)])
def test_a_change_of_the_ruler_does_not_change_the_bits(scale, low):
    """Uniform over 256 levels costs 8 bits in every unit x = u/scale + low."""
    nats = torch.tensor([10 * math.log(256 / scale)], dtype=F64)
    close(elbo.bits_per_dim(nats, 10, elbo.scaling_offset(scale)), [8.0])


class Net(nn.Module):
    """(eps_hat, output) with one parameter each."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value, dtype=F64)) for value in (0.3, 0.4))

    def forward(self, x, t, cond=None):
        return torch.cat([self.a * x, self.b + 0 * x], 1)


@pytest.mark.equation("eq-learned-variance")
def test_the_learned_variance_is_a_weighted_geometric_mean():
    denoiser, x_t = Denoiser(Net(), CHAIN, EPS), normal(5, 2)
    *_, beta_tilde, beta = posterior(CHAIN, 0.75, 0.5)
    nu = (0.4 + 1) / 2
    x_hat, log_variance = denoiser.with_log_variance(x_t, 0.75, 0.5)
    close(log_variance.exp(), torch.full((5, 2), beta**nu * beta_tilde ** (1 - nu), dtype=F64))
    close(x_hat, denoiser(x_t, 0.75), 0)


@pytest.mark.equation("eq-hybrid")
def test_the_hybrid_loss_is_the_simple_one_and_a_thousandth_of_the_bound():
    """Value by the sum; gradients: of the mean from the simple loss alone, of the variance from the bound alone."""
    net, x, eps = Net(), normal(5, 2), normal(5, 2, seed=1)
    denoiser, t = Denoiser(net, CHAIN, EPS), torch.full((5,), 0.75, dtype=F64)
    loss = hybrid_loss(denoiser, x, t, eps, 4)
    simple = denoising_loss(denoiser, x, t, eps)
    bits = elbo.step_kl(denoiser, x, 0.75, 0.5, eps, elbo.learned) / (2 * math.log(2))
    close(loss, simple + 0.001 * 4 * bits, 1e-12)
    got = torch.autograd.grad(loss.sum(), [net.a, net.b])
    close(got[0], torch.autograd.grad(simple.sum(), net.a)[0], 1e-12)
    close(got[1], 0.004 * torch.autograd.grad(bits.sum(), net.b)[0], 1e-12)


@pytest.mark.equation("eq-importance")
def test_no_law_of_steps_has_a_smaller_variance_than_that_of_the_roots():
    """L_k of deviation and mean of their own: the second moment of L_k/p_k, at the law and around it."""
    losses = normal(6, 10).exp() * torch.tensor([9.0, 4.0, 2.0, 1.0, 0.3, 0.1], dtype=F64)[:, None]
    law = ImportanceSteps(6, floor=0.0)
    for column in losses.T:
        law.record(torch.arange(1, 7, dtype=F64) / 6, column)
    p, second = law.probabilities, losses.square().mean(1)
    close(p.sum(), 1.0)
    at = (second / p).sum()
    close(at, second.sqrt().sum() ** 2)
    for i in range(20):
        other = p * (0.2 * normal(6, seed=i)).exp()
        assert (second / (other / other.sum())).sum() > at


def test_weights_of_the_training_losses_as_the_chapter_writes_them():
    """w = 2 p(t) |dt/dlogsnr| times the ratio of errors: sech(l/2)/pi on the cosine, e^(-l/2) for the velocity."""
    t = torch.linspace(0.05, 0.95, 19, dtype=F64)
    for schedule, prediction, expected in (
        (Cosine(), EPS, lambda l: 1 / torch.cosh(l / 2) / math.pi),
        (LinearPath(), VELOCITY, lambda l: torch.exp(-l / 2)),
    ):
        alpha, sigma = schedule(t)
        speed = schedule.diffusion(t) ** 2 / sigma**2
        w = 2 / speed * loss_scale(prediction, schedule, t) * sigma**2 / alpha**2
        close(w, expected(schedule.logsnr(t)), 1e-9)
    close(loss_scale(X, Cosine(), t), torch.ones(19))


def test_the_best_variance_leaves_no_excess_on_gaussian_data():
    """v = beta_tilde + c_0^2 l/(1 + l SNR) in the KL of a step, its mean over the data: the information of the step."""
    l, schedule = 0.3, VP()
    for t, s in [(0.9, 0.1), (0.5, 0.45)]:
        _, c_0, beta_tilde, beta = posterior(schedule, t, s)
        spread = c_0**2 * l / (1 + l * math.exp(schedule.logsnr(t)))
        best = beta_tilde + spread

        def price(v, beta_tilde=beta_tilde, spread=spread):
            return (math.log(v / beta_tilde) + (beta_tilde + spread) / v - 1) / 2

        data = GaussianMixture([1.0], [[0.0]], [l])
        close(price(best), gaussian_elbo.continuous_diffusion(data, schedule, s, t), 1e-9)
        assert price(beta) > price(best) < price(beta_tilde)
