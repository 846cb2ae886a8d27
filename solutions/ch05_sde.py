"""Solutions of chapter 5, diffusion as an SDE."""

from collections.abc import Callable

import torch


# Exercise 5.1
def em_step(x: torch.Tensor, f: torch.Tensor, g: torch.Tensor, t: float, s: float, z: torch.Tensor) -> torch.Tensor:
    """x at time s after one step from time t, like x: equation (eq-euler-maruyama), with z ~ N(0, 1)."""
    # BEGIN SOLUTION
    return x + f * (s - t) + g * abs(s - t) ** 0.5 * z
    # END SOLUTION


# Exercise 5.2
def ito_coefficients(f: float, g: float, first: float, second: float) -> tuple[float, float]:
    """(drift, diffusion) of phi(x), where phi'(x) = first and phi''(x) = second: equation (eq-ito)."""
    # BEGIN SOLUTION
    return f * first + g**2 * second / 2, g * first
    # END SOLUTION


# Exercise 5.3
def coefficients(alpha: float, sigma: float, alpha_rate: float, sigma_rate: float) -> tuple[float, float]:
    """(f, g^2) of the forward SDE, from the two curves and their derivatives: equation (eq-forward-sde)."""
    # BEGIN SOLUTION
    f = alpha_rate / alpha
    return f, 2 * sigma * sigma_rate - 2 * f * sigma**2
    # END SOLUTION


# Exercise 5.4
def sub_vp(beta: torch.Tensor, B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(alpha, sigma, g^2) of the sub-VP process at times with these beta(t) and B(t): equation (eq-subvp)."""
    # as it was found:
    alpha = torch.exp(-B / 2)
    sigma = torch.sqrt(1 - torch.exp(-B))
    g_squared = beta * (1 - torch.exp(-2 * B))
    # repaired:
    # BEGIN SOLUTION
    sigma = 1 - torch.exp(-B)
    return alpha, sigma, g_squared
    # END SOLUTION


# Exercise 5.5
def log_density_rate(
    x: torch.Tensor, score: torch.Tensor, divergence: torch.Tensor, f: float, g: float
) -> torch.Tensor:
    """d log p_t(x)/dt, (B,), from the score (B, D) and its divergence (B,): equation (eq-fokker-planck)."""
    # BEGIN SOLUTION
    carried = -f * (x.shape[1] + (x * score).sum(1))
    return carried + g**2 / 2 * (score.square().sum(1) + divergence)
    # END SOLUTION


# Exercise 5.6
def step_back(
    x: torch.Tensor, score: torch.Tensor, f: float, g: float, h: float, eta: float, z: torch.Tensor
) -> torch.Tensor:
    """x at time t - h, like x, after one step of equation (eq-family) from time t, with z ~ N(0, I)."""
    # BEGIN SOLUTION
    drift = f * x - (1 + eta**2) / 2 * g**2 * score
    return x - h * drift + eta * g * h**0.5 * z
    # END SOLUTION


# Exercise 5.7
def corrector_move(x: torch.Tensor, score: torch.Tensor, z: torch.Tensor, ratio: float) -> torch.Tensor:
    """One Langevin move of the size of equation (eq-corrector), each row by its own norms: (B, D)."""
    size = 4 * ratio**2  # as it was found: what is missing?
    # BEGIN SOLUTION
    size = size * (z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)) ** 2
    return x + size / 2 * score + size.sqrt() * z
    # END SOLUTION


# Exercise 5.8
def better_solver(
    drift: Callable[[torch.Tensor, float], torch.Tensor],
    g: Callable[[float], float],
    x: torch.Tensor,
    times: list[float],
    increments: torch.Tensor,
) -> torch.Tensor:
    """x at times[-1], like x, with at most two calls of drift a step; increments[i] is w(times[i + 1]) - w(times[i])."""
    # BEGIN SOLUTION
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        before = drift(x, t)
        guess = x + (s - t) * before + g(t) * dw
        x = x + (s - t) / 2 * (before + drift(guess, s)) + (g(t) + g(s)) / 2 * dw
    return x
    # END SOLUTION
