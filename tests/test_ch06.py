"""The numbered equations of chapter 6, each held against something that is not the function it belongs to."""

import math

import pytest
import torch
from stepping import F64, close, normal
from torch.distributions import MultivariateNormal

from diffusion_book import divergence, elbo, gaussian_elbo, sde
from diffusion_book.checks.ch06 import density_error
from diffusion_book.denoiser import FromFunction
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.likelihood import continuity, encode, gaussian_flow, log_density, log_normal, slerp, solve_ode
from diffusion_book.schedules import VE, VP, Cosine, LinearPath

MIXTURE = GaussianMixture([0.3, 0.7], [[2.0, 0.0], [-1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 0.6]]])
GAUSSIAN = GaussianMixture([1.0], [[0.4, -0.3, 0.1]], [[[0.5, 0.2, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.05]]])
SCHEDULES = [VP(), Cosine(), LinearPath(), VE()]
FINE = {"rtol": 1e-9, "atol": 1e-9}
schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


@pytest.mark.equation("eq-continuity")
@schedules
@pytest.mark.parametrize("t", [0.2, 0.6])
def test_the_flow_changes_the_density_as_time_does_and_as_the_sde_does(schedule, t):
    """-div v - v . score against a difference in time of the mixture's own log p_t, and against Fokker-Planck."""
    x, h, denoiser = 1.5 * normal(20, 2), 1e-5, MIXTURE.denoiser(schedule)
    change = continuity(lambda y: denoiser.velocity(y, t), lambda y: MIXTURE.log_prob(y, *schedule(t)), x)
    later, earlier = (MIXTURE.log_prob(x, *schedule(t + d)) for d in (h, -h))
    close(change, (later - earlier) / (2 * h), 1e-6)
    close(change, sde.fokker_planck(schedule, lambda y: MIXTURE.log_prob(y, *schedule(t)), x, t), 1e-9)
    assert change.abs().mean() > 0.1


@pytest.mark.equation("eq-flow-ode")
@schedules
def test_the_velocity_is_the_drift_less_half_the_noises_push(schedule):
    """f x - g^2/2 score with a score by differences of log p_t, against the view that a network's answer goes through."""
    t, h, x = 0.4, 1e-5, normal(10, 2)
    alpha, sigma = schedule(t)
    axes = torch.eye(2, dtype=F64)
    score = torch.stack(
        [
            (MIXTURE.log_prob(x + h * e, alpha, sigma) - MIXTURE.log_prob(x - h * e, alpha, sigma)) / (2 * h)
            for e in axes
        ],
        1,
    )
    answers = FromFunction(lambda x_t, t: MIXTURE.denoise(x_t, *schedule(t)), schedule)
    close(answers.velocity(x, t), schedule.drift(t) * x - schedule.diffusion(t) ** 2 / 2 * score, 1e-7)


@pytest.mark.equation("eq-gaussian-flow")
@schedules
def test_the_written_flow_is_the_solvers_and_whitens(schedule):
    t, s = 0.05, 0.8
    alpha, sigma = schedule(t)
    x = alpha * GAUSSIAN.sample(8, seed=0) + sigma * normal(8, 3, seed=1)
    moved, log_det = gaussian_flow(GAUSSIAN, schedule, x, t, s)
    close(moved, encode(GAUSSIAN.denoiser(schedule), x, [t, s], **FINE), 1e-7)
    # the map carries one Gaussian into the other, so the densities differ by the log det
    before, after = (
        MultivariateNormal(a * GAUSSIAN.mean, a**2 * GAUSSIAN.covariance + b**2 * torch.eye(3, dtype=F64))
        for a, b in (schedule(t), schedule(s))
    )
    close(before.log_prob(x), after.log_prob(moved) + log_det, 1e-9)
    back, log_back = gaussian_flow(GAUSSIAN, schedule, moved, s, t)
    close(back, x, 1e-10)
    close(log_back, -log_det)


def test_the_flow_of_a_mixture_is_not_written_down():
    with pytest.raises(BookError, match="one Gaussian, but this mixture has 2"):
        gaussian_flow(MIXTURE, VP(), normal(2, 2), 0.1, 0.9)


@pytest.mark.equation("eq-slerp")
def test_an_arc_turns_at_constant_speed_and_keeps_the_length():
    a, b = normal(5, 2, 3), normal(5, 2, 3, seed=1)
    b = b * (a.flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).reshape(-1, 1, 1)

    def cosine(p, q):
        return torch.cosine_similarity(p.flatten(1), q.flatten(1))

    for w in (0.0, 0.2, 0.5, 1.0):
        c = slerp(a, b, w)
        close(c.flatten(1).norm(dim=1), a.flatten(1).norm(dim=1))
        close(cosine(a, c), torch.cos(w * torch.acos(cosine(a, b))))
    close(slerp(a, 3 * b, 1.0), 3 * b)
    with pytest.raises(BookError, match="no single arc"):
        slerp(a, -a, 0.5)


