"""Metrics: closed forms where there are any, and an order that a person would agree with."""

import math

import pytest
import torch

from diffusion_book import metrics
from diffusion_book.data import fashion_mnist
from diffusion_book.errors import BookError


def normal(n, d=4, mean=0.0, deviation=1.0, seed=0):
    return mean + deviation * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def test_images():
    return fashion_mnist("test").images


def test_frechet_is_the_closed_form_between_gaussians():
    """Same samples, moved by m and stretched by s: |m|^2 + sum of (s - 1)^2 v_i, exactly, for diagonal stretching."""
    x = normal(500)
    moved = 3.0 + 2.0 * x
    mean_shift = (moved.mean(0) - x.mean(0)).square().sum()
    expected = (mean_shift + (2.0 - 1.0) ** 2 * torch.cov(x.T).trace()).item()
    assert metrics.frechet_distance(moved, x) == pytest.approx(expected, rel=1e-6)


def test_frechet_from_stored_moments_is_frechet_from_features():
    a, b = normal(300, seed=1), normal(400, mean=0.5, seed=2)
    assert metrics.frechet_distance(a, metrics.moments(b)) == pytest.approx(metrics.frechet_distance(a, b), rel=1e-12)


def test_stored_reference_is_that_of_the_shipped_images():
    images = fashion_mnist("train").images[:1000]
    fresh, stored = metrics.moments(metrics.features(images)), metrics.reference()
    assert stored["num_samples"] == 10_000
    # a tenth of the set, balanced by class, has nearly the mean of all
    error = fresh["sum"] / 1000 - stored["sum"] / 10_000
    deviation = (stored["cov_sum"].diagonal() / 10_000 - (stored["sum"] / 10_000) ** 2).sqrt()
    assert (error.abs() / deviation).max() < 4 / math.sqrt(1000)


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    same, spread = metrics.kernel_distance(normal(1000, seed=1), normal(1000, seed=2))
    moved, _ = metrics.kernel_distance(normal(1000, seed=1), normal(1000, mean=0.5, seed=2))
    assert abs(same) < 2 * spread
    # E (f.g/4 + 1)^3 by hand: x = f.g/4 has E x = |m|^2/4 = 0.25 (or 0) and the cubes follow; the shift dominates
    assert moved > 10 * spread


def test_kernel_distance_against_the_explicit_double_sum():
    a, b = normal(60, seed=3), normal(60, mean=0.3, seed=4)

    def k(u, v):
        return (u @ v.T / 4 + 1) ** 3

    def off_diagonal(m):
        return (m.sum() - m.diagonal().sum()) / (60 * 59)

    expected = off_diagonal(k(a, a)) + off_diagonal(k(b, b)) - 2 * k(a, b).mean()
    got, spread = metrics.kernel_distance(a, b, subsets=2, size=60)
    assert got == pytest.approx(expected.item(), rel=1e-9)
    assert spread == pytest.approx(0, abs=1e-12)


def test_precision_and_recall_tell_missing_modes_from_wrong_samples():
    real = torch.cat([normal(200, seed=1), normal(200, mean=20.0, seed=2)])
    half = normal(400, seed=3)
    wrong = torch.cat([normal(200, seed=4), normal(200, mean=-20.0, seed=5)])
    precision, recall = metrics.precision_recall(half, real)
    assert precision > 0.9
    assert recall == pytest.approx(0.5, abs=0.06)
    precision, recall = metrics.precision_recall(wrong, real)
    assert precision == pytest.approx(0.5, abs=0.06)
    assert metrics.precision_recall(real, real) == (1.0, 1.0)


def test_precision_counts_points_within_the_kth_neighbours_radius():
    """On the line 0, 1, 2, 3, 4 with k = 2, the ball of 0 has radius 2, of 1 has 1 (to 0 and 2): 5.9 is in the ball of 4."""
    real = torch.arange(5.0)[:, None]
    samples = torch.tensor([[5.9], [6.1], [50.0], [60.0], [70.0]])
    assert metrics.precision_recall(samples, real, neighbours=2)[0] == 1 / 5
    with pytest.raises(BookError, match="more than 2"):
        metrics.precision_recall(samples[:2], real, neighbours=2)


def test_energy_distance_of_two_shifted_normals():
    """In one dimension 2 E|a - b| - E|a - a'| - E|b - b'| has a closed form, from E|N(m, 2)|."""
    m = 1.0
    folded = 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
    expected = 2 * folded - 2 * 2 / math.sqrt(math.pi)
    values = [metrics.energy_distance(normal(1000, 1, seed=s), normal(1000, 1, m, seed=100 + s)) for s in range(8)]
    mean, error = torch.tensor(values).mean().item(), torch.tensor(values).std().item() / math.sqrt(8)
    assert abs(mean - expected) < 4 * error
    floor = [metrics.energy_distance(normal(1000, 1, seed=s), normal(1000, 1, seed=200 + s)) for s in range(8)]
    assert abs(torch.tensor(floor).mean()) < 4 * torch.tensor(floor).std() / math.sqrt(8)


def test_sliced_wasserstein_of_a_shift_is_its_length_over_root_d():
    a = normal(500, 3)
    shift = torch.tensor([3.0, 4.0, 0.0])
    assert metrics.sliced_wasserstein(a, a + shift, slices=20_000) == pytest.approx(5 / math.sqrt(3), rel=0.02)
    with pytest.raises(BookError, match="one size"):
        metrics.sliced_wasserstein(a, a[:100])


def test_worse_images_score_worse(test_images):
    reference = metrics.reference()

    def score(images):
        return metrics.frechet_distance(metrics.features(images[:1000]), reference)

    floor, some, more = score(test_images), *(score(metrics.noisy(test_images, d)) for d in (0.02, 0.05))
    assert floor < some < more < score(metrics.blurred(test_images))


def test_floats_are_not_compared(test_images):
    with pytest.raises(BookError, match="as bytes"):
        metrics.features(test_images.float())


def test_noise_and_blur_do_what_they_say(test_images):
    grey = torch.full((1, 1, 28, 28), 128, dtype=torch.uint8)
    assert metrics.noisy(grey.expand(50, 1, 28, 28), 0.05).double().std().item() == pytest.approx(0.05 * 255, rel=0.02)
    dot = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    dot[0, 0, 14, 14] = 90
    assert metrics.blurred(dot)[0, 0, 13:16, 13:16].eq(10).all()
    assert metrics.blurred(grey).eq(128).all()


def test_stored_calibration_meets_the_bounds_that_the_book_promises():
    """Demo model: at most half of blur after at most three minutes, each training seed. Shipped: a quarter of noise 0.05."""
    stored = metrics.calibration()
    assert stored["samples"] == 2000
    assert len(stored["demo"]["values"]) >= 3
    assert max(stored["demo"]["values"]) <= stored["blur"]["mean"] / 2
    assert max(stored["demo"]["training_seconds"]) <= 180
    assert len(stored["shipped model"]["values"]) >= 3
    assert max(stored["shipped model"]["values"]) <= stored["noise 0.05"]["mean"] / 4
