"""The ODE's log-density against the mixture's own, its round trip, and what the counterexample of chapter 6 says."""

import math

import pytest
import torch

from diffusion_book import divergence, elbo, likelihood
from diffusion_book.denoiser import FromFunction
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.likelihood import decode, encode, log_density, solve_ode
from diffusion_book.schedules import EDM, VE, VP, Cosine, LinearPath, SubVP
from tests.stepping import close, normal

F64 = torch.float64
MIXTURE = GaussianMixture([0.3, 0.7], [[2.0, 0.0], [-1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 0.6]]])
SCHEDULES = {"VP": VP(), "Cosine": Cosine(), "LinearPath": LinearPath(), "VE": VE(), "EDM": EDM(), "SubVP": SubVP()}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
FINE = {"rtol": 1e-9, "atol": 1e-9}


def noised(schedule, t, n=12):
    alpha, sigma = schedule(t)
    return alpha * MIXTURE.sample(n, seed=0) + sigma * normal(n, 2, seed=1)


# The solver


@pytest.mark.parametrize("method", likelihood.ADAPTIVE + likelihood.FIXED)
def test_every_solver_finds_a_curve_that_is_known_on_the_way_up_and_down(method):
    """d(x, y)/dt = (-x, 2 t y) from t = 0.2 to 1 and back."""
    x, y = normal(3), normal(3, seed=1)
    times = torch.linspace(0.2, 1.0, 401, dtype=F64)
    tolerance = {"euler": 2e-2, "fehlberg2": 1e-3}.get(method, 1e-4)
    (x_1, y_1), n = solve_ode(lambda t, state: (-state[0], 2 * t * state[1]), (x, y), times, method)
    close(x_1, x * math.exp(-0.8), tolerance)
    close(y_1, y * math.exp(0.96), tolerance)
    x_0, _ = solve_ode(lambda t, x: -x, x_1, times.flip(0), method)
    close(x_0, x, tolerance)
    assert n >= 400 if method in likelihood.FIXED else n < 2000


def test_a_smaller_tolerance_means_a_smaller_error_and_more_evaluations():
    x, errors, counts = normal(4), [], []
    for tolerance in (1e-3, 1e-6, 1e-9):
        end, n = solve_ode(lambda t, x: torch.cos(8 * t + x), x, [0.0, 1.0], "dopri5", tolerance, tolerance)
        exact, _ = solve_ode(lambda t, x: torch.cos(8 * t + x), x, torch.linspace(0, 1, 2001), "rk4")
        errors.append((end - exact).abs().max().item())
        counts.append(n)
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert counts[0] < counts[1] < counts[2]


def test_a_solver_never_asks_beyond_the_ends():
    asked = []
    solve_ode(lambda t, x: (asked.append(t), x)[1], normal(2), [0.3, 0.9])
    assert min(asked) == 0.3
    assert 0.9 - 1e-12 < max(asked) <= 0.9


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0.0, 1.0], "rk45"), "no solver 'rk45'"),
        (([0.0, 0.5, 0.3],), "rise or fall strictly"),
        (([0.5],), "at least two"),
    ],
)
def test_bad_solver_input_is_told_what_to_do(arguments, message):
    with pytest.raises(BookError, match=message):
        solve_ode(lambda t, x: x, normal(2), *arguments)


def test_a_field_that_explodes_is_reported_and_not_returned_as_nan():
    with pytest.raises(BookError, match="gave up"):
        solve_ode(lambda t, x: x**2, torch.tensor([10.0], dtype=F64), [0.0, 1.0])


# Densities


@pytest.mark.equation("eq-instantaneous")
@schedules
def test_log_density_from_the_oracles_own_prior_is_the_mixtures(schedule):
    first, last = schedule.first_t, schedule.last_t
    x = noised(schedule, first)
    result = log_density(
        MIXTURE.denoiser(schedule), x, log_prior=lambda y: MIXTURE.log_prob(y, *schedule(last)), **FINE
    )
    close(result.log_p, MIXTURE.log_prob(x, *schedule(first)), 1e-7)
    assert result.volume.abs().mean() > 0.3
    assert result.evaluations > 50


def test_the_two_errors_left_out_are_the_prior_and_the_first_time():
    schedule = VP()
    x = MIXTURE.sample(200, seed=0)
    first, last = 1e-5, 1.0
    alpha, sigma = schedule(first)
    x_first = alpha * x + sigma * normal(200, 2, seed=2)
    options = {"times": [first, last], **FINE}
    usual = log_density(MIXTURE.denoiser(schedule), x_first, **options).log_p
    exact = MIXTURE.log_prob(x_first, alpha, sigma)
    # E[log p_1 - log N(0, I)] = KL(p_1 || N(0, I)), whose leading part is |E x_1|^2/2
    assert 1e-6 < (usual - exact).abs().mean() < 0.02
    assert (exact - MIXTURE.log_prob(x)).abs().mean() < 0.05


@schedules
def test_round_trip(schedule):
    x = noised(schedule, schedule.first_t)
    denoiser = MIXTURE.denoiser(schedule)
    code = encode(denoiser, x, **FINE)
    assert (decode(denoiser, code, **FINE) - x).abs().max() <= 1e-6
    alpha, sigma = schedule(schedule.last_t)
    assert (code - x).abs().max() > 0.1 * sigma


