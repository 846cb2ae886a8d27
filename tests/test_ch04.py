"""The numbered equations of chapter 4, each held against something that is not the function it belongs to."""

import math

import numpy as np
import pytest
import torch
from stepping import F64, close, normal

from diffusion_book import divergence, predictions, score_matching
from diffusion_book.checks.ch04 import cooling_error, plain_cooling
from diffusion_book.denoiser import FromFunction
from diffusion_book.exact import GaussianMixture
from diffusion_book.langevin import annealed_langevin, langevin, stationary_variance
from diffusion_book.schedules import EDM, VE, VP, Cosine, LinearPath

LINE = GaussianMixture([0.6, 0.4], [[-1.2], [0.9]], [0.05, 0.15])
GRID = torch.linspace(-9, 9, 18_001, dtype=F64)[:, None]
MODELS = [lambda x: -0.7 * x + 0.2, lambda x: -2 * torch.tanh(3 * x), torch.sin]


def mean_over(mixture, values):
    return torch.trapezoid(mixture.log_prob(GRID).exp() * values, GRID[:, 0])


def nodes(n=90):
    """Gauss-Hermite points x of LINE and eps of N(0, 1), with weights: means without chance."""
    z, w = (torch.tensor(part) for part in np.polynomial.hermite_e.hermegauss(n))
    pairs, both = torch.cartesian_prod(z, z), torch.cartesian_prod(w, w).prod(1) / w.sum() ** 2
    x = torch.cat([m + v**0.5 * pairs[:, :1] for m, v in zip(LINE.means[:, 0], LINE.covariances, strict=True)])
    return x, pairs[:, 1:].repeat(2, 1), torch.cat([share * both for share in LINE.weights])


@pytest.mark.equation("eq-mixture-score")
@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.3), (0.8, 0.6), (0.2, 0.9)])
def test_the_score_of_a_noised_mixture_is_the_gradient_of_its_log_density(alpha, sigma):
    """The density by torch's distributions, of the sums alpha x + sigma eps part by part."""
    weights, means = torch.tensor([0.3, 0.7], dtype=F64), normal(2, 3)
    covariances = torch.stack([A @ A.T + 0.1 * torch.eye(3, dtype=F64) for A in normal(2, 3, 3, seed=1)])
    x_t = normal(5, 3, seed=2).requires_grad_()
    noised = alpha**2 * covariances + sigma**2 * torch.eye(3, dtype=F64)
    parts = torch.distributions.MultivariateNormal(alpha * means, noised)
    log_density = (weights.log() + parts.log_prob(x_t[:, None])).logsumexp(1)
    (expected,) = torch.autograd.grad(log_density.sum(), x_t)
    close(GaussianMixture(weights, means, covariances).score(x_t.detach(), alpha, sigma), expected, 1e-10)


@pytest.mark.equation("eq-fisher")
def test_the_fisher_divergence_of_two_gaussians_is_its_formula():
    """-(x - m)/v against -x on N(0, 1): E(-(x - m)/v + x)^2/2 = ((1 - 1/v)^2 + m^2/v^2)/2."""
    data, m, v = GaussianMixture([1.0], [[0.0]], [1.0]), 0.4, 1.7
    values = score_matching.explicit(lambda x: -(x - m) / v, GRID, data.score(GRID))
    close(mean_over(data, values), ((1 - 1 / v) ** 2 + (m / v) ** 2) / 2, 1e-9)


@pytest.mark.equation("eq-implicit", "eq-fisher")
def test_explicit_and_implicit_differ_by_half_the_mean_square_of_the_score():
    constant = mean_over(LINE, LINE.score(GRID).square()[:, 0]) / 2
    for model in MODELS:
        explicit = mean_over(LINE, score_matching.explicit(model, GRID, LINE.score(GRID)))
        close(explicit - mean_over(LINE, score_matching.implicit(model, GRID).detach()), constant, 1e-8)


