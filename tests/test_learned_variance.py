"""Learned variances, the hybrid loss and importance-sampled steps: against DDPM's symbols and exact moments."""

import math

import pytest
import torch
from stepping import F64, close, forbidden, normal, take
from torch import nn
from torch.distributions import Normal, kl_divergence

from diffusion_book.denoiser import Denoiser, FromFunction, clipped
from diffusion_book.elbo import learned, negative_elbo, step_kl
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.grids import uniform
from diffusion_book.nets.unet import UNet, UNetConfig
from diffusion_book.objectives import ImportanceSteps, Steps, denoising_loss, hybrid_loss, spread
from diffusion_book.posterior import log_variance_range, posterior
from diffusion_book.predictions import EPS, V, X
from diffusion_book.samplers import ancestral, ancestral_beta, ancestral_learned, sample, trajectory
from diffusion_book.schedules import VE, VP, Cosine, Discrete, LinearPath

K = 10
BETAS = torch.linspace(0.01, 0.25, K, dtype=F64)
CHAIN = Discrete(BETAS)


def ddpm(k):
    """alpha_bar_k, alpha_bar_{k-1}, beta_k and beta_tilde_k, k = 1..K, by the product of Ho et al."""
    alpha_bar, before = (math.prod(1 - b for b in BETAS[:n].tolist()) for n in (k, k - 1))
    beta = BETAS[k - 1].item()
    return alpha_bar, before, beta, (1 - before) / (1 - alpha_bar) * beta


class Net(nn.Module):
    """(y, output) = (a f(x, t), c g(x, t)) side by side in the channels, counting its calls."""

    def __init__(self, y, output):
        super().__init__()
        self.y, self.output, self.calls = y, output, 0
        self.a, self.c = (nn.Parameter(torch.ones((), dtype=F64)) for _ in range(2))

    def forward(self, x, t, cond=None):
        self.calls += 1
        t = t.reshape(-1, *[1] * (x.ndim - 1))
        return torch.cat([self.a * self.y(x, t), self.c * self.output(x, t) + 0 * x], 1)


def model(output=lambda x, t: torch.sin(3 * x), schedule=CHAIN, prediction=EPS, y=lambda x, t: torch.tanh(x + t)):
    return Denoiser(Net(y, output), schedule, prediction).given(None)


def constant(value):
    return lambda x, t: torch.full_like(x, value)


# The range and the interpolation


@pytest.mark.parametrize("k", [2, 6, K])
def test_the_range_runs_from_beta_tilde_to_beta(k):
    *_, beta, beta_tilde = ddpm(k)
    close(log_variance_range(CHAIN, k / K, (k - 1) / K), [math.log(beta_tilde), math.log(beta)])


def test_at_the_last_step_beta_tilde_is_that_of_the_next_one():
    low, high = log_variance_range(CHAIN, 1 / K, 0.0)
    close([low, high], [math.log(ddpm(2)[3]), math.log(BETAS[0])])
    t, s = torch.tensor([1, 2, 5], dtype=F64) / K, torch.tensor([0, 1, 4], dtype=F64) / K
    low, high = log_variance_range(CHAIN, t, s)
    close(low.exp(), [ddpm(2)[3], ddpm(2)[3], ddpm(5)[3]])
    close(high.exp(), BETAS[[0, 1, 4]])
    close(log_variance_range(LinearPath(), 0.6, 0.0), [math.log(0.36), math.log(0.36)])  # 1 -> t: alpha = 0 forgets x_t


@pytest.mark.parametrize("t, s", [(1.0, 0.0), (0.3, 0.3), (0.3, 0.5)])
def test_a_step_that_adds_no_noise_has_no_logarithm(t, s):
    with pytest.raises(BookError, match="has a variance of 0 and so no logarithm"):
        log_variance_range(Cosine(), t, s)


@pytest.mark.parametrize("schedule", [VP(), Cosine(), VE(), LinearPath()], ids=str)
def test_many_steps_at_once_are_those_one_by_one(schedule):
    t, s = torch.tensor([0.9, 0.5, 0.3], dtype=F64), torch.tensor([0.7, 0.49, 0.0], dtype=F64)
    together = torch.stack([*posterior(schedule, t, s), *log_variance_range(schedule, t, s)])
    single = [
        posterior(schedule, *p) + log_variance_range(schedule, *p) for p in zip(t.tolist(), s.tolist(), strict=True)
    ]
    close(together, torch.tensor(single, dtype=F64).T)
    assert all(isinstance(value, float) for row in single for value in row)


