"""Solutions of chapter 1, the forward process."""

import math

import torch


# Exercise 1.1
def first_step(x: torch.Tensor, beta: float, eps: torch.Tensor) -> torch.Tensor:
    """x_1 from x, like x: equation (eq-chain-step) with k = 1."""
    # BEGIN SOLUTION
    return math.sqrt(1 - beta) * x + math.sqrt(beta) * eps
    # END SOLUTION


# Exercise 1.2
def signal_and_noise(betas: torch.Tensor, k: int) -> tuple[float, float]:
    """The factors of x and of eps after k steps, 0 <= k <= K: equations (eq-alpha-bar), (eq-closed-form). betas is (K,)."""
    # BEGIN SOLUTION
    alpha_bar = torch.prod(1 - betas[:k]).item()
    return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    # END SOLUTION


# Exercise 1.3
def noisy_batch(x: torch.Tensor, betas: torch.Tensor, k: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """x_k for each picture of a batch x (B, C, H, W), each at its own step k (B,), numbered from 1 to K."""
    k = k.reshape(-1, 1, 1, 1)  # a number for each picture, ready to multiply its pixels
    # as it was found, the code goes on:
    #     alpha = 1 - betas
    #     return alpha.sqrt()[k] * x + (1 - alpha).sqrt()[k] * eps
    # BEGIN SOLUTION
    alpha_bar = torch.cumprod(1 - betas, 0)[k - 1]
    return alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * eps
    # END SOLUTION


# Exercise 1.4
def between(alpha_s: float, sigma_s: float, alpha_t: float, sigma_t: float) -> tuple[float, float]:
    """(factor, variance) of the step from time s to a later t: x_t = factor x_s + sqrt(variance) eps."""
    # BEGIN SOLUTION
    factor = alpha_t / alpha_s
    return factor, sigma_t**2 - factor**2 * sigma_s**2
    # END SOLUTION


# Exercise 1.5
def confusion(x: torch.Tensor, other: torch.Tensor, alpha: float, sigma: float) -> float:
    """How often the best observer of x_t takes one of two equally likely pictures for the other."""
    # BEGIN SOLUTION
    distance = (x - other).square().sum().sqrt().item()
    return 0.5 * math.erfc(alpha * distance / (2 * sigma) / math.sqrt(2))
    # END SOLUTION


# Exercise 1.6
def cosine_alpha_bar(steps: int, offset: float, max_beta: float) -> torch.Tensor:
    """(alpha_bar_0 = 1, ..., alpha_bar_K) of the cosine chain with no beta above max_beta, float64 of shape (K + 1,)."""
    # BEGIN SOLUTION
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    h = torch.cos(math.pi / 2 * (u + offset) / (1 + offset)) ** 2
    betas = (1 - h[1:] / h[:-1]).clamp(max=max_beta)
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - betas, 0)])
    # END SOLUTION


# Exercise 1.7
def at_another_size(alpha_bar: torch.Tensor, factor: float) -> torch.Tensor:
    """The alpha_bar, like the given one, that does to pictures `factor` times as wide and as high what this one does now."""
    # BEGIN SOLUTION
    return alpha_bar / (alpha_bar + factor**2 * (1 - alpha_bar))
    # END SOLUTION


# Exercise 1.8
def forget_evenly(variances: torch.Tensor, steps: int, high: float, low: float) -> torch.Tensor:
    """Betas (K,) in float64 whose log-SNR falls from high (step 1) to low (step K), each step as costly as the next."""
    # BEGIN SOLUTION
    fine = torch.linspace(high, low, 100_001, dtype=torch.float64)
    told = torch.log1p(fine.exp()[:, None] * variances).sum(1)  # twice the information; it falls from first to last
    wanted = torch.linspace(told[0].item(), told[-1].item(), steps, dtype=torch.float64)
    levels = fine[torch.searchsorted(-told, -wanted).clamp(max=100_000)]
    levels[0], levels[-1] = high, low
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(levels)])
    return 1 - alpha_bar[1:] / alpha_bar[:-1]
    # END SOLUTION
