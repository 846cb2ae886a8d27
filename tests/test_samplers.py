"""What every sampler promises: its evaluations, its noise, its ends, its errors, the loop, and the right samples."""

import math

import pytest
import torch
from stepping import F64, NOISY, STEPS, close, curved, normal, schedules, silent, steps, take
from torch import nn

from diffusion_book.denoiser import Denoiser, FromFunction, PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.grids import karras, uniform
from diffusion_book.noise import Noise
from diffusion_book.predictions import EPS
from diffusion_book.samplers import (
    ancestral,
    ddim,
    dpmpp_2m,
    euler,
    euler_maruyama,
    euler_t,
    heun,
    heun_churn,
    heun_t,
    posterior,
    prior,
    sample,
    trajectory,
)
from diffusion_book.schedules import EDM, VP, LinearPath

# Evaluations and noise


class Counting(PosteriorMean):
    def __init__(self, inner):
        self.inner, self.schedule, self.calls = inner, inner.schedule, 0

    def __call__(self, x_t, t):
        self.calls += 1
        return self.inner(x_t, t)


@steps
def test_an_interior_step_asks_the_denoiser_nfe_times(step):
    denoiser, x = Counting(curved(VP())), normal(3, 2)
    memory = {}
    for t, s in [(0.8, 0.7), (0.7, 0.5)]:
        before = denoiser.calls
        x = step(denoiser, x, t, s, memory, lambda: normal(3, 2))
        assert denoiser.calls - before == step.nfe


@steps
@pytest.mark.parametrize("n", [1, 2, 7])
def test_n_steps_to_0_ask_n_or_for_heun_2_n_minus_1_times(step, n):
    denoiser = Counting(curved(VP()))
    sample(denoiser, normal(3, 2), uniform(n), step, lambda: normal(3, 2))
    assert denoiser.calls == step.nfe * n - (step.nfe - 1)


@pytest.mark.parametrize("name", STEPS)
def test_noise_is_drawn_once_a_step_and_only_where_it_is_used(name):
    draws, n = [], 6

    def noise():
        draws.append(normal(3, 2, seed=len(draws)))
        return draws[-1]

    sample(curved(VP()), normal(3, 2), uniform(n, start=0.9), STEPS[name], noise)
    # the last step returns x_hat; churn comes before it, and is felt there too
    assert len(draws) == (0 if name not in NOISY else n if name.startswith("heun") else n - 1)


def test_churn_acts_between_its_ends_and_below_the_top_of_the_schedule_only():
    x, denoiser, step = normal(3, 2), curved(EDM(80.0)), heun_churn(0.2, 0.05, 50.0)
    for t, s in [(51 / 80, 0.3), (0.049 / 80, 0.0), (1.0, 0.5)]:
        close(take(step, denoiser, x, t, s), take(heun, denoiser, x, t, s), 0)
    with pytest.raises(AssertionError, match="drawn"):
        take(step, denoiser, x, 49 / 80, 0.3)
    with pytest.raises(AssertionError, match="drawn"):
        take(step, denoiser, x, 0.051 / 80, 0.0)
    open_ended = heun_churn(0.2, 0.0, 1e9)
    close(take(open_ended, denoiser, x, 0.9, 0.5), take(heun, denoiser, x, 0.9, 0.5), 0)  # 1.2 * 0.9 is above the top


# The ends


@schedules
@steps
def test_a_step_too_short_to_resolve_goes_nowhere(schedule, step):
    """Differences of nearly equal variances are rounding errors there, of either sign."""
    x, z = normal(4, 2), normal(4, 2, seed=1)
    for t in (0.05, 0.2, 0.55):
        s = math.nextafter(t, 0.0)
        moved = take(step, curved(schedule), x, t, s, z)
        if step is not STEPS["heun_churn(0.2)"]:  # which raises the noise first, however short the step
            assert (moved - x).abs().max() < 1e-5
        assert moved.isfinite().all()