@pytest.mark.parametrize("output, share", [(-1.0, 0.0), (1.0, 1.0), (0.0, 0.5), (0.5, 0.75), (-0.6, 0.2)])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_log_variance_is_the_geometric_mean_with_the_share_of_eq_15(k, output, share):
    *_, beta, _ = ddpm(k)
    beta_tilde = ddpm(max(k, 2))[3]
    x_t, denoiser = normal(4, 3), model(constant(output))
    expected = torch.full((4, 3), beta**share * beta_tilde ** (1 - share), dtype=F64)
    close(denoiser.log_variance(x_t, k / K, (k - 1) / K).exp(), expected)
    times = torch.full((4,), k / K, dtype=F64)
    close(denoiser.log_variance(x_t, times, (k - 1) / K).exp(), expected)


def test_each_pixel_has_its_own_variance_and_one_call_gives_both():
    x_t, denoiser = normal(2, 3, 4, 4), model()
    x_hat, log_variance = denoiser.with_log_variance(x_t, 0.5, 0.4)
    assert denoiser.net.calls == 1
    close(x_hat, denoiser(x_t, 0.5), 0)
    low, high = math.log(ddpm(5)[3]), math.log(ddpm(5)[2])
    close(log_variance, low + (torch.sin(3 * x_t) + 1) / 2 * (high - low))
    close(denoiser.log_variance(x_t, 0.5, 0.4), log_variance, 0)


def test_without_variance_channels_the_error_says_what_to_do():
    x = normal(2, 3)
    plain = Denoiser(nn.Linear(3, 3), CHAIN, EPS)
    plain.net.forward = lambda x, t, cond=None: x
    with pytest.raises(BookError, match=r"needs 6 channels, but this network returns 3: make it with learned_variance"):
        plain.log_variance(x, 0.5, 0.4)
    oracle = GaussianMixture([1.0], [[0.0] * 3], [1.0]).denoiser(CHAIN)
    for denoiser in (oracle, FromFunction(lambda x_t, t: x_t, CHAIN), clipped(oracle), oracle.on(Cosine())):
        with pytest.raises(BookError, match="no learned variance: sample with `ancestral` or `ancestral_beta`"):
            sample(denoiser, x, [0.5, 0.4], ancestral_learned, lambda: x)
    with pytest.raises(BookError, match="needs 6 channels"):
        hybrid_loss(plain, x, torch.tensor([0.5, 0.5]), x, K)


# The step


def test_the_step_spans_the_two_variances_of_ddpm():
    x, z = normal(4, 3), normal(4, 3, seed=1)
    for t, s in [(1.0, 0.9), (0.5, 0.2)]:
        close(take(ancestral_learned, model(constant(-1.0)), x, t, s, z), take(ancestral, model(), x, t, s, z))
        close(take(ancestral_learned, model(constant(1.0)), x, t, s, z), take(ancestral_beta, model(), x, t, s, z))
    alpha_bar, before, beta, beta_tilde = ddpm(7)
    eps_hat, v = torch.tanh(x + 0.7), (torch.sin(3 * x) + 1) / 2
    mean = (x - beta / math.sqrt(1 - alpha_bar) * eps_hat) / math.sqrt(1 - beta)  # Ho et al. 2020, eq. 11
    close(
        take(ancestral_learned, model(), x, 0.7, 0.6, z), mean + torch.sqrt(beta**v * beta_tilde ** (1 - v)) * z, 1e-10
    )


def test_the_last_step_is_x_hat_and_the_loop_asks_once_a_step():
    x, denoiser = normal(4, 3), model()
    close(take(ancestral_learned, denoiser, x, 0.3, 0.0), denoiser(x, 0.3), 0)
    denoiser.net.calls, seen = 0, x
    with torch.no_grad():
        for s, x_s, x_hat in trajectory(denoiser, x, [0.8, 0.5, 0.2, 0.0], ancestral_learned, lambda: normal(4, 3)):
            t = {0.5: 0.8, 0.2: 0.5, 0.0: 0.2}[s]
            before = denoiser.net.calls
            close(x_hat, denoiser(seen, t), 0)
            denoiser.net.calls, seen = before, x_s
    assert denoiser.net.calls == 3 * ancestral_learned.nfe
    assert (ancestral_learned.order, ancestral_learned.nfe) == (1, 1)
    take(ancestral_learned, denoiser, x, 0.3, 0.0)
    with pytest.raises(AssertionError, match="drawn"):
        ancestral_learned(denoiser, x, 0.3, 0.2, {}, forbidden)