def test_no_power_of_the_time_places_twenty_steps_well_and_a_shifted_logarithm_does():
    """Exercise 6.5: what its hint says, and that its target of a tenth tells the two apart with room on both sides."""
    starts = (5e-4, 1e-3, 1.6e-3)
    even = [density_error(torch.linspace(start, 1, 21, dtype=F64)) for start in starts]

    def worst(curve, inverse):
        """The largest share of the even steps' error, over the starts, for equal steps in curve(t)."""
        grids = [inverse(torch.linspace(curve(start), curve(1.0), 21, dtype=F64)) for start in starts]
        return max(density_error(times) / error for times, error in zip(grids, even, strict=True))

    for power in (0.2, 0.25, 0.3, 1 / 3, 0.35, 0.4, 0.425, 0.5, 0.6, 0.7, 0.8):
        assert worst(lambda t, p=power: t**p, lambda y, p=power: y ** (1 / p)) > 0.12
    for shift in (0.02, 0.03, 0.05):
        assert worst(lambda t, c=shift: math.log(t + c), lambda y, c=shift: y.exp() - c) < 0.08


@pytest.mark.equation("eq-instantaneous")
@schedules
def test_the_volume_is_the_log_determinant_of_the_flow_map(schedule):
    """Its Jacobian by differences of the solver's own end points."""
    t, s, h = 0.1, 0.7, 1e-4
    denoiser, x = MIXTURE.denoiser(schedule), schedule(t)[0] * MIXTURE.sample(6, seed=0)
    result = log_density(denoiser, x, [t, s], log_prior=lambda y: MIXTURE.log_prob(y, *schedule(s)), **FINE)
    columns = [
        (encode(denoiser, x + h * e, [t, s], **FINE) - encode(denoiser, x - h * e, [t, s], **FINE)) / (2 * h)
        for e in torch.eye(2, dtype=F64)
    ]
    close(result.volume, torch.logdet(torch.stack(columns, 2)), 1e-5)
    close(result.log_p, MIXTURE.log_prob(x, *schedule(t)), 1e-7)


A = torch.tensor([[1.3, 0.7, -0.2], [0.1, -0.9, 0.5], [2.0, 0.3, 0.4]], dtype=F64)


