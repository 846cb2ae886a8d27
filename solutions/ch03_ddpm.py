"""Solutions of chapter 3. Look here after you have tried."""

import torch
from torch import nn


# Exercise 3.1
def ddpm_step(x: torch.Tensor, eps_hat: torch.Tensor, z: torch.Tensor, betas: torch.Tensor, k: int) -> torch.Tensor:
    """x_{k-1} from x_k by equation (eq-ddpm-step) with the variance v_k = beta_k; the step to k = 0 adds no noise.

    x, eps_hat, z: float64 of one shape; betas: (K,), beta_1 first; k in 1..K.
    """
    # BEGIN SOLUTION
    beta = betas[k - 1]
    alpha_bar = torch.cumprod(1 - betas, 0)[k - 1]
    mean = (x - beta / (1 - alpha_bar).sqrt() * eps_hat) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if k > 1 else mean
    # END SOLUTION


# Exercise 3.2
def time_features(t: torch.Tensor, width: int) -> torch.Tensor:
    """Equation (eq-time-features): t of (B,) to (B, width), the cosines in the first half, the sines in the second."""
    # BEGIN SOLUTION
    pairs = width // 2
    omega = 10_000.0 ** (-torch.arange(pairs, dtype=t.dtype) / pairs)
    angle = 1000 * t[:, None] * omega
    return torch.cat([angle.cos(), angle.sin()], dim=1)
    # END SOLUTION


# Exercise 3.3
def modulated_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int) -> torch.Tensor:
    """(1 + scale) GN(x) + shift. x is (B, C, H, W); scale and shift are (B, C); eps = 1e-5 under the root."""
    # BEGIN SOLUTION
    B, C, H, W = x.shape
    grouped = x.reshape(B, groups, C // groups, H, W)
    mean = grouped.mean((2, 3, 4), keepdim=True)
    variance = grouped.var((2, 3, 4), unbiased=False, keepdim=True)
    normal = ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)
    return (1 + scale[:, :, None, None]) * normal + shift[:, :, None, None]
    # END SOLUTION


# Exercise 3.4
def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d)) V, equation (eq-attention). q, k, v are (B, heads, places, d); so is the answer."""
    # BEGIN SOLUTION
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ v
    # END SOLUTION


# Exercise 3.5
def averaged(history: torch.Tensor, decay: float) -> torch.Tensor:
    """The running average after the last update. history is (N, D): the weights after update 1, 2, ..., N.

    It starts as a copy of the first row; row n + 1 enters by equation (eq-ema) with d_n.
    """
    # BEGIN SOLUTION
    average = history[0]
    for n, weights in enumerate(history[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        average = average + (1 - d) * (weights - average)
    return average
    # END SOLUTION


# Exercise 3.6
def shorter_chain(betas: torch.Tensor, keep: list[int]) -> torch.Tensor:
    """(beta'_1, ..., beta'_n) of the chain that visits only the steps `keep`, which rise within 1..K = len(betas)."""
    # BEGIN SOLUTION
    alpha_bar = torch.cat([torch.ones(1, dtype=betas.dtype), torch.cumprod(1 - betas, 0)])
    kept = alpha_bar[[0, *keep]]
    return 1 - kept[1:] / kept[:-1]
    # END SOLUTION


# Exercise 3.7
def ten_steps() -> list[int]:
    """Ten steps k_1 < ... < k_10 = 1000 of the linear chain, that spoil the spread of the samples as little as you can."""
    # BEGIN SOLUTION
    return [round(1000 * (j / 10) ** 2) for j in range(1, 11)]
    # END SOLUTION


# Exercise 3.8
def sample_chain(model: nn.Module, x: torch.Tensor, betas: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """x_0 from x = x_K: the function above, repaired. z is (K, *x.shape), and step k uses z[k - 1].

    model(x, t) was trained at t_k = k/K and returns eps_hat; it is a torch module with dropout. t: a number, or (B,).
    """
    # BEGIN SOLUTION
    model.eval()
    K, alpha_bar = len(betas), torch.cumprod(1 - betas, 0)
    for k in range(K, 0, -1):
        beta = betas[k - 1]
        eps_hat = model(x, k / K)
        x = (x - beta / (1 - alpha_bar[k - 1]).sqrt() * eps_hat) / (1 - beta).sqrt()
        if k > 1:
            x = x + beta.sqrt() * z[k - 1]
    return x
    # END SOLUTION
