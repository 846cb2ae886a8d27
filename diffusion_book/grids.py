"""Time grids: where a sampler puts its steps. Each is a falling float64 tensor of n + 1 times that ends at 0.

See chapter 7.
"""

import torch

from diffusion_book.errors import BookError
from diffusion_book.schedules import Schedule


def uniform(n: int, start: float = 1.0, end: float = 0.0) -> torch.Tensor:
    """n steps of equal length in t."""
    _check(n)
    return torch.linspace(start, end, n + 1, dtype=torch.float64)


def quadratic(n: int, start: float = 1.0, end: float = 0.0) -> torch.Tensor:
    """Equal steps in sqrt(t): finer near the data. Source: Song et al. 2021 (DDIM), appendix D.2."""
    _check(n)
    return torch.linspace(start**0.5, end**0.5, n + 1, dtype=torch.float64) ** 2


def shifted(n: int, shift: float = 3.0, start: float = 1.0) -> torch.Tensor:
    """t -> shift t / (1 + (shift - 1) t): more steps at high noise for shift > 1; `start` is shifted too.

    Source: Esser et al. 2024, eq. 23.
    """
    if not shift > 0:
        raise BookError(f"the shift must be positive, but got {shift}")
    t = uniform(n, start)
    return shift * t / (shift * t + (1 - t))  # in this form exactly 1 at t = 1


def logsnr(n: int, schedule: Schedule, start: float | None = None, end: float | None = None) -> torch.Tensor:
    """n - 1 steps of equal length in log-SNR from `start` to `end`, then one to t = 0.

    The ends are the schedule's last and first usable times unless given. Source: Lu et al. 2022, section 3.3.
    """
    _check(n)
    start, end = schedule.last_t if start is None else start, schedule.first_t if end is None else end
    if not 0 < end < start or schedule(start)[0] == 0:
        raise BookError(
            f"log-SNR is finite between t = {schedule.first_t:g} and {schedule.last_t:g}: got {start} to {end}"
        )
    levels = torch.linspace(schedule.logsnr(start), schedule.logsnr(end), n, dtype=torch.float64)
    times = schedule.inverse_logsnr(levels)
    times[0] = start
    return torch.cat([times, torch.zeros(1, dtype=torch.float64)])


def karras(
    n: int, schedule: Schedule, ratio_min: float = 0.002, ratio_max: float = 80.0, rho: float = 7.0
) -> torch.Tensor:
    """Equal steps in (sigma/alpha)^(1/rho) from ratio_max to ratio_min, then one to t = 0.

    The ends are drawn in to what the schedule can reach. Source: Karras et al. 2022, eq. 5.
    """
    _check(n)
    alpha, sigma = schedule(torch.tensor([schedule.first_t, schedule.last_t], dtype=torch.float64))
    low, high = (sigma / alpha).tolist()
    low, high = max(low, ratio_min), min(high, ratio_max)
    if not 0 < low < high:
        raise BookError(
            f"no noise level of this schedule lies between ratio_min = {ratio_min} and ratio_max = {ratio_max}"
        )
    ratio = torch.linspace(high ** (1 / rho), low ** (1 / rho), n, dtype=torch.float64) ** rho
    times = schedule.inverse_logsnr(-2 * ratio.log())
    return torch.cat([times, torch.zeros(1, dtype=torch.float64)])


def _check(n: int) -> None:
    if n < 1:
        raise BookError(f"a sampler needs at least 1 step, but got {n}")
