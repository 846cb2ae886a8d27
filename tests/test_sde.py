"""Paths against exact ones, strong and weak orders, and the SDEs of the schedules against the mixture."""

import math

import pytest
import torch

from diffusion_book import samplers, sde
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.metrics import energy_distance
from diffusion_book.schedules import VE, VP, Cosine, LinearPath, SubVP
from tests.stepping import close, normal

F64 = torch.float64
SCHEDULES = {"VP": VP(), "VE": VE(0.05, 5.0), "SubVP": SubVP(), "Cosine": Cosine(), "LinearPath": LinearPath()}
MIXTURE = GaussianMixture([0.3, 0.7], [[2.0, 0.0], [-1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 0.6]]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def order(errors):
    """The slope of log(error) over log(steps), where each entry has twice the steps of the one before."""
    y = torch.tensor(errors, dtype=F64).log2()
    x = torch.arange(len(y), dtype=F64)
    return -((x - x.mean()) * (y - y.mean())).sum().item() / (x - x.mean()).square().sum().item()


def test_brownian_increments_have_the_variance_of_their_steps_and_can_be_gathered():
    times = [0.0, 0.1, 0.4, 1.0]
    w = sde.brownian(times, (20_000,), generator())
    for increments, length in zip(w, (0.1, 0.3, 0.6), strict=True):
        assert abs(increments.var().item() / length - 1) < 4 * (2 / 20_000) ** 0.5
    close(sde.brownian(times[::-1], (2, 3), generator()).shape, (3, 2, 3))
    fine = sde.brownian(torch.linspace(0, 1, 13), (4,), generator())
    close(sde.coarser(fine, 4), torch.stack([fine[i : i + 4].sum(0) for i in (0, 4, 8)]))
    for factor in (0, 5):
        with pytest.raises(BookError, match="in groups of"):
            sde.coarser(fine, factor)


def test_a_path_needs_an_increment_for_each_step():
    with pytest.raises(BookError, match="3 times need 2 increments"):
        sde.euler_maruyama((lambda x, t: 0 * x, lambda x, t: 1.0), torch.zeros(2), [0, 0.5, 1], torch.zeros(3, 2))


def test_one_step_of_each_by_hand():
    x, dw, equation = (
        torch.tensor([2.0], dtype=F64),
        torch.tensor([[0.3]], dtype=F64),
        (lambda x, t: -x * t, lambda x, t: 1 + t * x),
    )
    first = 2.0 + 0.5 * (-2.0) + (1 + 2) * 0.3  # 1.9
    close(sde.euler_maruyama(equation, x, [1.0, 1.5], dw)[1], [first])
    by_hand = 2.0 + 0.25 * (-2.0 - first * 1.5) + (3 + 1 + 1.5 * first) / 2 * 0.3
    close(sde.heun(equation, x, [1.0, 1.5], dw)[1], [by_hand])


RATE, WIDTH, PATHS = 1.7, 0.9, 256
TIMES = torch.linspace(0, 1, 641, dtype=F64)


def test_the_exact_ornstein_uhlenbeck_path_has_its_mean_its_variance_and_its_driving_path():
    n, times = 40_000, [0.0, 0.3, 1.0]
    path, increments = sde.ornstein_uhlenbeck(torch.full((n,), 2.0, dtype=F64), times, RATE, WIDTH, generator())
    for i, t in ((1, 0.3), (2, 1.0)):
        mean, variance = 2 * math.exp(-RATE * t), WIDTH**2 * (1 - math.exp(-2 * RATE * t)) / (2 * RATE)
        assert abs(path[i].mean().item() - mean) < 4 * (variance / n) ** 0.5
        assert abs(path[i].var().item() / variance - 1) < 4 * (2 / n) ** 0.5
    # Cov(x_t, w_t) = width (1 - e^{-rate t})/rate
    covariance = WIDTH * (1 - math.exp(-RATE)) / RATE
    products = (path[2] - path[2].mean()) * increments.sum(0)
    assert abs(products.mean().item() - covariance) < 4 * products.std().item() / n**0.5
    # on a fine grid nothing of the path is left that its increments do not say
    path, increments = sde.ornstein_uhlenbeck(torch.zeros(8, dtype=F64), TIMES, RATE, WIDTH, generator())
    middle = (TIMES[1:] + TIMES[:-1]) / 2
    from_w = (WIDTH * torch.exp(-RATE * (1 - middle))[:, None] * increments).sum(0)
    assert (path[-1] - from_w).abs().max() < 2e-3


@pytest.mark.parametrize("solver", [sde.euler_maruyama, sde.heun])
def test_strong_order_1_against_the_exact_ornstein_uhlenbeck_path(solver):
    x = normal(PATHS)
    path, increments = sde.ornstein_uhlenbeck(x, TIMES, RATE, WIDTH, generator(1))
    equation = (lambda x, t: -RATE * x, lambda x, t: WIDTH)
    errors = []
    for factor in (32, 16, 8, 4, 2):
        end = solver(equation, x, TIMES[::factor], sde.coarser(increments, factor))[-1]
        errors.append((end - path[-1]).square().mean().sqrt().item())
    assert abs(order(errors) - 1) < 0.15, errors


def test_with_noise_that_depends_on_x_euler_maruyama_has_strong_order_one_half():
    """dx = a x dt + b x dw ends in x_0 exp((a - b^2/2) + b w_1). Heun ends elsewhere, in exp(a + b w_1)."""
    a, b, n = 0.5, 1.0, 4000
    times = torch.linspace(0, 1, 1025, dtype=F64)
    w = sde.brownian(times, (n,), generator(2))
    exact, stratonovich = (torch.exp(a + drift + b * w.sum(0)) for drift in (-(b**2) / 2, 0.0))
    equation, errors = (lambda x, t: a * x, lambda x, t: b * x), []
    for factor in (32, 16, 8, 4):
        end = sde.euler_maruyama(equation, torch.ones(n, dtype=F64), times[::factor], sde.coarser(w, factor))[-1]
        errors.append((end - exact).abs().mean().item())
    assert abs(order(errors) - 0.5) < 0.15, errors
    heun = sde.heun(equation, torch.ones(n, dtype=F64), times[::4], sde.coarser(w, 4))[-1]
    assert (heun - stratonovich).abs().mean() < 0.05 * (heun - exact).abs().mean()


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_forward_sde_ends_in_the_marginal_of_the_schedule(name):
    """Means and variances of x_t given x, propagated by small Euler-Maruyama steps that are affine in x."""
    schedule = SCHEDULES[name]
    start, end, n = 0.05, 0.9, 4000
    times = torch.linspace(start, end, n + 1, dtype=F64).tolist()
    drift, diffusion = sde.forward(schedule)
    (alpha_0, sigma_0), (alpha_1, sigma_1) = schedule(start), schedule(end)
    mean, variance = alpha_0, sigma_0**2
    for t, s in zip(times, times[1:], strict=False):
        factor = 1 + (s - t) * drift(1.0, t)
        mean, variance = factor * mean, factor**2 * variance + diffusion(1.0, t) ** 2 * (s - t)
    assert abs(mean / alpha_1 - 1) < 3e-3
    assert abs(variance / sigma_1**2 - 1) < 3e-3
    assert abs(drift(1.0, 0.3) * variance - drift(variance, 0.3)) < 1e-12


def test_g_squared_in_place_of_g_misses_the_marginal():
    schedule = VP()
    close(sde.forward(schedule)[1](None, 0.5), schedule.beta(0.5) ** 0.5)
    close(
        SubVP()._diffusion(torch.tensor(0.5, dtype=F64)) ** 2,
        schedule.beta(0.5) * (1 - math.exp(-2 * SubVP().integral(0.5))),
    )


@pytest.mark.parametrize("name", ["VP", "VE", "SubVP"])
def test_simulated_marginals_of_the_mixture_and_the_reverse_family_end_in_one_law(name):
    """Forwards from the data, and backwards for eta = 0, 1/2, 1, against exact samples, in energy distance."""
    schedule, n = SCHEDULES[name], 1500
    x, times = MIXTURE.sample(n, seed=3), torch.linspace(0.02, 0.9, 401, dtype=F64)
    (alpha_0, sigma_0), (alpha_1, sigma_1) = schedule(0.02), schedule(0.9)
    low, high = MIXTURE.diffused(alpha_0, sigma_0), MIXTURE.diffused(alpha_1, sigma_1)
    exact_low, exact_high, start = low.sample(n, 4), high.sample(n, 5), high.sample(n, 6)
    # the floor: the largest distance among six pairs of exact sample sets
    pairs = [(low.sample(n, seed), low.sample(n, seed + 1)) for seed in range(10, 22, 2)]
    floor = max(abs(energy_distance(a, b)) for a, b in pairs) / exact_low.std().item()

    def distance(x, exact):
        return energy_distance(x, exact) / exact.std().item()

    noised = alpha_0 * x + sigma_0 * normal(n, 2, seed=8)
    up = sde.euler_maruyama(sde.forward(schedule), noised, times, sde.brownian(times, (n, 2), generator(9)))[-1]
    assert distance(up, exact_high) < 2 * floor
    w = sde.brownian(times.flip(0), (n, 2), generator(10))
    for eta in (0.0, 0.5, 1.0):
        down = sde.euler_maruyama(sde.reverse(MIXTURE.denoiser(schedule), eta), start, times.flip(0), w)[-1]
        assert distance(down, exact_low) < 2 * floor, eta
    drift, diffusion = sde.reverse(MIXTURE.denoiser(schedule), 1.0)
    halved = (lambda x, t: (drift(x, t) + schedule.drift(t) * x) / 2, diffusion)  # the drift of the ODE with noise
    wrong = sde.euler_maruyama(halved, start, times.flip(0), w)[-1]
    assert distance(wrong, exact_low) > 20 * floor


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_walk_down_the_reverse_sde_is_the_sampler_of_that_name(eta):
    denoiser, times, x = MIXTURE.denoiser(VP()), torch.linspace(0.9, 0.3, 7, dtype=F64), normal(5, 2)
    w = sde.brownian(times, (5, 2), generator())
    for solver, step in ((sde.euler_maruyama, samplers.euler_maruyama), (sde.heun, samplers.stochastic_heun)):
        draws = iter(w / 0.1**0.5)
        close(
            solver(sde.reverse(denoiser, eta), x, times, w)[-1],
            samplers.sample(denoiser, x, times, step(eta), lambda d=draws: next(d)),
            1e-11,
        )


@pytest.mark.parametrize("name", SCHEDULES)
def test_fokker_planck_is_the_change_of_the_mixtures_log_density(name):
    schedule, t, h = SCHEDULES[name], 0.4, 1e-5
    x = MIXTURE.diffused(*schedule(t)).sample(6, seed=1)
    change = (MIXTURE.log_prob(x, *schedule(t + h)) - MIXTURE.log_prob(x, *schedule(t - h))) / (2 * h)
    right = sde.fokker_planck(schedule, lambda y: MIXTURE.log_prob(y, *schedule(t)), x, t)
    torch.testing.assert_close(right, change, rtol=1e-6, atol=1e-6)


def test_the_ddpm_chain_converges_to_the_vp_sde_at_first_order():
    """x_k = sqrt(1 - beta_k) x_{k-1} + sqrt(beta_k) z with beta_k = beta(t_k)/K: alpha and sigma^2 against VP's at t = 0.6."""
    schedule, errors = VP(), []
    for K in (250, 500, 1000, 2000):
        mean, variance = 1.0, 0.0
        for k in range(1, int(0.6 * K) + 1):
            beta = schedule.beta(k / K) / K
            mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        alpha, sigma = schedule(0.6)
        errors.append(abs(mean - alpha) + abs(variance - sigma**2))
    assert abs(order(errors) - 1) < 0.05, errors
