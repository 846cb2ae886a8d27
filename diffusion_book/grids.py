"""Time grids: where a sampler puts its steps. Each is a falling float64 tensor of n + 1 times that ends at 0.

See chapter 7.
"""

from collections.abc import Sequence

import torch

from diffusion_book.errors import BookError
from diffusion_book.schedules import Schedule
from diffusion_book.schedules.betas import check_steps


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


def chain(keep: Sequence[int], steps: int) -> torch.Tensor:
    """(k_n/K, ..., k_1/K, 0): the steps `keep`, k_1 < ... < k_n, of a chain of K = `steps`. See `betas.respaced`."""
    kept = check_steps(keep, steps)
    return torch.cat([kept.flip(0).double() / steps, torch.zeros(1, dtype=torch.float64)])


def kept(times: torch.Tensor, steps: int) -> torch.Tensor:
    """The inverse of `chain`: (k_1, ..., k_n). Raises BookError for times that are no walk along the chain to t = 0."""
    k = torch.as_tensor(times, dtype=torch.float64).flip(0) * steps
    if k[0] != 0 or bool(((k - k.round()).abs() > 1e-9).any()):
        raise BookError(f"these times miss the steps k/{steps} of the chain, or its end 0: make them with `chain`")
    return check_steps(k[1:].round().long(), steps)


def leading(n: int, steps: int = 1000) -> torch.Tensor:
    """k_j = 1 + (j - 1) floor(K/n): the first step of each of n stretches, so it starts below step K and ends at 1.

    It never sees t = 1 (unless n = K): pure noise is handed to the network at a time when it was used to some signal.
    Raises BookError for n > K. Source: Lin et al. 2024, table 2 (there of DDIM and PNDM).
    """
    _check(n, steps)
    return chain([1 + j * (steps // n) for j in range(n)], steps)


def trailing(n: int, steps: int = 1000) -> torch.Tensor:
    """k_j = round(j K/n): the last step of each of n stretches, so it starts at step K; halves round to even.

    The last jump, from step round(K/n) to 0, is as long as the others. Raises BookError for n > K.
    Source: Lin et al. 2024, table 2 (there of DPM-Solver), and what they recommend.
    """
    _check(n, steps)
    return chain([round(j * steps / n) for j in range(1, n + 1)], steps)


def linspace(n: int, steps: int = 1000) -> torch.Tensor:
    """k_j = round(1 + (j - 1) (K - 1)/(n - 1)): both step K and step 1; halves round to even.

    The last jump, from step 1 to 0, changes next to nothing. Raises BookError for n > K, and for n = 1, which cannot
    have both ends. Source: Lin et al. 2024, table 2 (there of Nichol & Dhariwal 2021).
    """
    _check(n, steps)
    if n == 1:
        raise BookError("linspace keeps both the first and the last step: ask for at least 2 steps, or use trailing")
    return chain([round(1 + j * (steps - 1) / (n - 1)) for j in range(n)], steps)


def _check(n: int, steps: int | None = None) -> None:
    if n < 1:
        raise BookError(f"a sampler needs at least 1 step, but got {n}")
    if steps is not None and n > steps:
        raise BookError(f"a chain of {steps} steps cannot be shortened to {n}: ask for at most {steps}")
