"""Langevin dynamics: noise and score in balance. Steps at one time, under the contract of `samplers`. See chapters 4, 5.

x + (size/2) grad log p(x) + sqrt(size) z has p itself as its law that stays, up to an error of first order in `size`.
Papers that write eps grad log p + sqrt(2 eps) z mean size = 2 eps.
"""

import math
from collections.abc import Iterator

import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.samplers import Step, declare


def langevin(size: float) -> Step:
    """x + size/2 score(x, s) + sqrt(size) z, one move under the law of x_s.

    Its order is that of the law it settles in, in powers of `size`. Raises BookError for a size that is not positive,
    and at sigma = 0. Source: Roberts & Tweedie 1996, section 1.2; Song & Ermon 2019, eq. 4.
    """
    _check_size(size)

    @declare(order=1, nfe=1)
    def step(denoiser, x, t, s, memory, noise):
        return x + size / 2 * denoiser.score(x, s) + math.sqrt(size) * noise()

    return step


def langevin_ratio(ratio: float = 0.16) -> Step:
    """`langevin` with the size at which the noise is 1/ratio times the drift: size = 4 (ratio |z|/|score|)^2, row by row.

    The corrector of predictor-corrector sampling. The size depends on the draw and on the place, so that its law is only
    nearly right. With many entries a row it rests on N(0, v I) at the variance (1 + ratio^2) v. With D entries a smaller
    ratio leads to (1 + 2/D)^2 v, not to v, and with three or fewer no variance settles. Source: Song et al. 2021,
    algorithms 4-5, where epsilon = size/2 and the norms are means over the batch; here a row is the same in every batch.
    """
    _check_size(ratio)

    @declare(order=1, nfe=1)
    def step(denoiser, x, t, s, memory, noise):
        z, score = noise(), denoiser.score(x, s)
        norms = (part.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1)) for part in (z, score))
        size = 4 * (ratio * next(norms) / next(norms)) ** 2
        return x + size / 2 * score + size.sqrt() * z

    return step


def annealed_langevin(size: float = 0.1, n: int = 10) -> Step:
    """n moves of `langevin` at the level s, of size sigma_s^2 size, after x was brought there by alpha_s/alpha_t.

    A move is then as long, measured in the noise, at each level. At sigma = 0 it returns x_hat, which the paper leaves
    out. Its law is not right to any order in the number of levels: `size` and n remain. Source: Song & Ermon 2019,
    algorithm 1, with size = epsilon/sigma_L^2; the last x_hat: Jolicoeur-Martineau et al. 2021, section 3.1.
    """
    _check_size(size)
    if n < 1:
        raise BookError(f"a level needs at least 1 move, but got n = {n}")

    @declare(order=0, nfe=n)
    def step(denoiser, x, t, s, memory, noise):
        (alpha_t, _), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        if sigma_s == 0:
            return denoiser(x, t)
        if alpha_t == 0:
            raise BookError(f"there is no signal to keep at t = {t:g}: start at t <= {denoiser.schedule.last_t:g}")
        x, move = alpha_s / alpha_t * x, langevin(sigma_s**2 * size)
        for _ in range(n):
            x = move(denoiser, x, s, s, memory, noise)
        return x

    return step


def predictor_corrector(predictor: Step, corrector: Step, n: int = 1) -> Step:
    """`predictor` from t to s, then n moves of `corrector` at s, which mend the law without moving in time.

    Nothing is corrected at sigma = 0. Source: Song et al. 2021, section 4.2 and algorithm 1.
    """
    if n < 1:
        raise BookError(f"a corrector takes at least 1 move, but got n = {n}")

    @declare(order=0, nfe=predictor.nfe + n * corrector.nfe)
    def step(denoiser, x, t, s, memory, noise):
        x = predictor(denoiser, x, t, s, memory, noise)
        if denoiser.schedule(s)[1] > 0:
            for _ in range(n):
                x = corrector(denoiser, x, s, s, {}, noise)
        return x

    return step


@torch.no_grad()
def walk(denoiser: PosteriorMean, x: torch.Tensor, t: float, n: int, step: Step, noise) -> Iterator[torch.Tensor]:
    """x after each of n steps that stay at time t."""
    memory: dict = {}
    for _ in range(n):
        x = step(denoiser, x, t, t, memory, noise)
        yield x


def stationary_variance(size: float, variance: float) -> float:
    """v/(1 - size/(4 v)): the variance at which `langevin` comes to rest on N(m, v). Its mean is right.

    The fixed point of V -> (1 - size/(2 v))^2 V + size. Raises BookError for size >= 4 v, where V grows without end.
    """
    _check_size(size)
    if not 0 < size < 4 * variance:
        raise BookError(
            f"on a variance of {variance:g} the steps must be smaller than {4 * variance:g}, but got {size:g}"
        )
    return variance / (1 - size / (4 * variance))


def _check_size(size: float) -> None:
    if not size > 0:
        raise BookError(f"a Langevin step must have a positive size, but got {size}")