@schedules
@pytest.mark.parametrize("name", sorted(set(STEPS) - {"heun_churn(0.2)"}))
def test_the_last_step_returns_x_hat(schedule, name):
    x, t = normal(4, 2), 0.3
    close(take(STEPS[name], curved(schedule), x, t, 0.0), curved(schedule)(x, t), 0)


def test_the_last_step_of_heun_churn_returns_x_hat_of_the_raised_noise():
    x, z, sigma = normal(4, 2), normal(4, 2, seed=1), 0.4
    raised = x + math.sqrt(1.2**2 - 1) * sigma * 1.003 * z
    close(take(heun_churn(0.2), curved(EDM()), x, sigma / 80, 0.0, z), curved(EDM())(raised, 1.2 * sigma / 80))


@silent
@pytest.mark.parametrize(
    "step, of_x, of_z", [(ddim(0.0), 1, 0), (dpmpp_2m, 1, 0), (ddim(1.0), 0, 1), (ancestral, 0, 1)]
)
def test_steps_that_need_no_rate_start_where_alpha_is_0(schedule, step, of_x, of_z):
    x, z, (alpha_s, sigma_s) = normal(4, 2), normal(4, 2, seed=1), schedule(0.98)
    assert schedule(1.0)[0] == 0
    x_s = alpha_s * curved(schedule)(x, 1.0) + sigma_s * (of_x * x + of_z * z)
    close(take(step, curved(schedule), x, 1.0, 0.98, z), x_s)


@silent
def test_the_second_step_of_dpmpp_2m_after_an_infinite_one_is_of_first_order(schedule):
    x, times = normal(4, 2), [1.0, 0.98, 0.9]
    close(sample(curved(schedule), x, times, dpmpp_2m), sample(curved(schedule), x, times, ddim(0.0)))


def test_flow_steps_start_where_alpha_is_0_on_the_linear_path():
    x, denoiser = normal(4, 2), curved(LinearPath())
    first = x - 0.1 * (x - denoiser(x, 1.0))
    close(take(euler_t, denoiser, x, 1.0, 0.9), first)
    again = (first - 0.1 * denoiser(first, 0.9)) / 0.9 - denoiser(first, 0.9)
    close(take(heun_t, denoiser, x, 1.0, 0.9), x - 0.05 * (x - denoiser(x, 1.0) + again))


@silent
@pytest.mark.parametrize("step", [euler, heun, heun_churn(0.1), euler_maruyama(0.0), euler_maruyama(1.0)])
def test_steps_that_need_a_rate_name_the_time_where_it_is_infinite(schedule, step):
    with pytest.raises(BookError, match=rf"infinite at t = 1: start at t (<=|=) {schedule.last_t:g}"):
        take(step, curved(schedule), normal(4, 2), 1.0, 0.9, normal(4, 2))


