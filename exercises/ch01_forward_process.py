"""Exercises of chapter 1: write each body, then ask `diffusion-book check 1`."""

import math

import torch


# Exercise 1.1
def first_step(x: torch.Tensor, beta: float, eps: torch.Tensor) -> torch.Tensor:
    """x_1 from x, like x: equation (1.1) with k = 1."""
    raise NotImplementedError


# Exercise 1.2
def signal_and_noise(betas: torch.Tensor, k: int) -> tuple[float, float]:
    """The factors of x and of eps after k steps, 0 <= k <= K: equations (1.2), (1.3). betas is (K,)."""
    raise NotImplementedError


# Exercise 1.3
def noisy_batch(x: torch.Tensor, betas: torch.Tensor, k: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """x_k for each picture of a batch x (B, C, H, W), each at its own step k (B,), numbered from 1 to K."""
    k = k.reshape(-1, 1, 1, 1)  # a number for each picture, ready to multiply its pixels
    # as it was found, the code goes on:
    #     alpha = 1 - betas
    #     return alpha.sqrt()[k] * x + (1 - alpha).sqrt()[k] * eps
    raise NotImplementedError


# Exercise 1.4
def between(alpha_s: float, sigma_s: float, alpha_t: float, sigma_t: float) -> tuple[float, float]:
    """(factor, variance) of the step from time s to a later t: x_t = factor x_s + sqrt(variance) eps."""
    raise NotImplementedError


# Exercise 1.5
def confusion(x: torch.Tensor, other: torch.Tensor, alpha: float, sigma: float) -> float:
    """How often the best observer of x_t takes one of two equally likely pictures for the other."""
    raise NotImplementedError


# Exercise 1.6
def cosine_alpha_bar(steps: int, offset: float, max_beta: float) -> torch.Tensor:
    """(alpha_bar_0 = 1, ..., alpha_bar_K) of the cosine chain with no beta above max_beta, float64 of shape (K + 1,)."""
    raise NotImplementedError


# Exercise 1.7
def at_another_size(alpha_bar: torch.Tensor, factor: float) -> torch.Tensor:
    """The alpha_bar, like the given one, that does to pictures `factor` times as wide and as high what this one does now."""
    raise NotImplementedError


# Exercise 1.8
def forget_evenly(variances: torch.Tensor, steps: int, high: float, low: float) -> torch.Tensor:
    """Betas (K,) in float64 whose log-SNR falls from high (step 1) to low (step K), each step as costly as the next."""
    raise NotImplementedError