@pytest.mark.equation("eq-implicit")
def test_the_best_strength_on_a_gaussian_is_one_over_its_variance():
    data, a = GaussianMixture([1.0], [[0.0]], [0.4]), torch.tensor(1 / 0.4, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(mean_over(data, score_matching.implicit(lambda x: -a * x, GRID)), a)
    close(slope, 0.0, 1e-8)


A = torch.tensor([[1.3, 0.7, -0.2], [0.1, -0.9, 0.5], [2.0, 0.3, 0.4]], dtype=F64)


def every_sign(D):
    """All 2^D probes of signs: their mean is the exact expectation."""
    return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=F64)] * D)


@pytest.mark.equation("eq-hutchinson")
def test_the_mean_over_all_sign_probes_is_the_trace():
    v = every_sign(3)
    _, answers = divergence.hutchinson(divergence.fixed(v))(lambda x: x @ A.T, torch.zeros_like(v))
    close(answers.mean(), A.trace())
    _, scaled = divergence.hutchinson(divergence.fixed(0.5 * v))(lambda x: x @ A.T, torch.zeros_like(v))
    close(scaled.mean(), A.trace() / 4)  # a probe of variance 1/4 answers a quarter


@pytest.mark.equation("eq-probe-variance", "eq-hutchinson")
def test_the_variance_of_signs_is_that_of_the_off_diagonal():
    v, S = every_sign(3), (A + A.T) / 2
    _, answers = divergence.hutchinson(divergence.fixed(v))(lambda x: x @ A.T, torch.zeros_like(v))
    close(answers.var(correction=0), 2 * (S.square().sum() - S.diag().square().sum()))


@pytest.mark.equation("eq-probe-variance")
def test_rademacher_draws_all_signs_equally_often():
    draws = divergence.rademacher(torch.Generator().manual_seed(0))(torch.zeros(8000, 3, dtype=F64))
    close(draws.abs(), torch.ones(8000, 3))
    counts = torch.bincount(((draws + 1) / 2 @ torch.tensor([4.0, 2.0, 1.0], dtype=F64)).long(), minlength=8)
    assert (counts - 1000).abs().max() < 4 * (8000 * 7 / 64) ** 0.5


@pytest.mark.equation("eq-marginal-score")
@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath(), VE(0.05, 5.0)], ids=str)
def test_the_score_is_the_mean_of_the_arrows_to_the_clean_points(schedule):
    """E[-eps/sigma | x_t] by Bayes on a grid of clean x, against the score made of x_hat alone."""
    alpha, sigma = schedule(0.4)
    x_t = torch.tensor([[-1.0], [0.1], [0.7]], dtype=F64)
    clean, p = GRID[:, 0], LINE.log_prob(GRID).exp()
    posterior = p * torch.exp(-((x_t - alpha * clean) ** 2) / (2 * sigma**2))
    eps = (x_t - alpha * clean) / sigma
    mean_eps = (posterior * eps).sum(1, keepdim=True) / posterior.sum(1, keepdim=True)
    denoiser = FromFunction(lambda x_t, t: LINE.denoise(x_t, *schedule(t)), schedule)
    close(denoiser.score(x_t, 0.4), -mean_eps / sigma, 1e-6)
    close(denoiser.eps(x_t, 0.4), -sigma * denoiser.score(x_t, 0.4), 1e-12)


@pytest.mark.equation("eq-denoising")
@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.5), (0.8, 0.6)])
def test_denoising_is_explicit_on_noised_data_and_a_constant(alpha, sigma):
    """By quadrature: the difference is the spread of the targets, whatever the model."""
    x, eps, w = nodes()
    x_t = alpha * x + sigma * eps
    truth = LINE.score(x_t, alpha, sigma)
    spread = w @ (-eps / sigma - truth).square()[:, 0] / 2
    for model in MODELS:
        denoising = w @ score_matching.denoising(model, x, eps, sigma, alpha)
        close(denoising - w @ score_matching.explicit(model, x_t, truth), spread, 1e-6)


