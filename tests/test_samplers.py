"""Steps against each other and against their papers: coefficients, ends, evaluations, noise, the loop."""

import math

import pytest
import torch
from torch import nn

from diffusion_book.denoiser import Denoiser, FromFunction, PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.grids import karras, uniform
from diffusion_book.noise import Noise
from diffusion_book.predictions import EPS
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
    posterior,
    prior,
    sample,
    trajectory,
)
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, Learned, LinearPath, Shifted, SubVP, betas

F64 = torch.float64
SCHEDULES = {
    "VP": VP(),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "VE": VE(),
    "EDM": EDM(),
    "SubVP": SubVP(),
    "Discrete": Discrete(betas.linear(100, 1e-3, 0.1)),
    "zero terminal": Discrete(betas.zero_terminal(betas.scaled_linear(50))),
    "Shifted": Shifted(Cosine(), 3.0),
    "Learned": Learned(width=4).requires_grad_(False),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
silent = pytest.mark.parametrize("schedule", [SCHEDULES[n] for n in ("Cosine", "LinearPath", "zero terminal")], ids=str)
JUMPS = [(0.9, 0.7), (0.5, 0.48), (0.3, 0.02)]

STEPS = {
    "ancestral": ancestral,
    "ancestral_beta": ancestral_beta,
    "ddim(0)": ddim(0.0),
    "ddim(0.5)": ddim(0.5),
    "ddim(1)": ddim(1.0),
    "euler": euler,
    "heun": heun,
    "heun_churn(0)": heun_churn(0.0),
    "heun_churn(0.2)": heun_churn(0.2, 0.0, 1e3),
    "dpmpp_2m": dpmpp_2m,
    "euler_t": euler_t,
    "heun_t": heun_t,
    "euler_maruyama(0)": euler_maruyama(0.0),
    "euler_maruyama(1)": euler_maruyama(1.0),
}
steps = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
NOISY = {"ancestral", "ancestral_beta", "ddim(0.5)", "ddim(1)", "heun_churn(0.2)", "euler_maruyama(1)"}


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def close(value, expected, tolerance=1e-12):
    value, expected = torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64)
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


def curved(schedule):
    """A denoiser that is nobody's posterior mean: equalities of steps hold for any function."""
    return FromFunction(lambda x_t, t: torch.tanh(1.3 * x_t + t), schedule)


def forbidden():
    raise AssertionError("noise was drawn and not used")


def take(step, denoiser, x, t, s, z=None):
    return step(denoiser, x, t, s, {}, forbidden if z is None else lambda: z)


# One step is another


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_ddim_is_euler_in_sigma_over_alpha(schedule, t, s):
    x = 3 * normal(5, 2)
    close(take(ddim(0.0), curved(schedule), x, t, s), take(euler, curved(schedule), x, t, s))


@pytest.mark.parametrize("t, s", [(1.0, 0.7), *JUMPS, (0.2, 0.0)])
def test_ddim_is_euler_in_time_on_the_linear_path(t, s):
    x, denoiser = normal(5, 2), curved(LinearPath())
    close(take(ddim(0.0), denoiser, x, t, s), take(euler_t, denoiser, x, t, s))


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_ancestral_is_ddim_with_eta_1(schedule, t, s):
    x, z = 3 * normal(5, 2), normal(5, 2, seed=1)
    close(take(ancestral, curved(schedule), x, t, s, z), take(ddim(1.0), curved(schedule), x, t, s, z))


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_the_first_step_of_dpmpp_2m_is_ddim(schedule, t, s):
    x = 3 * normal(5, 2)
    close(take(dpmpp_2m, curved(schedule), x, t, s), take(ddim(0.0), curved(schedule), x, t, s))


def test_without_churn_and_without_noise_the_stochastic_steps_are_heun_and_the_flow():
    x, denoiser = normal(5, 2), curved(VP())
    close(take(heun_churn(0.0), denoiser, x, 0.6, 0.5), take(heun, denoiser, x, 0.6, 0.5), 0)
    close(take(euler_maruyama(0.0), denoiser, x, 0.6, 0.5), take(euler_t, denoiser, x, 0.6, 0.5))


# Coefficients


