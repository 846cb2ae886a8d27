"""A shorter chain is another DDPM: its betas, the steps it keeps, and its samples by the paper's own formulas."""

import math

import pytest
import torch
from stepping import F64, close, normal
from torch import nn

from diffusion_book import grids
from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.predictions import EPS
from diffusion_book.samplers import ancestral, ancestral_beta, posterior, trajectory
from diffusion_book.schedules import Discrete, betas

SPACINGS = {"leading": grids.leading, "trailing": grids.trailing, "linspace": grids.linspace}
spaced = pytest.mark.parametrize("grid", SPACINGS.values(), ids=SPACINGS.keys())

# Which steps

# worked by hand; the first row of each is table 2 of Lin et al. 2024
BY_HAND = [
    ("leading", 10, 1000, [1, 101, 201, 301, 401, 501, 601, 701, 801, 901]),
    ("leading", 4, 10, [1, 3, 5, 7]),
    ("leading", 7, 10, [1, 2, 3, 4, 5, 6, 7]),
    ("leading", 1, 10, [1]),
    ("trailing", 10, 1000, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]),
    ("trailing", 4, 10, [2, 5, 8, 10]),  # 2.5, 5, 7.5, 10
    ("trailing", 7, 10, [1, 3, 4, 6, 7, 9, 10]),
    ("trailing", 1, 10, [10]),
    ("linspace", 10, 1000, [1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]),
    ("linspace", 4, 10, [1, 4, 7, 10]),
    ("linspace", 7, 10, [1, 2, 4, 6, 7, 8, 10]),  # 1, 2.5, 4, 5.5, 7, 8.5, 10
    ("linspace", 2, 10, [1, 10]),
]


@pytest.mark.parametrize("name, n, steps, keep", BY_HAND)
def test_spacings_keep_the_steps_worked_by_hand(name, n, steps, keep):
    times = SPACINGS[name](n, steps)
    assert times.dtype == F64
    assert times.tolist() == [k / steps for k in reversed(keep)] + [0.0]
    assert grids.kept(times, steps).tolist() == keep


@spaced
def test_all_steps_are_the_chain_itself(grid):
    assert torch.equal(grid(10, 10), Discrete(betas.linear(10)).times().flip(0))


@spaced
@pytest.mark.parametrize("steps", [2, 7, 12, 50])
def test_no_step_is_kept_twice_whatever_their_number(grid, steps):
    for n in range(2, steps + 1):
        keep = grids.kept(grid(n, steps), steps)
        assert len(keep) == n
        assert (keep.diff() > 0).all()
        assert 1 <= keep[0] <= keep[-1] <= steps


def test_only_leading_misses_the_time_of_pure_noise():
    first = {name: grid(20, 1000)[0].item() for name, grid in SPACINGS.items()}
    assert first == {"leading": 0.951, "trailing": 1.0, "linspace": 1.0}
    last = {name: grid(20, 1000)[-2].item() for name, grid in SPACINGS.items()}
    assert last == {"leading": 0.001, "trailing": 0.05, "linspace": 0.001}


@spaced
def test_a_chain_is_not_made_longer(grid):
    with pytest.raises(BookError, match="a chain of 10 steps cannot be shortened to 11: ask for at most 10"):
        grid(11, 10)
    with pytest.raises(BookError, match="at least 1 step, but got 0"):
        grid(0, 10)


def test_linspace_needs_room_for_both_ends():
    with pytest.raises(BookError, match="at least 2 steps"):
        grids.linspace(1, 10)


@pytest.mark.parametrize("keep", [[], [0, 1], [2, 2], [3, 1], [1, 11], [1.5, 2.0], 3], ids=str)
def test_bad_steps_are_refused(keep):
    for use in (lambda: grids.chain(keep, 10), lambda: betas.respaced(betas.linear(10), keep)):
        with pytest.raises(BookError, match="whole numbers that rise within 1 to 10"):
            use()


@pytest.mark.parametrize("times", [[0.5, 0.25, 0.0], [0.5, 0.1]])
def test_times_off_the_chain_are_refused(times):
    with pytest.raises(BookError, match=r"miss the steps k/10 of the chain, or its end 0"):
        grids.kept(times, 10)


# The shorter chain


def test_respaced_betas_by_hand():
    chain = torch.tensor([1 / 2, 1 / 3, 1 / 4, 1 / 5], dtype=F64)  # alpha_bar = 1/2, 1/3, 1/4, 1/5
    close(betas.respaced(chain, [2, 4]), [2 / 3, 2 / 5])
    close(betas.respaced(chain, [1, 2, 4]), [1 / 2, 1 / 3, 2 / 5])
    close(betas.respaced(chain, [3]), [3 / 4])
    close(betas.respaced(chain, [1, 2, 3, 4]), chain)
    close(betas.respaced(betas.respaced(chain, [1, 2, 4]), [1, 3]), betas.respaced(chain, [1, 4]))


