"""Exercises of chapter 2: write each body, then ask `diffusion-book check 2`."""

import math

import torch


# Exercise 2.1
def backward_step(
    x: torch.Tensor, x_k: torch.Tensor, alpha_bar: float, alpha_bar_before: float
) -> tuple[torch.Tensor, float]:
    """(mean, variance) of q(x_{k-1} | x_k, x), the mean like x: equation (2.2) in DDPM's symbols."""
    raise NotImplementedError


# Exercise 2.2
def kl(mean1: torch.Tensor, var1: torch.Tensor, mean2: torch.Tensor, var2: torch.Tensor) -> torch.Tensor:
    """KL(N(mean1, var1) || N(mean2, var2)) in nats, elementwise: equation (2.4)."""
    raise NotImplementedError


# Exercise 2.3
def noise_weight(alpha_bar: float, alpha_bar_before: float) -> float:
    """The factor of |eps - eps_hat|^2 in the step k -> k - 1, from equations (2.6) and (2.7)."""
    raise NotImplementedError


# Exercise 2.4
def log_mass(u: torch.Tensor, mean: torch.Tensor, deviation: float) -> torch.Tensor:
    """log of the mass that N(mean, deviation^2) gives to the grey level u, 0 to 255: equation (2.9)."""
    x, gaussian = u / 127.5 - 1, torch.distributions.Normal(mean, deviation)
    upper, lower = gaussian.cdf(x + 1 / 255), gaussian.cdf(x - 1 / 255)
    # as it was found, the next line is `return (upper - lower).log()`
    raise NotImplementedError


# Exercise 2.5
def bits_of_density(log_density: torch.Tensor, dims: int) -> torch.Tensor:
    """Bits per dimension of 8-bit values u, from the log density (nats) of x = u/127.5 - 1: equation (2.10)."""
    raise NotImplementedError


# Exercise 2.6
def continuous_cost(variances: torch.Tensor, snr_s: float, snr_t: float) -> float:
    """The integral of E|x - x_hat|^2/2 from snr_t to snr_s, in nats, for Gaussian data: equation (2.12)."""
    raise NotImplementedError


# Exercise 2.7
def better_levels(variances: torch.Tensor, high: float, low: float, steps: int) -> torch.Tensor:
    """(steps + 1,) log-SNRs that fall from high to low, with little excess for Gaussian data of these variances."""
    raise NotImplementedError


# Exercise 2.8
def best_variance(l: float, alpha_bar: float, alpha_bar_before: float) -> float:
    """The variance of x_{k-1} given x_k for one-dimensional Gaussian data of variance l."""
    raise NotImplementedError
