"""A small residual MLP for points in the plane (or in any few dimensions): the book's quickest network."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from diffusion_book.errors import BookError
from diffusion_book.nets.embedding import Conditioning


@dataclass(frozen=True)
class MLPConfig:
    """dim: coordinates of a point. classes: 0 for none; the null label is index `classes`. width, depth: the body's."""

    dim: int = 2
    classes: int = 0
    width: int = 128
    depth: int = 3

    def __post_init__(self):
        if min(self.dim, self.depth) < 1 or self.width < 2 or self.width % 2:
            raise BookError(f"dim and depth must be at least 1 and width even and at least 2, got {self}")


class MLP(nn.Module):
    """y_hat = MLP(config)(x, t, cond): x (B, D), t (B,) in [0, 1], cond int64 (B,) or None (the null label).

    h = W x;  h = h + W_b SiLU((1 + scale) LayerNorm(h) + shift), depth times;  y = W_out LayerNorm(h).
    Returns (B, D), exactly zero before training. Time and label reach every layer by scale and shift, as in the
    U-Net. Raises BookError for points of another dimension and labels out of range.
    """

    def __init__(self, config: MLPConfig):
        super().__init__()
        self.config = config
        self.conditioning = Conditioning(config.width, config.classes)
        self.stem = nn.Linear(config.dim, config.width)
        self.modulation = nn.ModuleList(nn.Linear(config.width, 2 * config.width) for _ in range(config.depth))
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
        self.out = nn.Linear(config.width, config.dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.config.dim:
            raise BookError(f"this MLP takes points of shape (B, {self.config.dim}), got {tuple(x.shape)}")
        vector = self.conditioning(t, cond)  # (B, width)
        h = self.stem(x)  # (B, width)
        for modulation, layer in zip(self.modulation, self.layers, strict=True):
            scale, shift = modulation(vector).chunk(2, dim=1)  # (B, width) each
            # No learned gain in the norm: scale and shift are it.
            h = h + layer(F.silu((1 + scale) * F.layer_norm(h, h.shape[1:]) + shift))
        return self.out(F.layer_norm(h, h.shape[1:])).to(x.dtype)  # (B, D)
