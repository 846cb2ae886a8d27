"""Solutions of chapter 2, the ELBO."""

import math

import torch


# Exercise 2.1
def backward_step(
    x: torch.Tensor, x_k: torch.Tensor, alpha_bar: float, alpha_bar_before: float
) -> tuple[torch.Tensor, float]:
    """(mean, variance) of q(x_{k-1} | x_k, x), the mean like x: equation (eq-posterior-mean) in DDPM's symbols."""
    # BEGIN SOLUTION
    beta = 1 - alpha_bar / alpha_bar_before
    c_k = (1 - beta) ** 0.5 * (1 - alpha_bar_before) / (1 - alpha_bar)
    c_0 = alpha_bar_before**0.5 * beta / (1 - alpha_bar)
    return c_k * x_k + c_0 * x, beta * (1 - alpha_bar_before) / (1 - alpha_bar)
    # END SOLUTION


# Exercise 2.2
def kl(mean1: torch.Tensor, var1: torch.Tensor, mean2: torch.Tensor, var2: torch.Tensor) -> torch.Tensor:
    """KL(N(mean1, var1) || N(mean2, var2)) in nats, elementwise: equation (eq-gaussian-kl)."""
    # BEGIN SOLUTION
    return (torch.log(var2 / var1) + var1 / var2 - 1 + (mean1 - mean2) ** 2 / var2) / 2
    # END SOLUTION


# Exercise 2.3
def noise_weight(alpha_bar: float, alpha_bar_before: float) -> float:
    """The factor of |eps - eps_hat|^2 in the step k -> k - 1, from equations (eq-step) and (eq-eps-error)."""
    # BEGIN SOLUTION
    snr, snr_before = (bar / (1 - bar) for bar in (alpha_bar, alpha_bar_before))
    return (snr_before / snr - 1) / 2
    # END SOLUTION


# Exercise 2.4
def log_mass(u: torch.Tensor, mean: torch.Tensor, deviation: float) -> torch.Tensor:
    """log of the mass that N(mean, deviation^2) gives to the grey level u, 0 to 255: equation (eq-decoder)."""
    x, gaussian = u / 127.5 - 1, torch.distributions.Normal(mean, deviation)
    upper, lower = gaussian.cdf(x + 1 / 255), gaussian.cdf(x - 1 / 255)
    # as it was found, the next line is `return (upper - lower).log()`
    # BEGIN SOLUTION
    upper, lower = torch.where(u == 255, 1.0, upper), torch.where(u == 0, 0.0, lower)
    return (upper - lower).log()
    # END SOLUTION


# Exercise 2.5
def bits_of_density(log_density: torch.Tensor, dims: int) -> torch.Tensor:
    """Bits per dimension of 8-bit values u, from the log density (nats) of x = u/127.5 - 1: equation (eq-bits)."""
    # BEGIN SOLUTION
    return -log_density / (dims * math.log(2)) + math.log2(127.5)
    # END SOLUTION


# Exercise 2.6
def continuous_cost(variances: torch.Tensor, snr_s: float, snr_t: float) -> float:
    """The integral of E|x - x_hat|^2/2 from snr_t to snr_s, in nats, for Gaussian data: equation (eq-gaussian-limit)."""
    # BEGIN SOLUTION
    return (torch.log((1 + variances * snr_s) / (1 + variances * snr_t)).sum() / 2).item()
    # END SOLUTION


# Exercise 2.7
def better_levels(variances: torch.Tensor, high: float, low: float, steps: int) -> torch.Tensor:
    """(steps + 1,) log-SNRs that fall from high to low, with little excess for Gaussian data of these variances."""
    # BEGIN SOLUTION
    fine = torch.linspace(high, low, 20_001, dtype=torch.float64)
    told = variances[:, None] * fine.exp()
    density = (told / (1 + told)).square().sum(0).sqrt()  # h ~ 1/sqrt(g), so sqrt(g) is levels per unit of log-SNR
    total = torch.cumulative_trapezoid(density, dx=1.0)
    total = torch.cat([torch.zeros(1, dtype=torch.float64), total]) / total[-1]
    places = torch.searchsorted(total, torch.linspace(0, 1, steps + 1, dtype=torch.float64)).clamp(max=20_000)
    levels = fine[places]
    levels[-1] = low
    return levels
    # END SOLUTION


# Exercise 2.8
def best_variance(l: float, alpha_bar: float, alpha_bar_before: float) -> float:
    """The variance of x_{k-1} given x_k for one-dimensional Gaussian data of variance l."""
    # BEGIN SOLUTION
    beta = 1 - alpha_bar / alpha_bar_before
    beta_tilde = beta * (1 - alpha_bar_before) / (1 - alpha_bar)
    c_0 = alpha_bar_before**0.5 * beta / (1 - alpha_bar)
    return beta_tilde + c_0**2 * l / (1 + l * alpha_bar / (1 - alpha_bar))
    # END SOLUTION
