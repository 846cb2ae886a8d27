"""Exercises of chapter 4: write each body, then ask `diffusion-book check 4`."""

import math
from collections.abc import Callable

import torch


# Exercise 4.1
def mixture_score(
    x_t: torch.Tensor, weights: torch.Tensor, means: torch.Tensor, variances: torch.Tensor, alpha: float, sigma: float
) -> torch.Tensor:
    """The score at x_t, (B,), of a mixture on the line, (K,) each, noised by alpha and sigma: (4.1)."""
    raise NotImplementedError


# Exercise 4.2
def implicit_loss(score: Callable, x: torch.Tensor) -> torch.Tensor:
    """|s(x)|^2/2 + div s(x), (B,), for a score that maps (B, D) to (B, D): equation (4.3)."""
    x = x.detach().requires_grad_()
    value = score(x)
    # as it was found, the next line is `trace = torch.autograd.grad(value.sum(), x, create_graph=True)[0].sum(1)`,
    # and the last one `return value.square().sum(1) / 2 + trace`
    raise NotImplementedError


# Exercise 4.3
def trace_estimate(A: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Estimates (B,) of the trace of A, (D, D), from numbers u, (B, D), uniform on [0, 1): equation (4.4)."""
    raise NotImplementedError


# Exercise 4.4
def noise_matching(score: Callable, x: torch.Tensor, eps: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """The denoising loss of each row, (B,), in the units of |s|^2/2: equation (4.7)."""
    raise NotImplementedError


# Exercise 4.5
def leftover(div: torch.Tensor, dims: int, alpha: float, sigma: float) -> torch.Tensor:
    """E[|x - x_hat|^2 given x_t], (B,), from the divergence (B,) of the score at x_t in `dims` dimensions."""
    raise NotImplementedError


# Exercise 4.6
def variance_after(start: float, s2: float, size: float, steps: int) -> float:
    """The variance after `steps` Langevin steps of this size on N(0, s2), from a variance `start`: (4.10)."""
    raise NotImplementedError


# Exercise 4.7
def annealed(score: Callable, x: torch.Tensor, sigmas: torch.Tensor, size: float, noise: torch.Tensor) -> torch.Tensor:
    """x (B, D) after n steps at each of the L levels `sigmas`, noise (L, n, B, D): equation (4.12)."""
    raise NotImplementedError


# Exercise 4.8
def better_cooling(first: float, last: float, moves: int) -> torch.Tensor:
    """(moves, 2) rows (sigma, h): levels that never rise, from `first` at most to `last`, and the size of each move."""
    raise NotImplementedError
