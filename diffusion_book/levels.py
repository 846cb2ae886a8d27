"""The loss at each noise level: where a denoiser is good, which one number averaged over all times hides. See chapter 3."""

from dataclasses import dataclass

import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError


@dataclass(frozen=True, eq=False)
class LevelLosses:
    """At each of T times the mean over images, and its standard error, of |x_hat - x|^2 and |eps_hat - eps|^2.

    All are float64 (T,) on the CPU, per dimension of an image as in `denoising_loss`.
    """

    times: torch.Tensor
    x: torch.Tensor
    x_error: torch.Tensor
    eps: torch.Tensor
    eps_error: torch.Tensor


@torch.no_grad()
def losses_at(
    denoiser: PosteriorMean,
    x: torch.Tensor,
    times,
    eps: torch.Tensor,
    labels: torch.Tensor | None = None,
    batch: int = 250,
) -> LevelLosses:
    """Losses of images x (N, ...) at x_t = alpha x + sigma eps for each of the times: the same eps, like x, at all.

    |eps_hat - eps|^2 = (alpha/sigma)^2 |x_hat - x|^2, for both errors describe the same x_t. labels: int64 (N,) or None.
    The curve over times is smooth because the noise is shared; for the same reason its errors rise and fall together.
    Raises BookError where shapes do not fit, for fewer than 2 images, and at sigma = 0, where nothing is left to predict.
    """
    if eps.shape != x.shape or len(x) < 2:
        raise BookError(
            f"losses need at least 2 images and noise of their shape, got {tuple(x.shape)} and {tuple(eps.shape)}"
        )
    times = torch.as_tensor(times, dtype=torch.float64).cpu()
    rows = [_losses(denoiser, x, t, eps, labels, batch) for t in times.tolist()]
    x_loss, eps_loss = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])  # (T, N) each

    def error(loss):
        return loss.std(1) / len(x) ** 0.5

    return LevelLosses(times, x_loss.mean(1), error(x_loss), eps_loss.mean(1), error(eps_loss))


def _losses(denoiser, x, t, eps, labels, batch):
    """(|x_hat - x|^2, |eps_hat - eps|^2) of every image at one time."""
    alpha, sigma = denoiser.schedule(t)
    if sigma == 0:
        raise BookError(f"nothing is left to predict at t = {t:g}: the first usable t is {denoiser.schedule.first_t:g}")
    parts = []
    for first in range(0, len(x), batch):
        chosen = slice(first, first + batch)
        bound = denoiser if labels is None else denoiser.given(labels[chosen])
        x_hat = bound(alpha * x[chosen] + sigma * eps[chosen], t)
        parts.append((x_hat - x[chosen]).double().square().flatten(1).mean(1).cpu())
    x_loss = torch.cat(parts)
    return x_loss, (alpha / sigma) ** 2 * x_loss
