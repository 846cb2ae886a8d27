"""Langevin against its exact stationary law on Gaussian data, and the steps made of it against the mixture."""

import math

import pytest
import torch

from diffusion_book import grids, samplers
from diffusion_book.denoiser import FromFunction
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.langevin import (
    annealed_langevin,
    langevin,
    langevin_ratio,
    predictor_corrector,
    stationary_variance,
    walk,
)
from diffusion_book.noise import Noise
from diffusion_book.schedules import VE, VP, LinearPath
from tests.stepping import close, normal

MEAN, VARIANCE, T = 0.7, 1.3, 0.4


def gaussian(schedule, variance=VARIANCE):
    return GaussianMixture([1.0], [[MEAN]], [variance]).denoiser(schedule)


def law(schedule, t, variance=VARIANCE):
    alpha, sigma = schedule(t)
    return alpha * MEAN, alpha**2 * variance + sigma**2


def affine(step, denoiser, t, s):
    """(A, b, C) of x_s = A x + b + C z."""
    x, z = torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64), torch.tensor([[0.0], [0.0], [1.0]]).double()
    b, with_x, with_z = step(denoiser, x, t, s, {}, lambda: z).flatten().tolist()
    return with_x - b, b, with_z - b


@pytest.mark.parametrize("schedule", [VP(), VE(0.05, 5.0), LinearPath()], ids=str)
@pytest.mark.parametrize("relative", [0.02, 0.3, 1.0, 3.5])
def test_the_stationary_law_of_a_gaussian_is_the_fixed_point_of_the_exact_recursion(schedule, relative):
    mean, variance = law(schedule, T)
    size = relative * variance
    A, b, C = affine(langevin(size), gaussian(schedule), T, T)
    close(A, 1 - size / (2 * variance))
    close(b / (1 - A), mean)
    close(C**2 / (1 - A**2), stationary_variance(size, variance))
    close(stationary_variance(size, variance), variance / (1 - size / (4 * variance)))


def test_its_error_is_of_first_order_in_the_size():
    errors = [stationary_variance(size, VARIANCE) / VARIANCE - 1 for size in (0.01, 0.02)]
    assert abs(math.log2(errors[1] / errors[0]) - langevin(0.1).order) < 0.01


def test_simulation_agrees_with_the_stationary_variance_and_not_with_the_mixed_form():
    schedule, n, size = VE(0.05, 5.0), 4000, 0.6
    mean, variance = law(schedule, T)
    size = size * variance
    for step, right in ((langevin(size), True), (mixed(size), False)):
        x = mean + variance**0.5 * normal(n, 1, seed=1)
        noise = Noise(2, (n, 1), dtype=torch.float64)
        *_, x = walk(gaussian(schedule), x, T, 60, step, noise)
        expected, error = stationary_variance(size, variance), (2 / n) ** 0.5
        deviation = abs(x.var().item() / expected - 1) / error
        assert deviation < 4 if right else deviation > 10
        if right:
            assert abs(x.mean().item() - mean) < 4 * (expected / n) ** 0.5


def mixed(size):
    """The drift of one form with the noise of the other."""
    return lambda denoiser, x, t, s, memory, noise: x + size / 2 * denoiser.score(x, s) + math.sqrt(2 * size) * noise()


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan])
def test_a_size_must_be_positive(size):
    for make in (langevin, langevin_ratio, annealed_langevin):
        with pytest.raises(BookError, match="positive"):
            make(size)


def test_steps_too_large_for_a_variance_have_no_stationary_law():
    with pytest.raises(BookError, match="smaller than 4"):
        stationary_variance(4.0, 1.0)


def test_langevin_has_no_score_to_follow_at_sigma_0():
    with pytest.raises(BookError, match="sigma = 0"):
        langevin(0.1)(FromFunction(lambda x, t: x, VP()), normal(1, 1), 0.0, 0.0, {}, lambda: normal(1, 1))


@pytest.mark.parametrize("ratio", [0.05, 0.16])
def test_with_a_ratio_the_noise_is_that_much_longer_than_the_drift(ratio):
    x, z, denoiser = normal(3, 1, 2, 2), normal(3, 1, 2, 2, seed=1), FromFunction(lambda x, t: torch.tanh(x), VP())
    moved = langevin_ratio(ratio)(denoiser, x, 0.5, 0.5, {}, lambda: z) - x
    score = denoiser.score(x, 0.5)
    # moved = size/2 score + sqrt(size) z: solve both lengths from the two known directions, row by row
    for row in range(3):
        basis = torch.stack([score[row].flatten(), z[row].flatten()], 1)
        drift, spread = torch.linalg.lstsq(basis, moved[row].flatten()[:, None]).solution.flatten()
        close(drift * 2, spread**2, 1e-9)
        close(drift * score[row].norm() / (spread * z[row].norm()), ratio, 1e-9)


