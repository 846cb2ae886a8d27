"""What is minimized: the denoising loss under any row, and the laws from which its times are drawn. See chapter 2."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.predictions import expand


def denoising_loss(
    denoiser: Denoiser,
    x: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    weight: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """(B,) losses, the mean over an image's dimensions of |y_hat - y|^2 at x_t = alpha x + sigma eps, y = a x + b eps.

    x (B, ...), t (B,) in (0, 1], eps like x. `weight`, a function of the log-SNR, multiplies the row's own loss;
    a curve of `predictions`, which weighs |x_hat - x|^2, has to be divided by `loss_scale` for that.
    Raises BookError where shapes do not fit. Source: Ho et al. 2020, eq. 14; Salimans & Ho 2022, section 4.
    """
    if eps.shape != x.shape or t.shape != x.shape[:1]:
        raise BookError(f"x {tuple(x.shape)}, t {tuple(t.shape)} and eps {tuple(eps.shape)} do not fit: one t a row")
    alpha, sigma = denoiser.schedule(t)
    x_t = expand(alpha, x) * x + expand(sigma, x) * eps
    y = denoiser.prediction.target(denoiser.schedule, t, x, eps)
    loss = (denoiser.output(x_t, t) - y).square().flatten(1).mean(1)
    return loss if weight is None else loss * weight(denoiser.schedule.logsnr(t)).to(loss)


@dataclass(frozen=True)
class Uniform:
    """t = low + (high - low) u."""

    low: float = 1e-5
    high: float = 1.0

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogitNormal:
    """log(t/(1 - t)) ~ N(mean, std^2): most of the training at middling noise. Source: Esser et al. 2024, eq. 19."""

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))


@dataclass(frozen=True)
class Steps:
    """t_k = k/K with k uniform in 1..K: the times of a discrete chain."""

    steps: int = 1000

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return ((u * self.steps).floor() + 1).clamp(max=self.steps) / self.steps


TimeLaw = Uniform | LogitNormal | Steps


def spread(start: torch.Tensor, n: int) -> torch.Tensor:
    """n numbers in (0, 1), evenly spaced from a random `start`: each is uniform, together they cover the interval.

    Source: Kingma et al. 2021, appendix I.1 (the low-discrepancy sampler).
    """
    u = (start + torch.arange(n, dtype=torch.float64) / n) % 1
    return u.clamp(1e-6, 1 - 1e-6)
