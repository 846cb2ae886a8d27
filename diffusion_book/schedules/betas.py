"""The beta families of discrete diffusion: each gives (beta_1, ..., beta_K) as a float64 tensor."""

import math
from collections.abc import Sequence

import torch

from diffusion_book.errors import BookError


def linear(steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> torch.Tensor:
    """Equally spaced betas. Source: Ho et al. 2020, section 4."""
    return torch.linspace(start, end, steps, dtype=torch.float64)


def quadratic(steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> torch.Tensor:
    """Square roots equally spaced: beta_k = (sqrt(start) + (k-1)/(K-1) (sqrt(end) - sqrt(start)))^2.

    Source: Ho et al. 2020, appendix B and code.
    """
    return torch.linspace(math.sqrt(start), math.sqrt(end), steps, dtype=torch.float64) ** 2


def scaled_linear(steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> torch.Tensor:
    """The quadratic family between Stable Diffusion's ends. Its square roots are linear, the betas are not.

    Its own code calls it "linear", diffusers "scaled_linear". Source: Rombach et al. 2022, the released configuration.
    """
    return quadratic(steps, start, end)


def cosine(steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> torch.Tensor:
    """alpha_bar_k = h(k/K)/h(0) with h(u) = cos(pi/2 (u + offset)/(1 + offset))^2, the betas clipped at max_beta.

    Source: Nichol & Dhariwal 2021, eq. 17. h(0) makes alpha_bar_0 = 1; without the clip the last beta is 1. See chapter 1.
    """
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    h = torch.cos(math.pi / 2 * (u + offset) / (1 + offset)) ** 2
    return from_alpha_bar(h / h[0]).clamp(max=max_beta)


def sigmoid(steps: int = 1000, start: float = 1e-4, end: float = 0.02, width: float = 6.0) -> torch.Tensor:
    """An S between two betas: start + (end - start) sigmoid(u), -width <= u <= width.

    Source: the code of Song et al. 2021 (DDIM); diffusers names that of Xu et al. 2022 (GeoDiff).
    """
    u = torch.linspace(-width, width, steps, dtype=torch.float64)
    return start + (end - start) * torch.sigmoid(u)


def exponential(steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> torch.Tensor:
    """Equally spaced logarithms: each beta is the same multiple of the one before."""
    return torch.linspace(math.log(start), math.log(end), steps, dtype=torch.float64).exp()


def constant(steps: int = 1000, beta: float = 0.01) -> torch.Tensor:
    """The same beta at every step: alpha_bar_k = (1 - beta)^k."""
    return torch.full((steps,), beta, dtype=torch.float64)


def from_alpha_bar(alpha_bar: torch.Tensor) -> torch.Tensor:
    """beta_k = 1 - alpha_bar_k / alpha_bar_{k-1} from (alpha_bar_0 = 1, alpha_bar_1, ..., alpha_bar_K)."""
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


def respaced(betas: torch.Tensor, keep: Sequence[int]) -> torch.Tensor:
    """The betas of the shorter chain that visits the steps `keep`, k_1 < ... < k_n, and has the same alpha_bar at each:

        beta'_j = 1 - alpha_bar_{k_j}/alpha_bar_{k_{j-1}},   k_0 = 0.

    A network trained on the long chain was told k/K, and still has to be: sample it with its own denoiser on
    `grids.chain(keep, K)`, where `ancestral` is DDPM on the shorter chain, with beta'_j as its `beta`.
    Raises BookError unless the steps rise within 1..K. Source: Nichol & Dhariwal 2021, section 4. See chapter 3.
    """
    keep = check_steps(keep, len(betas))
    alpha_bar = torch.cumprod(1 - betas.double(), 0)[keep - 1]
    return from_alpha_bar(torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar]))


def check_steps(keep: Sequence[int], steps: int) -> torch.Tensor:
    """The numbers of some steps of a chain, as int64. Raises BookError unless they are whole and rise within 1..K."""
    kept = torch.as_tensor(keep)
    whole = kept.ndim == 1 and len(kept) > 0 and not (kept.is_floating_point() or kept.is_complex())
    if not whole or kept[0] < 1 or kept[-1] > steps or bool((kept.diff() <= 0).any()):
        raise BookError(f"steps of a chain are whole numbers that rise within 1 to {steps}, but got {kept.tolist()}")
    return kept.long()


def zero_terminal(betas: torch.Tensor) -> torch.Tensor:
    """Shift and stretch sqrt(alpha_bar) so that its last value is 0 and its first is kept.

    Source: Lin et al. 2024, algorithm 1. The last beta becomes exactly 1.
    """
    root = torch.cumprod(1 - betas.double(), 0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return from_alpha_bar(torch.cat([torch.ones(1, dtype=torch.float64), root**2]))


def shifted(betas: torch.Tensor, factor: float) -> torch.Tensor:
    """The chain whose log-SNR is lower by 2 log(factor) at every step: the same noise at `factor` times the width and height.

    Source: Hoogeboom et al. 2023, section 3.1. See chapter 1.
    """
    if not factor > 0:
        raise BookError(f"the shift factor must be positive, but got {factor}")
    alpha_bar = torch.cumprod(1 - betas.double(), 0)
    alpha_bar = alpha_bar / (alpha_bar + factor**2 * (1 - alpha_bar))
    return from_alpha_bar(torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar]))