def test_clipping_and_another_schedule_keep_the_variance():
    x, denoiser, output = 2 * normal(4, 3), model(), torch.sin
    x_hat, log_variance = clipped(denoiser).with_log_variance(x, 0.5, 0.4)
    close(x_hat, denoiser(x, 0.5).clamp(-1, 1), 0)
    close(log_variance, denoiser.log_variance(x, 0.5, 0.4), 0)
    # every second step of the chain: its own betas, the network's answer at the time it knows
    short = Discrete(1 - CHAIN.alpha_bar[2::2] / CHAIN.alpha_bar[:-1:2])
    alpha_bar, before = ddpm(6)[0], ddpm(4)[0]
    beta = 1 - alpha_bar / before
    low, high = math.log((1 - before) / (1 - alpha_bar) * beta), math.log(beta)
    expected = low + (output(3 * x) + 1) / 2 * (high - low)
    close(denoiser.on(short).log_variance(x, 3 / 5, 2 / 5), expected, 1e-9)


def moments(denoiser, step, variance, times):
    """The variance at the end of the trajectory: every step is affine, so it is known without sampling."""
    one, zero = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)
    for t, s in zip(times, times[1:], strict=False):
        gain, deviation = take(step, denoiser, one, t, s, zero), take(step, denoiser, zero, t, s, one)
        variance = (gain**2 * variance + deviation**2).item()
    return variance


def gaussian_model(variance, output):
    """The exact x_hat for x ~ N(0, variance), with variance channels that say `output(t)`."""

    def x_hat(x, t):
        alpha, sigma = VP()(t)
        return alpha * variance / (alpha**2 * variance + sigma**2) * x

    return model(lambda x, t: output(t) + 0 * x, VP(), X, x_hat)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_right_variance_makes_any_number_of_steps_exact(n):
    """p(x_s | x_t) of Gaussian data has the variance beta_tilde + c_0^2 Var(x | x_t): between the two, v says where."""
    times, variance = torch.linspace(0.9, 0.1, n + 1, dtype=F64).tolist(), 0.3
    after = dict(zip(times, times[1:], strict=False))

    def output(t):
        t = min(times[:-1], key=lambda time: abs(time - t.reshape(-1)[0].item()))
        (alpha, sigma), (_, c_0, beta_tilde, beta) = VP()(t), posterior(VP(), t, after[t])
        right = beta_tilde + c_0**2 * variance * sigma**2 / (alpha**2 * variance + sigma**2)
        return 2 * math.log(right / beta_tilde) / math.log(beta / beta_tilde) - 1

    at = {t: VP()(t)[0] ** 2 * variance + VP()(t)[1] ** 2 for t in (times[0], times[-1])}
    denoiser = gaussian_model(variance, output)
    close(moments(denoiser, ancestral_learned, at[times[0]], times), at[times[-1]], 1e-10)
    for step in (ancestral, ancestral_beta):
        assert abs(moments(denoiser, step, at[times[0]], times) - at[times[-1]]) > 1e-3


def test_the_step_has_its_declared_order_whatever_the_variance():
    times, errors = {n: torch.linspace(0.9, 0.1, n + 1, dtype=F64).tolist() for n in (50, 100, 200, 400)}, []
    start, end = (VP()(t)[0] ** 2 * 0.3 + VP()(t)[1] ** 2 for t in (0.9, 0.1))
    for grid in times.values():
        errors.append(abs(moments(gaussian_model(0.3, lambda t: 0.4), ancestral_learned, start, grid) - end))
    for rough, fine in zip(errors, errors[1:], strict=False):
        assert abs(math.log2(rough / fine) - ancestral_learned.order) < 0.15


# The bound with a learned variance, and the hybrid loss


def ddpm_term(k, x, eps, x_hat, variance):
    """L_{k-1} of DDPM with a given variance, in bits per dimension, from torch's Gaussians."""
    alpha_bar, before, beta, beta_tilde = ddpm(k)
    if k == 1:
        cdf = Normal(x_hat, variance.sqrt()).cdf
        bins = torch.where(x == 1, 1.0, cdf(x + 1 / 255)) - torch.where(x == -1, 0.0, cdf(x - 1 / 255))
        nats = -bins.log()
    else:
        x_t = math.sqrt(alpha_bar) * x + math.sqrt(1 - alpha_bar) * eps
        mean, guess = (
            (math.sqrt(before) * beta * clean + math.sqrt(1 - beta) * (1 - before) * x_t) / (1 - alpha_bar)
            for clean in (x, x_hat)
        )
        nats = kl_divergence(Normal(mean, math.sqrt(beta_tilde)), Normal(guess, variance.sqrt()))
    return nats.mean() / math.log(2)


