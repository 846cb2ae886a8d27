"""Exercises of chapter 3: write each body, then ask `diffusion-book check 3`."""

import torch
from torch import nn


# Exercise 3.1
def ddpm_step(x: torch.Tensor, eps_hat: torch.Tensor, z: torch.Tensor, betas: torch.Tensor, k: int) -> torch.Tensor:
    """x_{k-1} from x_k by equation (3.2) with the variance v_k = beta_k; the step to k = 0 adds no noise.

    x, eps_hat, z: float64 of one shape; betas: (K,), beta_1 first; k in 1..K.
    """
    raise NotImplementedError


# Exercise 3.2
def time_features(t: torch.Tensor, width: int) -> torch.Tensor:
    """Equation (3.4): t of (B,) to (B, width), the cosines in the first half, the sines in the second."""
    raise NotImplementedError


# Exercise 3.3
def modulated_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int) -> torch.Tensor:
    """(1 + scale) GN(x) + shift. x is (B, C, H, W); scale and shift are (B, C); eps = 1e-5 under the root."""
    raise NotImplementedError


# Exercise 3.4
def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d)) V, equation (3.6). q, k, v are (B, heads, places, d); so is the answer."""
    raise NotImplementedError


# Exercise 3.5
def averaged(history: torch.Tensor, decay: float) -> torch.Tensor:
    """The running average after the last update. history is (N, D): the weights after update 1, 2, ..., N.

    It starts as a copy of the first row; row n + 1 enters by equation (3.8) with d_n.
    """
    raise NotImplementedError


# Exercise 3.6
def shorter_chain(betas: torch.Tensor, keep: list[int]) -> torch.Tensor:
    """(beta'_1, ..., beta'_n) of the chain that visits only the steps `keep`, which rise within 1..K = len(betas)."""
    raise NotImplementedError


# Exercise 3.7
def ten_steps() -> list[int]:
    """Ten steps k_1 < ... < k_10 = 1000 of the linear chain, that spoil the spread of the samples as little as you can."""
    raise NotImplementedError


# Exercise 3.8
def sample_chain(model: nn.Module, x: torch.Tensor, betas: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """x_0 from x = x_K: the function above, repaired. z is (K, *x.shape), and step k uses z[k - 1].

    model(x, t) was trained at t_k = k/K and returns eps_hat; it is a torch module with dropout. t: a number, or (B,).
    """
    raise NotImplementedError