@pytest.mark.equation("eq-gaussian-flow")
def test_the_flow_of_a_gaussian_is_the_one_that_is_known():
    """x_t = m_t + sqrt(V_t/V_s) (x_s - m_s)."""
    schedule, gaussian = VP(), GaussianMixture([1.0], [[0.7]], [0.3])
    (a_0, s_0), (a_1, s_1) = schedule(0.01), schedule(0.8)
    x = normal(6, 1)
    V_0, V_1 = a_0**2 * 0.3 + s_0**2, a_1**2 * 0.3 + s_1**2
    expected = a_1 * 0.7 + (V_1 / V_0) ** 0.5 * (x - a_0 * 0.7)
    close(encode(gaussian.denoiser(schedule), x, [0.01, 0.8], **FINE), expected, 1e-7)
    result = log_density(gaussian.denoiser(schedule), x, [0.01, 0.8], log_prior=lambda y: 0 * y[:, 0], **FINE)
    close(result.volume, [math.log(V_1 / V_0) / 2] * 6, 1e-7)


@pytest.mark.equation("eq-flow-trace")
def test_hutchinsons_log_density_is_unbiased_and_a_wrong_probe_is_not():
    schedule, n = VP(), 1000
    x = noised(schedule, 0.05, 1).expand(n, 2).clone()
    times = torch.linspace(0.05, 1.0, 61, dtype=F64)
    exact = log_density(MIXTURE.denoiser(schedule), x[:1], times, method="rk4").volume.item()
    draw = divergence.rademacher(torch.Generator().manual_seed(0))(x)
    for scale, right in ((1.0, True), (1.3, False)):
        probe = divergence.hutchinson(divergence.fixed(scale * draw))
        volume = log_density(MIXTURE.denoiser(schedule), x, times, probe, method="rk4").volume
        error = volume.std().item() / n**0.5
        deviation = abs(volume.mean().item() - exact)
        assert deviation < 4 * error if right else deviation > 10 * error


# Units


@pytest.mark.equation("eq-flow-bits")
def test_bits_per_dim_of_a_gaussian_whose_likelihood_is_known():
    """8-bit values u with (u + U)/128 - 1 ~ N(m, v): -log2 p(u + U) = -log2 p(x) + 7."""
    schedule, m, v, D = VP(), -0.2, 0.05, 4
    data = GaussianMixture([1.0], [[m] * D], [v])
    x = data.sample(300, seed=3)
    result = log_density(
        data.denoiser(schedule), x, [1e-5, 1.0], log_prior=lambda y: data.log_prob(y, *schedule(1.0)), **FINE
    )
    entropy = D / 2 * math.log2(2 * math.pi * math.e * v * 128**2)  # of the values on the scale of u
    bits = result.bits_per_dim()
    assert abs(bits.mean().item() - entropy / D) < 4 * bits.std().item() / 300**0.5
    by_values = GaussianMixture([1.0], [[128 * (m + 1)] * D], [v * 128**2])
    close(bits, -by_values.log_prob(128 * (x + 1)) / (D * math.log(2)), 1e-3)


def test_log_normal():
    x = normal(3, 2, 2)
    close(likelihood.log_normal(x, 1.7), GaussianMixture([1.0], [[0.0] * 4], [1.7]).log_prob(x))


# The counterexample: no theorem puts the ODE's value below the bound


def test_for_a_wrong_score_the_ode_can_exceed_the_elbo():
    """Data N(0, 1) under VP, score -a x with a = 1.3. The ODE gives N(0, e^{-(a-1) B}), B the integral of beta."""
    schedule, a = VP(), 1.3

    def x_hat(x, t):
        alpha, sigma = schedule(t)
        return (x - a * sigma**2 * x) / alpha

    model, B = FromFunction(x_hat, schedule), schedule.integral(1.0)
    x = normal(5, 1)
    result = log_density(model, x, [1e-6, 1.0], log_prior=lambda y: likelihood.log_normal(y, 1.0), **FINE)
    close(result.log_p, likelihood.log_normal(x, math.exp(-(a - 1) * B)), 1e-4)
    # in expectation over the data: KL of the ODE's model, and KL of the paths of the SDE, which the ELBO adds
    variance = math.exp(-(a - 1) * B)
    ode_excess = (1 / variance - 1 + math.log(variance)) / 2
    t = torch.linspace(0, 1, 4001, dtype=F64)[1:] - 1 / 8000
    sde_excess = (schedule.diffusion(t) ** 2 * (a - 1) ** 2 / 2).mean().item()
    close(sde_excess, (a - 1) ** 2 * B / 2, 1e-6)
    assert ode_excess > 10 * sde_excess
    # the continuous ELBO of the package says the second: its excess over the same bound with the true score
    eps, points, level = normal(20_000, 1, seed=1), normal(20_000, 1, seed=2), t[torch.arange(20_000) % 4000]
    right = FromFunction(
        lambda x, t: schedule(t)[0][:, None] * x if isinstance(t, torch.Tensor) else schedule(t)[0] * x, schedule
    )
    wrong = FromFunction(lambda x, t: (x - a * schedule(t)[1][:, None] ** 2 * x) / schedule(t)[0][:, None], schedule)
    difference = elbo.continuous_diffusion_loss(wrong, points, level, eps) - elbo.continuous_diffusion_loss(
        right, points, level, eps
    )
    assert abs(difference.mean().item() - sde_excess) < 4 * difference.std().item() / 20_000**0.5