def test_zero_terminal_snr_survives_respacing():
    short = betas.respaced(betas.zero_terminal(betas.scaled_linear(50)), grids.kept(grids.trailing(5, 50), 50))
    assert short[-1] == 1
    assert Discrete(short)(1.0) == (0.0, 1.0)


@spaced
def test_the_shorter_chain_has_the_noise_levels_of_the_steps_it_keeps(grid):
    long, times = Discrete(betas.linear(100, 1e-3, 0.1)), grid(12, 100)
    short = Discrete(betas.respaced(long.betas, grids.kept(times, 100)))
    for here, there in zip(short(short.times().flip(0)), long(times), strict=True):
        close(here, there)


class Wave(nn.Module):
    """A network that hears the time, so that a wrong time is a wrong answer."""

    def forward(self, x, t, cond=None):
        return torch.sin(2 * x + 3 * t[:, None])


def ddpm(alpha_bar, told, x, draws, larger):
    """Ho et al. 2020, algorithm 2, on a chain given by (alpha_bar_0 = 1, ..., alpha_bar_n); step j tells told[j]."""
    path = []
    for j in range(len(alpha_bar) - 1, 0, -1):
        beta = 1 - alpha_bar[j] / alpha_bar[j - 1]
        variance = beta if larger else (1 - alpha_bar[j - 1]) / (1 - alpha_bar[j]) * beta
        eps_hat = torch.sin(2 * x + 3 * told[j])
        x = (x - beta / math.sqrt(1 - alpha_bar[j]) * eps_hat) / math.sqrt(1 - beta)
        if j > 1:
            x = x + math.sqrt(variance) * next(draws)
        path.append(x)
    return path


@spaced
@pytest.mark.parametrize("step", [ancestral, ancestral_beta], ids=["beta_tilde", "beta"])
def test_ancestral_on_some_steps_is_ddpm_on_the_respaced_chain(grid, step):
    K, n = 40, 7
    beta = betas.linear(K, 0.005, 0.1).tolist()
    times = grid(n, K)
    keep = grids.kept(times, K).tolist()
    alpha_bar = [1.0] + [math.prod(1 - b for b in beta[:k]) for k in keep]
    told = [0.0] + [k / K for k in keep]
    denoiser, x = Denoiser(Wave(), Discrete(torch.tensor(beta, dtype=F64)), EPS), normal(5, 2)
    draws = [normal(5, 2, seed=j) for j in range(1, n)]

    walked = [x_s for _, x_s, _ in trajectory(denoiser, x, times, step, iter(draws).__next__)]
    expected = ddpm(alpha_bar, told, x, iter(draws), larger=step is ancestral_beta)
    assert len(walked) == len(expected) == n
    for here, there in zip(walked, expected, strict=True):
        close(here, there)

    # the same sampler again: the short chain as a schedule, under which the denoiser finds its own time by the SNR
    short = Discrete(betas.respaced(denoiser.schedule.betas, keep))
    again = trajectory(denoiser.on(short), x, short.times().flip(0), step, iter(draws).__next__)
    for here, (_, there, _) in zip(walked, again, strict=True):
        close(here, there, 1e-10)

    # and what it is not: the network told j/n, the position in the short chain
    wrong = ddpm(alpha_bar, [j / n for j in range(n + 1)], x, iter(draws), larger=step is ancestral_beta)
    assert (wrong[-1] - walked[-1]).abs().max() > 1e-3


@spaced
def test_both_variances_of_a_long_jump_are_those_of_the_respaced_chain(grid):
    K = 40
    long, times = Discrete(betas.linear(K, 0.005, 0.1)), grid(7, K)
    short = betas.respaced(long.betas, grids.kept(times, K)).tolist()  # beta'_1, ..., beta'_n
    alpha_bar = [math.prod(1 - b for b in short[:j]) for j in range(len(short) + 1)]
    for j, (t, s) in enumerate(zip(times.flip(0)[1:].tolist(), times.flip(0).tolist(), strict=False), start=1):
        _, _, beta_tilde, beta = posterior(long, t, s)
        close(beta, short[j - 1])
        close(beta_tilde, (1 - alpha_bar[j - 1]) / (1 - alpha_bar[j]) * short[j - 1])
    # the betas of the kept steps alone would add far too little noise
    assert long.betas[grids.kept(times, K) - 1].sum() < 0.5 * sum(short)