def pixels(*shape):
    x = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(5)).double() / 127.5 - 1
    x.flatten()[:2] = torch.tensor([-1.0, 1.0], dtype=F64)
    return x


def by_hand(k, x, eps):
    """x_hat, eps_hat and the variance of `model()` at step k."""
    alpha_bar, _, beta, _ = ddpm(k)
    x_t = math.sqrt(alpha_bar) * x + math.sqrt(1 - alpha_bar) * eps
    eps_hat, v = torch.tanh(x_t + k / K), (torch.sin(3 * x_t) + 1) / 2
    variance = beta**v * ddpm(max(k, 2))[3] ** (1 - v)
    return (x_t - math.sqrt(1 - alpha_bar) * eps_hat) / math.sqrt(alpha_bar), eps_hat, variance


@pytest.mark.parametrize("weight", [0.001, 0.0, 0.5])
def test_hybrid_loss_is_simple_plus_the_weighted_bound_in_bits(weight):
    ks = [1, 2, 7, K, 1]
    x, eps = pixels(5, 1, 2, 3), normal(5, 1, 2, 3, seed=1)
    loss = hybrid_loss(model(), x, torch.tensor(ks, dtype=F64) / K, eps, K, weight)
    for i, k in enumerate(ks):
        x_hat, eps_hat, variance = by_hand(k, x[i], eps[i])
        simple = (eps_hat - eps[i]).square().mean()
        close(loss[i], simple + weight * K * ddpm_term(k, x[i], eps[i], x_hat, variance), 1e-8)
    close(
        hybrid_loss(model(), x, torch.tensor(ks) / K, eps, K),
        hybrid_loss(model(), x, torch.tensor(ks) / K, eps, K, 1e-3),
        0,
    )


def test_the_bound_trains_the_variance_and_leaves_the_mean_to_the_simple_loss():
    ks, x, eps = [1, 2, 7], pixels(3, 1, 2, 2), normal(3, 1, 2, 2, seed=1)
    t, denoiser = torch.tensor(ks, dtype=F64) / K, model()

    def gradients(loss):
        return torch.autograd.grad(loss.sum(), [denoiser.net.a, denoiser.net.c], allow_unused=True)

    hybrid = gradients(hybrid_loss(denoiser, x, t, eps, K, 1.0))
    assert denoiser.net.calls == 1
    close(hybrid[0], gradients(denoising_loss(denoiser, x, t, eps))[0])

    def bound(c):
        with torch.no_grad():
            denoiser.net.c.fill_(c)
            return hybrid_loss(denoiser, x, t, eps, K, 1.0).sum()

    close(hybrid[1], (bound(1 + 1e-5) - bound(1 - 1e-5)) / 2e-5, 1e-6)
    assert hybrid[1].abs() > 0.1


def test_the_bound_is_least_at_the_variance_of_p_of_x_s_given_x_t():
    """E KL = const + log variance/2 + (beta_tilde + c_0^2 E|x - x_hat|^2)/(2 variance): here by sampling the term."""
    n, t, s, data = 20_000, 0.5, 0.3, 0.3
    x, eps = math.sqrt(data) * normal(n, 1), normal(n, 1, seed=1)
    (alpha, sigma), (_, c_0, beta_tilde, beta) = VP()(t), posterior(VP(), t, s)
    right = beta_tilde + c_0**2 * data * sigma**2 / (alpha**2 * data + sigma**2)
    share = math.log(right / beta_tilde) / math.log(beta / beta_tilde)
    terms = {}
    for change in (-0.3, 0, 0.3):
        denoiser = gaussian_model(data, lambda t, change=change: 2 * share - 1 + change)
        terms[change] = step_kl(denoiser, x, t, s, eps, learned)
    best = math.log(right / beta_tilde) / 2  # what is left of E KL at its least
    assert abs(terms[0].mean() - best) < 4 * terms[0].std() / math.sqrt(n)
    for change in (-0.3, 0.3):
        extra = terms[change] - terms[0]
        assert extra.mean() > 4 * extra.std() / math.sqrt(n)