@pytest.mark.equation("eq-flow-trace")
def test_the_mean_over_all_signs_is_the_trace_and_that_of_the_basis_too():
    """Every probe of three signs once: no chance is left. And sqrt(D) e_i, drawn evenly, has E[v v^T] = I too."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=F64)] * 3)
    for probes in (signs, 3**0.5 * torch.eye(3, dtype=F64)):
        estimate = divergence.hutchinson(divergence.fixed(probes))
        _, traces = estimate(lambda x: x @ A.T, normal(len(probes), 3))
        close(traces.mean(), A.trace())


@pytest.mark.equation("eq-flow-trace")
def test_the_variance_of_signs_is_that_of_the_off_diagonal_alone_and_gaussians_add_the_diagonal():
    S, n = (A + A.T) / 2, 40_000
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=F64)] * 3)
    off = 2 * (S - torch.diag(S.diag())).square().sum()
    close((signs @ A * signs).sum(1).var(unbiased=False), off)
    for probe, expected in ((divergence.rademacher, off), (divergence.gaussian, 2 * S.square().sum())):
        estimate = divergence.hutchinson(probe(torch.Generator().manual_seed(0)))
        _, traces = estimate(lambda x: x @ A.T, torch.zeros(n, 3, dtype=F64))
        assert abs(traces.var() / expected - 1) < 4 * (14 / n) ** 0.5
    # of 784 axes of one stretch signs are certain, which no other probe is
    _, exact = divergence.hutchinson(divergence.rademacher(torch.Generator()))(lambda x: 2 * x, torch.zeros(5, 784))
    close(exact, [1568.0] * 5)


@pytest.mark.equation("eq-gaussian-decoder")
@pytest.mark.parametrize("variance", [None, 0.3])
def test_the_gaussian_decoder_is_a_density_of_torch(variance):
    schedule, x, eps, t = LinearPath(), normal(4, 2, 3), normal(4, 2, 3, seed=1), 0.1
    denoiser = FromFunction(lambda x_t, t: torch.tanh(x_t), schedule)
    alpha, sigma = schedule(t)
    width = math.sqrt(variance) if variance else sigma / alpha
    mean = torch.tanh(alpha * x + sigma * eps)
    expected = -torch.distributions.Normal(mean, width).log_prob(x).flatten(1).sum(1)
    close(elbo.gaussian_reconstruction(denoiser, x, t, eps, variance), expected)
    if variance is None:  # and in the noise: D log(2 pi sigma^2/alpha^2)/2 + |eps - eps_hat|^2/2
        eps_hat = (alpha * x + sigma * eps - alpha * mean) / sigma
        noise = 3 * math.log(2 * math.pi * (sigma / alpha) ** 2) + (eps - eps_hat).square().flatten(1).sum(1) / 2
        close(expected, noise, 1e-10)
    with pytest.raises(BookError, match="must be positive"):
        elbo.gaussian_reconstruction(denoiser, x, t, eps, 0.0)


@pytest.mark.equation("eq-flow-bits")
def test_bits_of_the_flow_are_those_of_the_levels_in_their_own_units():
    """x = (u + r)/128 - 1 under VP; the exact density of u + r by torch, in units of a level."""
    schedule, S = VP(), 0.05 * GAUSSIAN.covariance
    data = GaussianMixture([1.0], GAUSSIAN.means, S[None])
    x = data.sample(20, seed=2)
    last = 1.0
    result = log_density(
        data.denoiser(schedule), x, [1e-5, last], log_prior=lambda y: data.log_prob(y, *schedule(last)), **FINE
    )
    levels = MultivariateNormal(128 * (data.mean + 1), 128**2 * S)
    close(result.bits_per_dim(), -levels.log_prob(128 * (x + 1)) / (3 * math.log(2)), 1e-3)
    shifted = result.bits_per_dim(127.5) - result.bits_per_dim()
    close(shifted, [math.log2(127.5 / 128)] * 20)


def test_for_exact_scores_the_bound_the_ode_and_the_truth_are_one_number():
    """Gaussian data: the continuous bound with its Gaussian decoder, the ODE, and the entropy, without a sample."""
    schedule, first, last = VP(), 1e-3, 1.0
    data = GaussianMixture([1.0], [[0.2]], [0.3])
    alpha, sigma = schedule(first)
    left = 0.3 * sigma**2 / (alpha**2 * 0.3 + sigma**2)  # Var[x | x_t]
    decoder = math.log(2 * math.pi * math.e * left) / 2
    limit = gaussian_elbo.continuous_diffusion(data, schedule, first, last)
    prior = gaussian_elbo.expected_prior(data, schedule, last)
    # what the bound is above the truth is the mismatch of the prior, KL(p_1 || N(0, I))
    a, s = schedule(last)
    mismatch = elbo.gaussian_kl(a * 0.2, a**2 * 0.3 + s**2, 0.0, 1.0).item()
    close(prior + limit + decoder - gaussian_elbo.entropy(data), mismatch, 1e-10)
    points = normal(4000, 1, seed=1)
    got = elbo.gaussian_reconstruction(data.denoiser(schedule), data.sample(4000, seed=0), first, points, left)
    assert abs(got.mean().item() - decoder) < 4 * got.std().item() / 4000**0.5


@pytest.mark.parametrize("a, B, cheaper", [([1.3], [10.05], "bound"), ([1.3, 0.7], [5.0, 5.0], "ode")])
def test_a_wrong_score_can_favour_the_ode_or_the_bound(a, B, cheaper):
    """Score -a x over stretches of beta-time. ODE, SDE and bound: the last is never below the second."""
    variance_ode, variance_sde, bound = 1.0, 1.0, 0.0
    for slope, length in zip(a, B, strict=True):  # from noise to data
        variance_ode, _ = solve_ode(
            lambda t, V, c=slope: -(c - 1) * V,
            torch.tensor([variance_ode], dtype=F64),
            [0.0, length],
            rtol=1e-9,
            atol=1e-9,
        )
        variance_ode = variance_ode.item()
        rest = 1 / (2 * slope - 1)
        variance_sde = rest + (variance_sde - rest) * math.exp(-(2 * slope - 1) * length)
        bound += (slope - 1) ** 2 * length / 2
    ode, sde_excess = (elbo.gaussian_kl(0.0, 1.0, 0.0, V).item() for V in (variance_ode, variance_sde))
    close(variance_ode, math.exp(-sum((s - 1) * b for s, b in zip(a, B, strict=True))), 1e-6)
    assert sde_excess < bound
    assert (ode < bound) == (cheaper == "ode")
    x = normal(3, 1)
    close(log_normal(x, variance_ode), -(x[:, 0] ** 2 / variance_ode + math.log(2 * math.pi * variance_ode)) / 2)
