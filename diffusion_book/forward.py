"""The forward process: the chain step by step, the same in one jump, and whose noise the picture holds. See chapter 1."""

import math
from collections.abc import Callable, Iterator

import torch

from diffusion_book.errors import BookError
from diffusion_book.predictions import combine
from diffusion_book.schedules.base import Schedule, Time


def chain_step(x: torch.Tensor, beta: float, eps: torch.Tensor) -> torch.Tensor:
    """x_k = sqrt(1 - beta_k) x_{k-1} + sqrt(beta_k) eps_k, like x. Source: Ho et al. 2020, eq. 2."""
    return combine(math.sqrt(1 - beta), x, math.sqrt(beta), eps)


def chain(x: torch.Tensor, betas: torch.Tensor, noise: Callable[[], torch.Tensor]) -> Iterator[torch.Tensor]:
    """x_1, x_2, ..., x_K of one walk along the chain; `noise()` is drawn once a step and looks like x."""
    for beta in betas.tolist():
        x = chain_step(x, beta, noise())
        yield x


def noised(schedule: Schedule, t: Time, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """x_t = alpha(t) x + sigma(t) eps, like x: any number of steps in one jump. t is a number, or (B,).

    Source: Ho et al. 2020, eq. 4 for a chain; Kingma et al. 2021, eq. 1.
    """
    alpha, sigma = schedule(t)
    return combine(alpha, x, sigma, eps)


def noise_shares(betas: torch.Tensor, k: int) -> torch.Tensor:
    """(k,): the variance in x_k of the noise that step j = 1..k added, beta_j prod_{i=j+1}^k (1 - beta_i).

    They sum to 1 - alpha_bar_k. Raises BookError unless 1 <= k <= K.
    """
    if not 1 <= k <= len(betas):
        raise BookError(f"a chain of {len(betas)} steps has no step {k}: they are numbered 1 to {len(betas)}")
    betas = betas[:k].double()
    kept_later = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - betas.flip(0), 0)[:-1]])
    return betas * kept_later.flip(0)