def test_the_whole_bound_with_a_learned_variance_is_the_sum_of_the_terms_of_the_hybrid_loss():
    x, draws = pixels(3, 1, 2, 2), []

    def noise():
        draws.append(normal(3, 1, 2, 2, seed=len(draws)))
        return draws[-1]

    denoiser = model()
    bound = negative_elbo(denoiser, x, CHAIN.times(), noise, learned)
    assert denoiser.net.calls == K
    bits = bound.prior / math.log(2) / 4
    for k in range(1, K + 1):
        t = torch.full((3,), k / K, dtype=F64)
        hybrid = hybrid_loss(denoiser, x, t, draws[k - 1], K, 1.0) - denoising_loss(denoiser, x, t, draws[k - 1])
        bits = bits + hybrid.detach() / K
    close(bound.bits_per_dim(4), bits, 1e-9)


def test_a_unet_with_learned_variance_trains_and_samples():
    torch.manual_seed(0)
    net = UNet(UNetConfig(widths=(8,), blocks=1, attention=(), heads=1, embedding=8, patch=2, learned_variance=True))
    x, eps, t = pixels(4, 1, 4, 4).float(), normal(4, 1, 4, 4).float(), Steps(K)(torch.tensor([0.01, 0.3, 0.6, 0.99]))
    denoiser = Denoiser(net, CHAIN, V)
    before = hybrid_loss(denoiser, x, t, eps, K, 1.0)
    assert before.dtype == torch.float32
    # zero before training: v = 1/2, the geometric mean of the two variances
    low, high = log_variance_range(CHAIN, 0.4, 0.3)
    close(denoiser.log_variance(x, 0.4, 0.3), torch.full((4, 1, 4, 4), (low + high) / 2), 1e-6)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        hybrid_loss(denoiser, x, t, eps, K, 1.0).mean().backward()
        optimizer.step()
    assert hybrid_loss(denoiser, x, t, eps, K, 1.0).mean() < before.mean()
    assert sample(denoiser, eps, uniform(5), ancestral_learned, lambda: eps).isfinite().all()


@pytest.mark.parametrize("t", [[0.05, 0.5], [0.0, 0.5], [0.5, 0.512]])
def test_hybrid_loss_asks_for_the_times_of_the_chain(t):
    x = pixels(2, 1, 2, 2)
    with pytest.raises(BookError, match="needs the times k/10"):
        hybrid_loss(model(), x, torch.tensor(t), normal(2, 1, 2, 2), K)


def test_hybrid_loss_asks_for_8_bit_values_where_it_decodes():
    x, eps = normal(2, 1, 2, 2) / 4, normal(2, 1, 2, 2, seed=1)
    hybrid_loss(model(), x, torch.tensor([0.2, 0.9]), eps, K)
    with pytest.raises(BookError, match="8-bit values"):
        hybrid_loss(model(), x, torch.tensor([0.1, 0.9]), eps, K)


# Importance-sampled steps


def filled(losses, floor=0.0, rounds=1):
    """A law that has seen `losses` (K, 10), each step's ten in a row."""
    law = ImportanceSteps(len(losses), floor=floor)
    for _ in range(rounds):
        for column in losses.T:
            law.record(torch.arange(1, len(losses) + 1, dtype=F64) / len(losses), column)
    return law


def test_the_law_is_uniform_until_every_step_has_its_ten_losses():
    law, t = ImportanceSteps(3, floor=0.0), torch.tensor([1, 2, 3], dtype=F64) / 3
    for i in range(10):
        close(law.probabilities, [1 / 3] * 3)
        close(law.weights(t), torch.ones(3))
        law.record(t[:2], torch.tensor([3.0, 4.0]))
        if i:
            law.record(t[2:], torch.tensor([5.0]))
    close(law.probabilities, [1 / 3] * 3)  # the third has nine
    law.record(t[2:], torch.tensor([5.0]))
    close(law.probabilities, torch.tensor([3.0, 4.0, 5.0], dtype=F64) / 12)
    close(law.weights(t), [12 / 9, 12 / 12, 12 / 15])
    assert law.weights(t.float()).dtype == torch.float32