@pytest.mark.equation("eq-denoising", "eq-implicit")
def test_implicit_and_denoising_have_one_gradient_on_the_same_noised_data_and_not_on_clean_data():
    x, eps, w = nodes()
    theta = torch.tensor([0.3, -0.7, 0.4], dtype=F64, requires_grad=True)
    model = lambda x: theta[0] + theta[1] * x + theta[2] * torch.sin(2 * x)  # noqa: E731
    noised, clean, denoised = (
        torch.autograd.grad(w @ loss, theta)[0]
        for loss in (
            score_matching.implicit(model, x + 0.5 * eps),
            score_matching.implicit(model, x),
            score_matching.denoising(model, x, eps, 0.5),
        )
    )
    close(noised, denoised, 1e-8)
    assert (clean - denoised).abs().max() > 0.1


@pytest.mark.equation("eq-tweedie")
@pytest.mark.parametrize("schedule", [VP(), LinearPath(), VE(0.05, 5.0)], ids=str)
def test_tweedies_step_along_the_arrow_is_the_posterior_mean(schedule):
    """E[x | x_t] by Bayes on a grid, the score by autograd of the log density."""
    alpha, sigma = schedule(0.4)
    x_t = torch.tensor([[-1.0], [0.1], [0.7]], dtype=F64, requires_grad=True)
    clean, p = GRID[:, 0], LINE.log_prob(GRID).exp()
    joint = p * torch.exp(-((x_t - alpha * clean) ** 2) / (2 * sigma**2))
    (score,) = torch.autograd.grad(joint.sum(1).log().sum(), x_t)
    expected = ((joint * clean).sum(1) / joint.sum(1))[:, None].detach()
    close(predictions.SCORE.solve_x(schedule, 0.4, x_t.detach(), score), expected, 1e-6)
    close((x_t.detach() + sigma**2 * score) / alpha, expected, 1e-6)


@pytest.mark.equation("eq-ncsn")
def test_the_weighted_loss_is_half_the_squared_error_of_the_noise():
    schedule, x, eps = VE(0.05, 5.0), normal(6, 2), normal(6, 2, seed=1)
    t = torch.linspace(0.1, 0.9, 6, dtype=F64)
    sigma = 0.05 * 100**t
    denoiser = FromFunction(lambda x_t, t: torch.tanh(x_t), schedule)
    x_t = x + sigma[:, None] * eps
    eps_hat = (x_t - torch.tanh(x_t)) / sigma[:, None]
    close(score_matching.ncsn(denoiser, x, t, eps), (eps - eps_hat).square().sum(1) / 2)


GAUSSIAN = GaussianMixture([1.0], [[0.0]], [1.75]).denoiser(EDM(1.0))  # at t = 1/2 its law is N(0, 2)


def factors(step, denoiser, t, s):
    """(A, C) of x' = A x + C z."""
    one, none = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)
    return [step(denoiser, x, t, s, {}, lambda z=z: z).item() for x, z in ((one, none), (none, one))]


@pytest.mark.equation("eq-langevin", "eq-stationary")
@pytest.mark.parametrize("size", [0.1, 0.5, 1.0, 2.0, 4.0, 6.0])
def test_the_recursion_propagated_exactly_comes_to_rest_at_the_formula(size):
    A, C = factors(langevin(size), GAUSSIAN, 0.5, 0.5)
    close([A, C], [1 - size / 4, math.sqrt(size)])
    variance = 2.0
    for _ in range(2000):
        variance = A**2 * variance + C**2
    assert abs(variance / (2 / (1 - size / 8)) - 1) < 1e-12
    assert abs(stationary_variance(size, 2.0) / (2 / (1 - size / 8)) - 1) < 1e-12