def test_annealed_langevin_moves_at_the_next_level_by_a_size_in_units_of_its_variance():
    schedule, n = VE(0.05, 5.0), 3
    (_, sigma_s), (_mean, variance) = schedule(0.3), law(schedule, 0.3)
    one = affine(annealed_langevin(0.2, 1), gaussian(schedule), 0.5, 0.3)
    close(one[0], 1 - 0.2 * sigma_s**2 / (2 * variance))
    close(one[2] ** 2, 0.2 * sigma_s**2)
    A, _, C = affine(annealed_langevin(0.2, n), gaussian(schedule), 0.5, 0.3)
    close(A, one[0] ** n)  # the same z three times: the noises add up with these factors
    close(C, one[2] * (1 + one[0] + one[0] ** 2))
    assert annealed_langevin(0.2, n).nfe == n


def test_annealed_langevin_carries_the_signal_to_the_level_and_ends_on_x_hat():
    schedule, x = VP(), normal(5, 1)
    (alpha_t, _), (alpha_s, sigma_s) = schedule(0.5), schedule(0.3)
    moved = annealed_langevin(0.2, 1)(gaussian(schedule), x, 0.5, 0.3, {}, lambda: torch.zeros(5, 1).double())
    scaled = alpha_s / alpha_t * x
    close(moved, scaled + 0.1 * sigma_s**2 * gaussian(schedule).score(scaled, 0.3))
    close(annealed_langevin()(gaussian(schedule), x, 0.5, 0.0, {}, None), gaussian(schedule)(x, 0.5))
    with pytest.raises(BookError, match="no signal to keep"):
        annealed_langevin()(gaussian(LinearPath()), x, 1.0, 0.5, {}, None)


def test_a_corrector_mends_the_law_that_a_coarse_predictor_spoiled():
    """Means and variances propagated exactly: five steps of Euler-Maruyama, with and without Langevin behind each."""
    schedule, times = VP(), torch.linspace(0.9, 0.1, 6, dtype=torch.float64).tolist()
    size = 0.05

    def error(step):
        mean, variance = law(schedule, 0.9)
        for t, s in zip(times, times[1:], strict=False):
            for part in step:
                A, b, C = affine(part, gaussian(schedule), t, s)
                mean, variance, t = A * mean + b, A**2 * variance + C**2, s
        exact_mean, exact = law(schedule, 0.1)
        return abs(mean - exact_mean) / exact**0.5 + abs(variance / exact - 1)

    predictor, corrector = samplers.ddim(0.0), langevin(size)
    bare, mended = error([predictor]), error([predictor] + 60 * [corrector])
    assert mended < bare / 3
    both, z = predictor_corrector(predictor, corrector, 2), normal(4, 1)
    x, draws = normal(4, 1, seed=1), iter([z, -z])
    by_hand = predictor(gaussian(schedule), x, 0.5, 0.4, {}, None)
    for noise in (z, -z):
        by_hand = corrector(gaussian(schedule), by_hand, 0.4, 0.4, {}, lambda noise=noise: noise)
    close(both(gaussian(schedule), x, 0.5, 0.4, {}, lambda: next(draws)), by_hand)
    close(both(gaussian(schedule), x, 0.5, 0.0, {}, None), gaussian(schedule)(x, 0.5))
    assert both.nfe == 3


def test_annealing_finds_the_weights_that_langevin_at_one_level_cannot():
    mixture = GaussianMixture([0.8, 0.2], [[-4.0], [4.0]], [0.1, 0.1])
    schedule, n = VE(0.05, 10.0), 2000
    denoiser, share = mixture.denoiser(schedule), (0.8 * 0.2 / n) ** 0.5
    noise = Noise(0, (n, 1), dtype=torch.float64)
    start = (
        8 * torch.rand(n, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 4
    )  # half on each side
    *_, stuck = walk(denoiser, start, 0.05, 300, langevin(0.02), noise)
    assert abs((stuck > 0).double().mean().item() - 0.2) > 10 * share
    x = samplers.sample(denoiser, samplers.prior(schedule, noise), grids.uniform(60), annealed_langevin(0.2, 10), noise)
    assert abs((x > 0).double().mean().item() - 0.2) < 4 * share


def test_moves_are_at_least_one():
    with pytest.raises(BookError, match="at least 1 move"):
        annealed_langevin(0.1, 0)
    with pytest.raises(BookError, match="at least 1 move"):
        predictor_corrector(samplers.ddim(0.0), langevin(0.1), 0)