def coefficients(step, schedule, t, s):
    """(of x, of x_hat, of the noise) in x_s, with x_hat held fixed."""

    def at(x, x_hat, z):
        x, x_hat, z = (torch.tensor([value], dtype=F64) for value in (x, x_hat, z))
        return step(FromFunction(lambda x_t, t: x_hat, schedule), x, t, s, {}, lambda: z).item()

    return at(1.0, 0.0, 0.0), at(0.0, 1.0, 0.0), at(0.0, 0.0, 1.0)


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_posterior_is_a_gaussian_conditioned_on_its_successor(schedule, t, s):
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    c_t, c_0, beta_tilde, beta = posterior(schedule, t, s)
    # (x_s, x_t) given x, made of two independent normals: x_s = alpha_s x + sigma_s e, x_t = (alpha_t/alpha_s) x_s + ...
    kept = alpha_t / alpha_s
    close(beta, sigma_t**2 - kept**2 * sigma_s**2)
    root = torch.tensor([[sigma_s, 0.0], [kept * sigma_s, math.sqrt(beta)]], dtype=F64)
    covariance, mean = root @ root.T, torch.tensor([alpha_s, alpha_t], dtype=F64)
    close(covariance[1, 1], sigma_t**2, 1e-11)
    gain = covariance[0, 1] / covariance[1, 1]
    close(c_t, gain, 1e-11)
    close(c_0, mean[0] - gain * mean[1], 1e-11)
    close(beta_tilde, covariance[0, 0] - gain * covariance[1, 0], 1e-11)


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_keeps_the_marginal_whatever_eta_is(schedule, eta, t, s):
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    of_x, of_x_hat, of_z = coefficients(ddim(eta), schedule, t, s)
    _, _, beta_tilde, _ = posterior(schedule, t, s)
    close(of_z, eta * math.sqrt(beta_tilde), 1e-11)
    close(of_x_hat + alpha_t * of_x, alpha_s)  # given x_hat = x, the mean of x_s is alpha_s x
    close((sigma_t * of_x) ** 2 + of_z**2, sigma_s**2, 1e-11)  # and its variance is sigma_s^2


@schedules
def test_ancestral_with_the_variance_beta_is_outside_the_family_of_ddim(schedule):
    t, s = 0.6, 0.5
    sigma_t, sigma_s = schedule(t)[1], schedule(s)[1]
    of_x, of_x_hat, of_z = coefficients(ancestral_beta, schedule, t, s)
    _, _, beta_tilde, beta = posterior(schedule, t, s)
    close((of_x, of_x_hat), coefficients(ancestral, schedule, t, s)[:2], 0)
    close((sigma_t * of_x) ** 2 + of_z**2, sigma_s**2 + beta - beta_tilde, 1e-11)
    assert beta > 1.01 * beta_tilde
    # every eta leaves sigma_s^2 in all; the eta that has this mean is 1, and its noise is smaller
    assert coefficients(ddim(1.0), schedule, t, s)[2] < 0.995 * of_z


class Wave(nn.Module):
    def forward(self, x, t, cond=None):
        return torch.sin(2 * x + t[:, None])


def test_ancestral_on_a_chain_is_the_formula_of_ddpm():
    K = 20
    beta = [0.0, *betas.linear(K, 0.01, 0.3).tolist()]  # beta[k], k = 1..K
    alpha_bar = [math.prod(1 - b for b in beta[: k + 1]) for k in range(K + 1)]
    schedule = Discrete(torch.tensor(beta[1:], dtype=F64))
    denoiser, x = Denoiser(Wave(), schedule, EPS), normal(4, 2)
    for k in range(K, 0, -1):
        t, s, z = k / K, (k - 1) / K, normal(4, 2, seed=k)
        eps_hat = torch.sin(2 * x + t)
        mean = (x - beta[k] / math.sqrt(1 - alpha_bar[k]) * eps_hat) / math.sqrt(1 - beta[k])
        beta_tilde = (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]) * beta[k]
        c_t, c_0, variance, added = posterior(schedule, t, s)
        close(c_t, math.sqrt(1 - beta[k]) * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]), 1e-11)
        close(c_0, math.sqrt(alpha_bar[k - 1]) * beta[k] / (1 - alpha_bar[k]), 1e-11)
        close((variance, added), (beta_tilde, beta[k]), 1e-11)
        larger = take(ancestral_beta, denoiser, x, t, s, z)
        close(larger, mean + math.sqrt(beta[k]) * z if k > 1 else mean, 1e-11)
        x = take(ancestral, denoiser, x, t, s, z)
        close(x, mean + math.sqrt(beta_tilde) * z, 1e-11)


