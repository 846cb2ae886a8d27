"""Time grids against independent formulas, and the noise of image i against every way of asking for it."""

import math

import numpy as np
import pytest
import torch

from diffusion_book import grids
from diffusion_book.errors import BookError
from diffusion_book.noise import Noise, mix
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, LinearPath, Shifted, SubVP, betas

F64 = torch.float64
SCHEDULES = [VP(), Cosine(), LinearPath(), VE(), EDM(), SubVP(), Shifted(Cosine(), 3.0), Discrete(betas.linear(100))]
GRIDS = {
    "uniform": lambda n, schedule: grids.uniform(n),
    "quadratic": lambda n, schedule: grids.quadratic(n),
    "shifted": lambda n, schedule: grids.shifted(n, 3.0),
    "logsnr": grids.logsnr,
    "karras": grids.karras,
}


def close(value, expected, tolerance=1e-12):
    torch.testing.assert_close(value, torch.as_tensor(expected, dtype=F64), rtol=tolerance, atol=tolerance)


# Grids


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("n", [1, 2, 10, 50])
def test_n_steps_fall_strictly_from_noise_to_0(n, grid, schedule):
    times = grid(n, schedule)
    assert times.dtype == F64
    assert times.shape == (n + 1,)
    assert (times.diff() < 0).all()
    assert times[-1] == 0
    assert 0.2 < times[0] <= 1


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("n", [0, -3])
def test_fewer_steps_than_one_are_refused(grid, n):
    with pytest.raises(BookError, match=f"at least 1 step, but got {n}"):
        grid(n, VP())


def test_uniform_has_equal_steps_between_its_ends():
    close(grids.uniform(4), [1.0, 0.75, 0.5, 0.25, 0.0])
    close(grids.uniform(4, 0.9, 0.1), [0.9, 0.7, 0.5, 0.3, 0.1])


def test_quadratic_has_equal_steps_in_the_root_of_t():
    close(grids.quadratic(4), [1.0, 9 / 16, 4 / 16, 1 / 16, 0.0])
    close(grids.quadratic(2, 0.81, 0.01), [0.81, 0.25, 0.01])


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_shifted_is_a_uniform_grid_on_a_shifted_schedule(shift):
    close(grids.shifted(4, 3.0), [1.0, 2.25 / 2.5, 1.5 / 2, 0.75 / 1.5, 0.0])
    here, there = LinearPath(), Shifted(LinearPath(), shift)
    for curve, expected in zip(here(grids.shifted(8, shift, 0.9)), there(grids.uniform(8, 0.9)), strict=True):
        close(curve, expected)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_logsnr_has_equal_steps_in_logsnr_and_then_one_to_0(schedule):
    times = grids.logsnr(9, schedule)
    assert times[0] == schedule.last_t
    close(times[-2], schedule.first_t, 1e-9)
    levels = schedule.logsnr(times[:-1])
    close(levels.diff(), levels.diff().mean().expand(8), 1e-6)
    between = grids.logsnr(5, schedule, 0.8, 0.2)
    assert between[0] == 0.8
    close(between[[2, 4]], [schedule.inverse_logsnr((schedule.logsnr(0.8) + schedule.logsnr(0.2)) / 2), 0.2], 1e-9)


def test_karras_on_the_schedule_of_edm_is_equation_5():
    n = 18
    times = grids.karras(n, EDM(80.0))
    sigmas = [(80 ** (1 / 7) + i / (n - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(n)]
    close(80 * times, [*sigmas, 0.0], 1e-11)
    close(80 * grids.karras(3, EDM(80.0), 1.0, 16.0, rho=2.0), [16.0, 2.5**2, 1.0, 0.0], 1e-11)


@pytest.mark.parametrize("schedule", [VP(), Cosine(), LinearPath(), SubVP()], ids=str)
def test_karras_on_any_schedule_is_that_of_edm_at_the_same_noise_to_signal_ratio(schedule):
    alpha, sigma = schedule(grids.karras(7, schedule, 0.05, 20.0)[:-1])
    close(sigma / alpha, 80 * grids.karras(7, EDM(80.0), 0.05, 20.0)[:-1], 1e-8)


def test_karras_stays_within_what_the_schedule_can_reach():
    chain = Discrete(betas.linear(100, 0.01, 0.05))
    times = grids.karras(10, chain)
    close(times[[0, -2]], [1.0, 0.01], 1e-9)


# Noise


def test_image_i_has_the_same_noise_in_every_batch():
    whole = Noise(5, (7, 1, 3, 3))
    first, second = Noise(5, (3, 1, 3, 3)), Noise(5, (4, 1, 3, 3), first=3)
    for _ in range(3):  # draw after draw
        assert torch.equal(whole(), torch.cat([first(), second()]))


def test_another_dtype_is_the_same_noise():
    assert torch.equal(Noise(5, (2, 3), dtype=F64)(), Noise(5, (2, 3))().double())
    assert torch.equal(Noise(5, (2, 3), dtype=torch.bfloat16)(), Noise(5, (2, 3))().bfloat16())


def test_the_global_generator_is_neither_used_nor_moved():
    state = torch.get_rng_state()
    before = Noise(5, (2, 3))()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(Noise(5, (2, 3))(), before)


def test_images_seeds_and_draws_all_differ():
    first, other = Noise(5, (50, 4)), Noise(6, (50, 4))
    draws = torch.cat([first(), first(), first(), other()])
    assert len(draws.unique(dim=0)) == 200
    # image i of seed 5 is not image i + 1 of seed 4, as it would be if streams were seeded with their sum
    assert not torch.equal(Noise(5, (1, 4), first=1)(), Noise(6, (1, 4), first=0)())


def test_noise_is_standard_normal_and_uncorrelated():
    noise = Noise(0, (2000, 10))
    z = torch.cat([noise(), noise()], 1).double()  # two draws of 10: 20 numbers of 2000 images
    error = 1 / math.sqrt(2000 * 20)
    assert abs(z.mean()) < 4 * error
    assert abs(z.var() - 1) < 4 * math.sqrt(2) * error
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96) * error
    correlation = torch.corrcoef(z.T) - torch.eye(20, dtype=F64)
    assert correlation.abs().max() < 5 / math.sqrt(2000)
    assert abs((z[1:] * z[:-1]).mean()) < 4 * error  # neighbouring images


def test_a_mixed_seed_is_a_63_bit_function_of_all_its_parts():
    assert mix(1, "a") == mix(1, "a")
    seeds = {mix(a, b) for a in range(100) for b in range(100)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix(1, 23) != mix(12, 3)
    assert mix(np.int64(3), "a") == mix(3, "a")
    assert abs(sum(seeds) / len(seeds) / 2**63 - 0.5) < 4 / math.sqrt(12 * 10_000)