@pytest.mark.equation("eq-langevin")
def test_the_mixture_stays_under_small_steps_and_not_under_mixed_forms():
    """E f after one step minus before, divided by the size, for f = cos: of order `size`, if arrow and shake fit."""
    data, sigma = LINE.denoiser(EDM(1.0)), 0.5
    law = LINE.diffused(1.0, sigma)
    p, line = law.log_prob(GRID).exp(), GRID[:, 0]

    def drift_of_cos(size, arrow=1.0, shake=1.0):
        moved = langevin(size)(data, GRID, sigma, sigma, {}, lambda: torch.zeros_like(GRID))[:, 0]
        # E cos(m + sqrt(size) z) = cos(m) exp(-size/2)
        after = torch.cos(line + arrow * (moved - line)) * math.exp(-shake * size / 2)
        return (torch.trapezoid(p * (after - torch.cos(line)), line) / size).abs().item()

    assert drift_of_cos(0.001) < 0.002
    assert drift_of_cos(0.0005) / drift_of_cos(0.001) < 0.55
    assert drift_of_cos(0.001, arrow=2.0) > 0.05
    assert drift_of_cos(0.001, shake=2.0) > 0.05


@pytest.mark.equation("eq-annealed")
def test_annealed_steps_are_scaled_by_the_variance_of_the_noise():
    """On N(0, l) a move at sigma has the factors 1 - h sigma^2/(2 (l + sigma^2)) and sqrt(h) sigma."""
    schedule, l, h = VE(0.05, 5.0), 0.3, 0.2
    data = GaussianMixture([1.0], [[0.0]], [l]).denoiser(schedule)
    for t, s in ((0.9, 0.6), (0.5, 0.2)):
        sigma = 0.05 * 100**s
        close(
            factors(annealed_langevin(h, 1), data, t, s),
            [1 - h * sigma**2 / (2 * (l + sigma**2)), math.sqrt(h) * sigma],
        )


@pytest.mark.equation("eq-annealed")
def test_annealing_leaves_a_known_excess_across_a_thin_sheet():
    """l = 0: with the levels in a geometric row the variance over sigma^2 comes to a fixed point, worked out here."""
    schedule, h, n, levels = VE(0.05, 5.0), 0.2, 10, 40
    data = GaussianMixture([1.0], [[0.0]], [1e-12]).denoiser(schedule)
    times = torch.linspace(1, 0, levels + 1, dtype=F64)[:-1].tolist()
    variance = 25.0
    for t, s in zip(times, times[1:], strict=False):
        A, C = factors(annealed_langevin(h, 1), data, t, s)
        for _ in range(n):
            variance = A**2 * variance + C**2
    fall, keep, rest = 100 ** (-2 / levels), (1 - h / 2) ** (2 * n), 1 / (1 - h / 4)
    expected = rest * (1 - keep) / (1 - keep / fall)
    sigma = 0.05 * 100 ** times[-1]
    close(variance / sigma**2, expected, 1e-6)


def test_the_leftover_of_the_guess_is_tweedies_formula_differentiated():
    """Exercise 4.5 against the posterior covariance of a mixture in three dimensions."""
    mixture = GaussianMixture([0.4, 0.6], normal(2, 3), [0.3, 0.8])
    for alpha, sigma in ((1.0, 0.5), (0.6, 0.8)):
        x_t = normal(4, 3, seed=1)
        _, div = divergence.exact(lambda x, a=alpha, s=sigma: mixture.score(x, a, s), x_t)
        left = torch.stack([mixture.posterior(row, alpha, sigma).covariance.trace() for row in x_t])
        close(sigma**2 / alpha**2 * (3 + sigma**2 * div), left, 1e-9)


def test_the_open_exercise_can_be_solved_and_its_plain_row_is_the_annealing_of_the_package():
    plan = plain_cooling(5.0, 0.05, 120)
    schedule = VE(0.05, 5.0)
    data = GaussianMixture([1.0], [[0.0]], [0.3]).denoiser(schedule)
    variance, by_hand = 25.0, 25.0
    for sigma, h in plan[1:60].tolist():
        s = schedule.inverse_logsnr(-2 * math.log(sigma))
        A, C = factors(annealed_langevin(0.5, 1), data, s + 1e-3, s)
        variance = A**2 * variance + C**2
        by_hand = (1 - h / (2 * (0.3 + sigma**2))) ** 2 * by_hand + h
    close(variance, by_hand, 1e-9)
    assert 0.1 < cooling_error(plan, 5.0, 0.05) < 0.4
