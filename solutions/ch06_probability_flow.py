"""Solutions of chapter 6, the probability-flow ODE and exact likelihood."""

import math
from itertools import pairwise

import torch


# Exercise 6.1
def flow_velocity(x: torch.Tensor, score: torch.Tensor, f: float, g: float) -> torch.Tensor:
    """dx/dt of the probability-flow ODE, like x, from the score there and the SDE's f and g: equation (eq-flow-ode)."""
    # BEGIN SOLUTION
    return f * x - g**2 / 2 * score
    # END SOLUTION


# Exercise 6.2
def flow_of_gaussian(
    x: torch.Tensor, m: torch.Tensor, l: torch.Tensor, alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> tuple[torch.Tensor, float]:
    """(x_s, log det of the map) for x (B, D) at time t and data N(m, diag(l)), m and l (D,): equation (eq-gaussian-flow)."""
    # BEGIN SOLUTION
    ratio = (alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)
    return alpha_s * m + ratio.sqrt() * (x - alpha_t * m), ratio.log().sum().item() / 2
    # END SOLUTION


# Exercise 6.3
def between(a: torch.Tensor, b: torch.Tensor, w: float) -> torch.Tensor:
    """The code at the share w of the way from a to b along the arc, row by row, (B, D): equation (eq-slerp)."""
    # BEGIN SOLUTION
    length_a, length_b = a.norm(dim=1), b.norm(dim=1)
    angle = torch.acos((a * b).sum(1) / (length_a * length_b))[:, None]
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)
    # END SOLUTION


# Exercise 6.4
def euler_log_density(velocity, divergence, log_prior, x: torch.Tensor, times) -> torch.Tensor:
    """log p of the rows of x at times[0], (B,), by Euler steps to times[-1]: equation (eq-instantaneous)."""
    volume = torch.zeros_like(x[:, 0])
    # as it was found, the loop is
    #     for t, s in pairwise(times):
    #         x = x + (s - t) * velocity(x, t)
    #         volume = volume - (s - t) * divergence(x, t)
    # BEGIN SOLUTION
    for t, s in pairwise(times):
        volume = volume + (s - t) * divergence(x, t)
        x = x + (s - t) * velocity(x, t)
    # END SOLUTION
    return log_prior(x) + volume


# Exercise 6.5
def better_times(first: float, last: float, steps: int) -> torch.Tensor:
    """(steps + 1,) times that rise from first to last, for few Heun steps of the log-density under VP."""
    # BEGIN SOLUTION
    shift = 0.03
    logs = torch.linspace(math.log(first + shift), math.log(last + shift), steps + 1, dtype=torch.float64)
    times = logs.exp() - shift
    times[0], times[-1] = first, last
    return times
    # END SOLUTION


# Exercise 6.6
def trace_estimate(field, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """v^T J v of each row, (B,), J the Jacobian of field (B, D) -> (B, D) at x: one probe of equation (eq-flow-trace)."""
    # BEGIN SOLUTION
    x = x.detach().requires_grad_()
    (pulled,) = torch.autograd.grad(field(x), x, v)
    return (pulled * v).sum(1)
    # END SOLUTION


# Exercise 6.7
def bits_of_levels(log_p, u: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Bits per dimension, (B,), of levels u (B, D), 0 to 255, with r uniform in [0, 1): equation (eq-flow-bits)."""
    # BEGIN SOLUTION
    x = (u + r) / 128 - 1
    return -log_p(x) / (u.shape[1] * math.log(2)) + math.log2(128)
    # END SOLUTION


# Exercise 6.8
def two_prices(a: torch.Tensor, B: torch.Tensor) -> tuple[float, float]:
    """(KL of the data from the ODE's model, excess of the bound) in nats: score -a_i x over beta-time B_i, a and B (K,)."""
    # BEGIN SOLUTION
    variance = torch.exp(-((a - 1) * B).sum()).item()
    return (1 / variance - 1 + math.log(variance)) / 2, ((a - 1) ** 2 * B).sum().item() / 2
    # END SOLUTION
