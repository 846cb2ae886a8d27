"""Every step's declared order, measured: against a fine reference, and in law where data are Gaussian."""

import math

import pytest
import torch

from diffusion_book.denoiser import FromFunction
from diffusion_book.exact import GaussianMixture
from diffusion_book.samplers import (
    ancestral,
    ancestral_beta,
    ddim,
    dpmpp_2m,
    euler,
    euler_maruyama,
    euler_t,
    heun,
    heun_churn,
    heun_t,
    sample,
    stochastic_heun,
)
from diffusion_book.schedules import EDM, VE, VP, Cosine, LinearPath, SubVP

F64 = torch.float64
START, END = 0.9, 0.1
STEPS = (40, 80, 160, 320)
# the ends of VE and EDM are chosen so that something happens in between: data have a scale of about 2
SCHEDULES = {
    "VP": VP(),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "EDM": EDM(5.0),
    "VE": VE(0.05, 5.0),
    "SubVP": SubVP(),
}
schedules = pytest.mark.parametrize("name", SCHEDULES)

MIXTURE = GaussianMixture([0.3, 0.5, 0.2], [[3.0, 0.0], [-2.0, 2.0], [-1.0, -3.0]], [2.0, 1.2, 1.6])


def equal_steps(variable, schedule, n):
    """n equal steps of `variable` from START to END, as times."""
    high, low = schedule.logsnr(START), schedule.logsnr(END)
    if variable == "t":
        return torch.linspace(START, END, n + 1, dtype=F64)
    if variable == "logsnr":
        return schedule.inverse_logsnr(torch.linspace(high, low, n + 1, dtype=F64))
    ratio = torch.linspace(math.exp(-high / 2), math.exp(-low / 2), n + 1, dtype=F64)
    return schedule.inverse_logsnr(-2 * ratio.log())


def slope(errors):
    """The order: minus the slope of log(error) over log(steps), by least squares."""
    x, y = torch.tensor(STEPS, dtype=F64).log(), torch.tensor(errors, dtype=F64).log()
    return -((x - x.mean()) * (y - y.mean())).sum().item() / ((x - x.mean()) ** 2).sum().item()


# Without noise: the error at the end of a trajectory