def edm_sampler(D, x, sigmas, churn, low, high, noise_scale, draw):
    """Karras et al. 2022, algorithm 2 (and 1, for churn = 0), in its own symbols."""
    N = len(sigmas) - 1
    for i in range(N):
        gamma = min(churn / N, math.sqrt(2) - 1) if low <= sigmas[i] <= high else 0.0
        sigma_hat = sigmas[i] + gamma * sigmas[i]
        x_hat = x
        if gamma > 0:
            x_hat = x + math.sqrt(sigma_hat**2 - sigmas[i] ** 2) * noise_scale * draw()
        d = (x_hat - D(x_hat, sigma_hat)) / sigma_hat
        x = x_hat + (sigmas[i + 1] - sigma_hat) * d
        if sigmas[i + 1] != 0:
            d_next = (x - D(x, sigmas[i + 1])) / sigmas[i + 1]
            x = x_hat + (sigmas[i + 1] - sigma_hat) * (d / 2 + d_next / 2)
    return x


@pytest.mark.parametrize("churn", [0.0, 3.0])
def test_heun_and_heun_churn_are_the_algorithms_of_edm(churn):
    def D(x, sigma):
        return torch.tanh(x / (1 + sigma)) + 0.1 * sigma / (1 + sigma)

    N, options = 12, (0.05, 50.0, 1.003)
    sigmas = [(80 ** (1 / 7) + i / (N - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(N)] + [0.0]
    denoiser = FromFunction(lambda x_t, t: D(x_t, 80 * t), EDM(80.0))
    draws, x = [normal(3, 2, seed=i) for i in range(N)], 80 * normal(3, 2)
    expected = edm_sampler(D, x, sigmas, churn, *options, iter(draws).__next__)
    times = [sigma / 80 for sigma in sigmas]
    for step in [heun_churn(churn / N, *options)] + [heun] * (churn == 0):
        close(sample(denoiser, x, times, step, iter(draws).__next__), expected)


@schedules
def test_dpmpp_2m_is_that_of_k_diffusion(schedule):
    """There alpha = 1; z = x/alpha and sigma/alpha translate."""
    denoiser = curved(schedule)
    times = [0.9, 0.75, 0.7, 0.5, 0.2, 0.05, 0.0]
    ratio = [schedule(t)[1] / schedule(t)[0] for t in times]
    x = schedule(0.9)[0] * normal(4, 2)
    z, old = x / schedule(0.9)[0], None
    for i in range(len(times) - 1):
        denoised = denoiser(schedule(times[i])[0] * z, times[i])
        if ratio[i + 1] == 0:
            z = denoised
            continue
        here, there = -math.log(ratio[i]), -math.log(ratio[i + 1])
        h, mixed = there - here, denoised
        if old is not None:
            r = (here + math.log(ratio[i - 1])) / h
            mixed = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * old
        z, old = math.exp(-there) / math.exp(-here) * z - math.expm1(-h) * mixed, denoised
    close(sample(denoiser, x, times, dpmpp_2m), z)


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"euler_t", "heun_t", "euler_maruyama(0)", "euler_maruyama(1)"}))
@pytest.mark.parametrize("other", [VP(), LinearPath(), SubVP()], ids=str)
def test_steps_agree_on_schedules_that_differ_by_a_scale(name, other):
    own = curved(EDM())
    levels = [-4.0, -1.0, 0.5, 2.0]
    here, there = ([schedule.inverse_logsnr(level) for level in levels] for schedule in (EDM(), other))
    scales = [other(b)[0] / EDM()(a)[0] for a, b in zip(here, there, strict=True)]
    x, draws = 7 * normal(4, 2), [normal(4, 2, seed=i) for i in range(3)]
    x_here = sample(own, x, here, STEPS[name], iter(draws).__next__)
    x_there = sample(own.on(other), scales[0] * x, there, STEPS[name], iter(draws).__next__)
    if name == "ancestral_beta":  # its noise is not that of any reverse process, and depends on the scale of x
        assert (x_there / scales[-1] - x_here).abs().max() > 0.01
    else:
        close(x_there / scales[-1], x_here, 1e-10)


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
