"""Exercises of chapter 5: write each body, then ask `diffusion-book check 5`."""

from collections.abc import Callable

import torch


# Exercise 5.1
def em_step(x: torch.Tensor, f: torch.Tensor, g: torch.Tensor, t: float, s: float, z: torch.Tensor) -> torch.Tensor:
    """x at time s after one step from time t, like x: equation (5.2), with z ~ N(0, 1)."""
    raise NotImplementedError


# Exercise 5.2
def ito_coefficients(f: float, g: float, first: float, second: float) -> tuple[float, float]:
    """(drift, diffusion) of phi(x), where phi'(x) = first and phi''(x) = second: equation (5.3)."""
    raise NotImplementedError


# Exercise 5.3
def coefficients(alpha: float, sigma: float, alpha_rate: float, sigma_rate: float) -> tuple[float, float]:
    """(f, g^2) of the forward SDE, from the two curves and their derivatives: equation (5.5)."""
    raise NotImplementedError


# Exercise 5.4
def sub_vp(beta: torch.Tensor, B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(alpha, sigma, g^2) of the sub-VP process at times with these beta(t) and B(t): equation (5.8)."""
    # as it was found:
    alpha = torch.exp(-B / 2)
    sigma = torch.sqrt(1 - torch.exp(-B))
    g_squared = beta * (1 - torch.exp(-2 * B))
    # repaired:
    raise NotImplementedError


# Exercise 5.5
def log_density_rate(
    x: torch.Tensor, score: torch.Tensor, divergence: torch.Tensor, f: float, g: float
) -> torch.Tensor:
    """d log p_t(x)/dt, (B,), from the score (B, D) and its divergence (B,): equation (5.9)."""
    raise NotImplementedError


# Exercise 5.6
def step_back(
    x: torch.Tensor, score: torch.Tensor, f: float, g: float, h: float, eta: float, z: torch.Tensor
) -> torch.Tensor:
    """x at time t - h, like x, after one step of equation (5.11) from time t, with z ~ N(0, I)."""
    raise NotImplementedError


# Exercise 5.7
def corrector_move(x: torch.Tensor, score: torch.Tensor, z: torch.Tensor, ratio: float) -> torch.Tensor:
    """One Langevin move of the size of equation (5.12), each row by its own norms: (B, D)."""
    size = 4 * ratio**2  # as it was found: what is missing?
    raise NotImplementedError


# Exercise 5.8
def better_solver(
    drift: Callable[[torch.Tensor, float], torch.Tensor],
    g: Callable[[float], float],
    x: torch.Tensor,
    times: list[float],
    increments: torch.Tensor,
) -> torch.Tensor:
    """x at times[-1], like x, with at most two calls of drift a step; increments[i] is w(times[i + 1]) - w(times[i])."""
    raise NotImplementedError