@pytest.fixture(scope="module")
def flow():
    """For each schedule, 16 points at START and where the probability flow takes them at END.

    The reference is the classical Runge-Kutta rule for d(x/alpha)/d log(sigma/alpha) = x/alpha - x_hat, which knows
    nothing of schedules but their ends.
    """

    def field(z, level):
        return z - MIXTURE.denoise(z, 1.0, math.exp(level))

    def run(schedule, steps=200):
        (alpha, sigma), (alpha_end, sigma_end) = schedule(START), schedule(END)
        noise = torch.randn(16, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
        x = alpha * MIXTURE.sample(16, seed=0) + sigma * noise
        z, level = x / alpha, math.log(sigma / alpha)
        h = (math.log(sigma_end / alpha_end) - level) / steps
        for _ in range(steps):
            first = field(z, level)
            second = field(z + h / 2 * first, level + h / 2)
            third = field(z + h / 2 * second, level + h / 2)
            fourth = field(z + h * third, level + h)
            z, level = z + h / 6 * (first + 2 * second + 2 * third + fourth), level + h
        return x, alpha_end * z

    return {name: run(schedule) for name, schedule in SCHEDULES.items()}


DETERMINISTIC = {
    "ddim(0)": (ddim(0.0), "ratio"),
    "euler": (euler, "ratio"),
    "heun": (heun, "ratio"),
    "heun_churn(0)": (heun_churn(0.0), "ratio"),
    "dpmpp_2m": (dpmpp_2m, "logsnr"),
    "euler_t": (euler_t, "t"),
    "heun_t": (heun_t, "t"),
    "euler_maruyama(0)": (euler_maruyama(0.0), "t"),
    "stochastic_heun(0)": (stochastic_heun(0.0), "t"),
}


@schedules
@pytest.mark.parametrize("step, variable", DETERMINISTIC.values(), ids=DETERMINISTIC.keys())
def test_error_falls_with_the_declared_order(step, variable, name, flow):
    schedule, (x, end) = SCHEDULES[name], flow[name]
    denoiser = MIXTURE.denoiser(schedule)
    errors = [
        (sample(denoiser, x, equal_steps(variable, schedule, n), step) - end).square().mean().sqrt().item()
        for n in STEPS
    ]
    assert abs(slope(errors) - step.order) < 0.15, errors


# With noise: the law of x_s for Gaussian data, where each step is affine and mean and variance are propagated exactly

MEAN, VARIANCE = 0.7, 0.64


def gaussian(schedule):
    """The denoiser of N(MEAN, VARIANCE), by the conditional of two jointly Gaussian numbers."""

    def x_hat(x_t, t):
        alpha, sigma = schedule(t)
        return MEAN + alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * (x_t - alpha * MEAN)

    return FromFunction(x_hat, schedule)


def affine_maps(step, schedule, times):
    """(t, s, A, b, C) for each step of a trajectory: x_s = A x + b + C z, read off at three points at once."""
    x, z = torch.tensor([0.0, 1.0, 0.0], dtype=F64), torch.tensor([0.0, 0.0, 1.0], dtype=F64)
    denoiser, times = gaussian(schedule), times.tolist()
    for t, s in zip(times, times[1:], strict=False):
        b, with_x, with_z = step(denoiser, x, t, s, {}, lambda: z).tolist()
        yield t, s, with_x - b, b, with_z - b


def law(schedule, t):
    """Mean and variance of x_t."""
    alpha, sigma = schedule(t)
    return alpha * MEAN, alpha**2 * VARIANCE + sigma**2


def shrinkage(schedule, eta, t, s):
    """What the reverse SDE of noise eta leaves at s of a deviation from the mean at t; its drift is linear here.

    (alpha_s/alpha_t) (V_s alpha_t^2 / (V_t alpha_s^2))^((1 + eta^2)/2), V the variance of x_t.
    """
    (alpha_t, _), (alpha_s, _) = schedule(t), schedule(s)
    (_, V_t), (_, V_s) = law(schedule, t), law(schedule, s)
    return alpha_s / alpha_t * (V_s / V_t * (alpha_t / alpha_s) ** 2) ** ((1 + eta**2) / 2)


def worst_error(maps, schedule, eta, offset=0.0, spread=1.0):
    """The largest error of mean and variance along the way, in units of the law of x_t.

    The start is off the mean by `offset` standard deviations and has `spread` times the variance of x_t.
    """
    mean_start, V_start = law(schedule, START)
    mean, variance, worst = mean_start + offset * V_start**0.5, spread * V_start, 0.0
    for _, s, A, b, C in maps:
        mean, variance = A * mean + b, A**2 * variance + C**2
        exact_mean, V = law(schedule, s)
        shrink = shrinkage(schedule, eta, START, s)
        exact_mean, exact_variance = exact_mean + shrink * offset * V_start**0.5, V + shrink**2 * (spread - 1) * V_start
        worst = max(worst, abs(mean - exact_mean) / V**0.5 + abs(variance - exact_variance) / V)
    return worst


STOCHASTIC = {
    "ancestral": (ancestral, 1.0, "logsnr"),
    "ancestral_beta": (ancestral_beta, 1.0, "logsnr"),
    "ddim(1)": (ddim(1.0), 1.0, "logsnr"),
    "ddim(0.5)": (ddim(0.5), 0.5, "logsnr"),
    "euler_maruyama(1)": (euler_maruyama(1.0), 1.0, "t"),
    "euler_maruyama(0.5)": (euler_maruyama(0.5), 0.5, "t"),
    "stochastic_heun(1)": (stochastic_heun(1.0), 1.0, "t"),
    "stochastic_heun(0.5)": (stochastic_heun(0.5), 0.5, "t"),
}


@schedules
@pytest.mark.parametrize("step, eta, variable", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_law_approaches_that_of_the_reverse_sde_with_the_declared_order(step, eta, variable, name):
    schedule = SCHEDULES[name]
    runs = [list(affine_maps(step, schedule, equal_steps(variable, schedule, n))) for n in STEPS]
    for start in ({"offset": 0.0, "spread": 1.0}, {"offset": 1.0, "spread": 0.0}):  # the law of x_t, and one point
        errors = [worst_error(maps, schedule, eta, **start) for maps in runs]
        assert abs(slope(errors) - step.order) < 0.15, (start, errors)


def churned(schedule, churn, noise_scale=1.0):
    """Errors of heun_churn, for which churn(n) is the churn of n steps."""
    errors = []
    for n in STEPS:
        step = heun_churn(churn(n), 0.0, 1e3, noise_scale)
        errors.append(worst_error(affine_maps(step, schedule, equal_steps("logsnr", schedule, n)), schedule, 1.0))
    return errors


@schedules
def test_heun_churn_is_of_second_order_where_the_churn_is_shared_out_among_the_steps(name):
    errors = churned(SCHEDULES[name], lambda n: 8 / n)
    assert abs(slope(errors) - heun_churn(0.2).order) < 0.15, errors


def test_a_churn_that_does_not_shrink_and_a_noise_scale_other_than_1_leave_an_error():
    shared_out = churned(VP(), lambda n: 8 / n)
    for errors in (churned(VP(), lambda n: 0.2), churned(VP(), lambda n: 8 / n, noise_scale=1.003)):
        assert errors[-1] > 0.5 * errors[-2]
        assert errors[-1] > 10 * shared_out[-1]


# Euler-Maruyama path by path: with additive noise the strong order is 1, not 1/2


@pytest.mark.parametrize("eta", [1.0, 0.5])
@pytest.mark.parametrize("name", ["VP", "LinearPath"])
def test_paths_of_euler_maruyama_have_strong_order_1(name, eta):
    schedule, denoiser = SCHEDULES[name], gaussian(SCHEDULES[name])
    finest, paths = 10_240, 64
    generator = torch.Generator().manual_seed(2)
    h = (START - END) / finest
    increments = math.sqrt(h) * torch.randn(finest, paths, dtype=F64, generator=generator)
    start_mean, V = law(schedule, START)
    x_start = start_mean + V**0.5 * torch.randn(paths, dtype=F64, generator=generator)

    # the exact path: what is left at END of the start, and of each increment, taken at its middle
    middle = START - h * (torch.arange(finest, dtype=F64) + 0.5)
    left = shrinkage(schedule, eta, middle, torch.full_like(middle, END))
    from_start = shrinkage(schedule, eta, START, END) * (x_start - start_mean)
    exact = law(schedule, END)[0] + from_start + (eta * schedule.diffusion(middle) * left) @ increments

    errors = []
    for n in STEPS:
        pieces = iter(increments.reshape(n, -1, paths).sum(1) / math.sqrt((START - END) / n))
        x = sample(denoiser, x_start, equal_steps("t", schedule, n), euler_maruyama(eta), lambda p=pieces: next(p))
        errors.append((x - exact).square().mean().sqrt().item())
    assert abs(slope(errors) - 1) < 0.15, errors
