"""Solutions of chapter 4, score matching and Langevin."""

import math
from collections.abc import Callable

import torch


# Exercise 4.1
def mixture_score(
    x_t: torch.Tensor, weights: torch.Tensor, means: torch.Tensor, variances: torch.Tensor, alpha: float, sigma: float
) -> torch.Tensor:
    """The score at x_t, (B,), of a mixture on the line, (K,) each, noised by alpha and sigma: (eq-mixture-score)."""
    # BEGIN SOLUTION
    m, v = alpha * means, alpha**2 * variances + sigma**2
    away = x_t[:, None] - m  # (B, K)
    r = (weights.log() - away**2 / (2 * v) - v.log() / 2).softmax(1)
    return -(r * away / v).sum(1)
    # END SOLUTION


# Exercise 4.2
def implicit_loss(score: Callable, x: torch.Tensor) -> torch.Tensor:
    """|s(x)|^2/2 + div s(x), (B,), for a score that maps (B, D) to (B, D): equation (eq-implicit)."""
    x = x.detach().requires_grad_()
    value = score(x)
    # as it was found, the next line is `trace = torch.autograd.grad(value.sum(), x, create_graph=True)[0].sum(1)`,
    # and the last one `return value.square().sum(1) / 2 + trace`
    # BEGIN SOLUTION
    trace = 0
    for i in range(x.shape[1]):
        trace = trace + torch.autograd.grad(value[:, i].sum(), x, create_graph=True)[0][:, i]
    return value.square().sum(1) / 2 + trace
    # END SOLUTION


# Exercise 4.3
def trace_estimate(A: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Estimates (B,) of the trace of A, (D, D), from numbers u, (B, D), uniform on [0, 1): equation (eq-hutchinson)."""
    # BEGIN SOLUTION
    v = math.sqrt(12) * (u - 0.5)
    return ((v @ A) * v).sum(1)
    # END SOLUTION


# Exercise 4.4
def noise_matching(score: Callable, x: torch.Tensor, eps: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """The denoising loss of each row, (B,), in the units of |s|^2/2: equation (eq-denoising)."""
    # BEGIN SOLUTION
    return (score(alpha * x + sigma * eps) + eps / sigma).square().sum(1) / 2
    # END SOLUTION


# Exercise 4.5
def leftover(div: torch.Tensor, dims: int, alpha: float, sigma: float) -> torch.Tensor:
    """E[|x - x_hat|^2 given x_t], (B,), from the divergence (B,) of the score at x_t in `dims` dimensions."""
    # BEGIN SOLUTION
    return sigma**2 / alpha**2 * (dims + sigma**2 * div)
    # END SOLUTION


# Exercise 4.6
def variance_after(start: float, s2: float, size: float, steps: int) -> float:
    """The variance after `steps` Langevin steps of this size on N(0, s2), from a variance `start`: (eq-langevin)."""
    # BEGIN SOLUTION
    rest = s2 / (1 - size / (4 * s2))
    return rest + (1 - size / (2 * s2)) ** (2 * steps) * (start - rest)
    # END SOLUTION


# Exercise 4.7
def annealed(score: Callable, x: torch.Tensor, sigmas: torch.Tensor, size: float, noise: torch.Tensor) -> torch.Tensor:
    """x (B, D) after n steps at each of the L levels `sigmas`, noise (L, n, B, D): equation (eq-annealed)."""
    # BEGIN SOLUTION
    for sigma, draws in zip(sigmas.tolist(), noise, strict=True):
        h = size * sigma**2
        for z in draws:
            x = x + h / 2 * score(x, sigma) + math.sqrt(h) * z
    return x
    # END SOLUTION


# Exercise 4.8
def better_cooling(first: float, last: float, moves: int) -> torch.Tensor:
    """(moves, 2) rows (sigma, h): levels that never rise, from `first` at most to `last`, and the size of each move."""
    # BEGIN SOLUTION
    stay = min(20, moves)  # of the moves, at the last level
    falling = torch.logspace(math.log10(min(first, 1.5)), math.log10(last), moves - stay, dtype=torch.float64)
    sigma = torch.cat([falling, torch.full((stay,), last, dtype=torch.float64)])
    rising, calming = (
        torch.logspace(a, b, n, dtype=torch.float64) for a, b, n in ((-0.2, 0, moves - stay), (0, -1, stay))
    )
    return torch.stack([sigma, torch.cat([rising, calming]) * sigma**2], 1)
    # END SOLUTION