# Bad input


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ddim(-0.1), "eta .* must be 0 or more, but got -0.1"),
        (lambda: ddim(math.nan), "must be 0 or more"),
        (lambda: euler_maruyama(-1.0), "must be 0 or more, but got -1"),
        (lambda: heun_churn(-0.1), "churn must lie in"),
        (lambda: heun_churn(0.5), r"churn must lie in .* 0\.414"),
        (lambda: uniform(0), "at least 1 step, but got 0"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(BookError, match=message):
        make()


def test_an_eta_that_leaves_a_negative_variance_is_refused_and_the_largest_named():
    _, _, beta_tilde, _ = posterior(VP(), 0.5, 0.4)
    most = VP()(0.4)[1] / math.sqrt(beta_tilde)
    with pytest.raises(BookError, match=rf"negative variance from t = 0\.5 to 0\.4: at most {most:.3f}"):
        take(ddim(most + 0.01), curved(VP()), normal(3, 2), 0.5, 0.4, normal(3, 2))
    take(ddim(most - 0.01), curved(VP()), normal(3, 2), 0.5, 0.4, normal(3, 2))


@pytest.mark.parametrize("times", [[0.5], [], [0.1, 0.5], [0.5, 0.5], [1.1, 0.5], [0.5, -0.1], [0.5, math.nan]])
def test_times_that_do_not_fall_within_0_and_1_are_refused(times):
    with pytest.raises(BookError, match="times must fall strictly"):
        sample(curved(VP()), normal(3, 2), times, euler)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_draws_noise_asks_for_it(name):
    if name in NOISY:
        with pytest.raises(BookError, match="noise=Noise"):
            sample(curved(VP()), normal(3, 2), [0.5, 0.4], STEPS[name])
    else:
        sample(curved(VP()), normal(3, 2), [0.5, 0.4], STEPS[name])


# The loop


@pytest.mark.parametrize("step", [euler, heun, dpmpp_2m])
def test_trajectory_yields_time_point_and_the_last_x_hat_and_sample_is_its_end(step):
    denoiser, x, times, told = curved(VP()), normal(3, 2), [0.9, 0.5, 0.2, 0.0], []

    def telling(x_t, t):
        told.append(denoiser(x_t, t))
        return told[-1]

    path = []
    for s, x_s, x_hat in trajectory(FromFunction(telling, VP()), x, times, step):
        assert x_hat is told[-1]
        path.append((s, x_s))
    assert [s for s, _ in path] == times[1:]
    close(path[-1][1], sample(denoiser, x, torch.tensor(times, dtype=F64), step), 0)
    close(path[0][1], take(step, denoiser, x, 0.9, 0.5), 0)


def test_every_trajectory_begins_with_an_empty_memory():
    denoiser, x, times = curved(VP()), normal(3, 2), uniform(5)
    close(sample(denoiser, x, times, dpmpp_2m), sample(denoiser, x, times, dpmpp_2m), 0)


class Scaling(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5, dtype=F64))

    def forward(self, x, t, cond=None):
        return self.weight * x


def test_sampling_keeps_no_gradient():
    denoiser, x = Denoiser(Scaling(), VP(), EPS), normal(3, 2)
    assert denoiser(x, 0.5).requires_grad
    assert not sample(denoiser, x, uniform(3), heun).requires_grad
    for _, x_s, x_hat in trajectory(denoiser, x, uniform(3), heun):
        assert not x_s.requires_grad
        assert not x_hat.requires_grad
        assert torch.is_grad_enabled()


@schedules
@pytest.mark.parametrize("t", [1.0, 0.4])
def test_prior_has_the_variance_of_diffused_unit_data(schedule, t):
    alpha, sigma = schedule(t)
    close(prior(schedule, lambda: torch.ones(1, dtype=F64), t), [(alpha**2 + sigma**2) ** 0.5])


# All of it together: samples of a mixture

MIXTURE = GaussianMixture([0.3, 0.7], [[1.2, 0.4], [-0.8, -0.3]], [0.05, 0.1])


def energy_distance(a, b):
    def spread(points):
        return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

    return (2 * torch.cdist(a, b).mean() - spread(a) - spread(b)).item()


@pytest.fixture(scope="module")
def floor():
    """Mean and standard deviation of the distance between two exact samples of 800."""
    pairs = [energy_distance(MIXTURE.sample(800, i), MIXTURE.sample(800, 100 + i)) for i in range(20)]
    return torch.tensor(pairs).mean().item(), torch.tensor(pairs).std().item()


def standard_errors(step, floor):
    """How far 800 samples are from the mixture, in standard deviations of the floor."""
    schedule, noise = VP(), Noise(3, (800, 2), dtype=F64)
    times = karras(100, schedule, 0.01) if "heun" in step.__qualname__ else uniform(100)
    x = sample(MIXTURE.denoiser(schedule), prior(schedule, noise), times, step, noise)
    return (energy_distance(x, MIXTURE.sample(800, 7)) - floor[0]) / floor[1]


@steps
def test_samples_of_a_mixture_are_within_four_standard_errors(step, floor):
    assert standard_errors(step, floor) < 4


def test_noise_multiplied_by_the_variance_misses_by_more_than_ten(floor):
    def wrong(denoiser, x, t, s, memory, noise):
        c_t, c_0, beta_tilde, _ = posterior(denoiser.schedule, t, s)
        return c_t * x + c_0 * denoiser(x, t) + beta_tilde * noise()

    assert standard_errors(wrong, floor) > 10
