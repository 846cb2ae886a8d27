"""Four ways to fit a score model s(x) to the score of a density that is known by its samples alone. See chapter 4.

All are per row, (B,), in the units of |s|^2/2, summed over a row's entries. Up to a constant that no model can change,
their means over x are one and the same number: the Fisher divergence E|s - grad log p|^2/2.
"""

import torch

from diffusion_book import divergence
from diffusion_book.denoiser import PosteriorMean
from diffusion_book.divergence import Divergence, Field
from diffusion_book.errors import BookError
from diffusion_book.predictions import any_zero, combine, expand


def explicit(score: Field, x: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """|s(x) - truth|^2/2, truth = grad log p(x): the Fisher divergence, where the score is known already.

    Source: Hyvarinen 2005, eq. 2.
    """
    return _half_square(score(x) - truth)


def implicit(score: Field, x: torch.Tensor, div: Divergence = divergence.exact) -> torch.Tensor:
    """|s(x)|^2/2 + div s(x): `explicit` without the truth, and without E|grad log p|^2/2, by integration by parts.

    Source: Hyvarinen 2005, theorem 1.
    """
    value, trace = div(score, x)
    return _half_square(value) + trace


def sliced(score: Field, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """|s(x)|^2/2 + v^T J v, J the Jacobian of s, for a random v like x with E[v v^T] = I: `implicit` by one probe.

    Source: Song et al. 2019 (sliced score matching), eq. 8 (there SSM-VR).
    """
    return implicit(score, x, divergence.hutchinson(divergence.fixed(v)))


def denoising(score: Field, x: torch.Tensor, eps: torch.Tensor, sigma: float, alpha: float = 1.0) -> torch.Tensor:
    """|s(x_t) + eps/sigma|^2/2 at x_t = alpha x + sigma eps: -eps/sigma is the score of q(x_t | x).

    Its optimum is the score of the noised data, E[-eps/sigma | x_t], not of the data. Raises BookError for sigma = 0.
    Source: Vincent 2011, eq. 9-11.
    """
    if any_zero(sigma):
        raise BookError("denoising score matching needs noise: at sigma = 0 its target eps/sigma is infinite")
    return _half_square(score(combine(alpha, x, sigma, eps)) + eps / sigma)


def ncsn(denoiser: PosteriorMean, x: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """sigma^2 |s(x_t, t) + eps/sigma|^2/2: `denoising` at many levels, each weighted by its sigma^2, t of shape (B,).

    The weight makes all levels of one size: it is |eps_hat - eps|^2/2. Source: Song & Ermon 2019, eq. 5-6.
    """
    alpha, sigma = denoiser.schedule(t)
    x_t = combine(alpha, x, sigma, eps)
    return _half_square(expand(sigma, x) * denoiser.score(x_t, t) + eps)


def _half_square(rows: torch.Tensor) -> torch.Tensor:
    return rows.square().flatten(1).sum(1) / 2