def test_probabilities_are_the_roots_of_the_mean_squares_of_the_last_ten():
    losses = normal(4, 10).exp()
    root = losses.square().mean(1).sqrt()
    close(filled(losses).probabilities, root / root.sum())
    close(filled(losses, floor=0.2).probabilities, 0.8 * root / root.sum() + 0.05)
    law = filled(losses)
    for value in (7.0, 8.0, 9.0):  # three more of step 2 push out its three oldest
        law.record(torch.tensor([0.5]), torch.tensor([value]))
    root[1] = torch.cat([losses[1, 3:], torch.tensor([7.0, 8.0, 9.0])]).square().mean().sqrt()
    close(law.probabilities, root / root.sum())


def test_times_are_drawn_with_their_probabilities():
    law = filled(torch.tensor([1.0, 5.0, 2.0])[:, None].expand(3, 10))
    u = (torch.arange(8000, dtype=F64) + 0.5) / 8000
    times, counts = law(u).unique(return_counts=True)
    close(times, torch.tensor([1, 2, 3], dtype=F64) / 3)
    assert counts.tolist() == [1000, 5000, 2000]
    close(law(torch.tensor([0.0, 1.0], dtype=F64)), [1 / 3, 1.0])
    close(ImportanceSteps(5)(u), Steps(5)(u))  # with nothing seen yet, the uniform law
    assert law(spread(torch.tensor(0.3), 16).float()).dtype == torch.float32


def test_the_weighted_estimate_is_unbiased_and_varies_less():
    """L_k = scale_k (1 + noise): both laws' means and variances are sums over k, and draws agree with them."""
    n, scale = 40_000, torch.tensor([10.0, 3.0, 1.0, 0.5, 0.2, 0.1, 0.1, 0.1], dtype=F64)
    spread_of = 0.3  # each loss has mean scale_k and deviation spread_of scale_k
    law = filled(scale[:, None] * (1 + spread_of * normal(8, 10, seed=2)))
    p, second = law.probabilities, scale**2 * (1 + spread_of**2)
    mean = scale.mean()
    exact = {
        "importance": ((p * second / (8 * p) ** 2).sum() - mean**2).item(),
        "uniform": (second.mean() - mean**2).item(),
    }
    assert exact["importance"] < exact["uniform"] / 10
    u = torch.rand(n, dtype=F64, generator=torch.Generator().manual_seed(0))
    for name, t in (("importance", law(u)), ("uniform", Steps(8)(u))):
        k = (t * 8).round().long() - 1
        losses = scale[k] * (1 + spread_of * normal(n, seed=3))
        estimate = losses * law.weights(t) if name == "importance" else losses
        error = math.sqrt(exact[name] / n)
        assert abs(estimate.mean() - mean) < 4 * error
        assert estimate.var() == pytest.approx(exact[name], rel=0.1)
        if name == "importance":  # the weights forgotten
            assert abs(losses.mean() - mean) > 10 * losses.std() / math.sqrt(n)
    # with its own second moments known exactly no law does better
    best = second.sqrt() / second.sqrt().sum()
    assert exact["importance"] >= (second / (64 * best)).sum().item() - mean**2 - 1e-12


def test_a_history_travels_as_tensors():
    law, t = filled(normal(4, 10).exp()), torch.tensor([0.25, 0.5, 0.25])
    law.record(t, torch.tensor([1.0, 2.0, 3.0]))
    state = law.state()
    other = ImportanceSteps(4, floor=0.0)
    other.restore(state)
    for each in (law, other):
        each.record(t, torch.tensor([4.0, 5.0, 6.0]))
    close(other.probabilities, law.probabilities, 0)
    assert torch.equal(other.counts, torch.tensor([14, 12, 10, 10]))
    assert state["counts"].tolist() == [12, 11, 10, 10]  # a copy: later losses do not reach it
    with pytest.raises(BookError, match=r"of \(steps, length\) = \(4, 10\), the law of \(5, 10\)"):
        ImportanceSteps(5).restore(state)


def test_no_step_is_lost_and_bad_losses_are_refused():
    law = filled(torch.tensor([[1.0], [0.0]]).expand(2, 10), floor=0.1)
    close(law.probabilities, [0.95, 0.05])
    close(filled(torch.zeros(2, 10)).probabilities, [0.5, 0.5])
    for t, losses in [([0.5], [math.nan]), ([0.5, 1.0], [1.0])]:
        with pytest.raises(BookError, match="one finite loss a time"):
            law.record(torch.tensor(t), torch.tensor(losses))
    with pytest.raises(BookError, match="times must be k/2"):
        law.weights(torch.tensor([0.0]))
    with pytest.raises(BookError, match=r"floor in \[0, 1\]"):
        ImportanceSteps(10, floor=1.5)
