"""What a U-Net is built of: two kinds of block and two kinds of attention, each measured against its rival in chapter 3.

A block is skip(x) plus something that is told the time; attention is x plus something that looks at all places.
"""

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusion_book.nets.unet import UNetConfig


def zeroed(layer: nn.Module) -> nn.Module:
    """Start at zero: each block begins as its skip and the network as the constant 0, so depth does no harm."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """skip(x) + conv2(SiLU((1 + scale) norm(conv1(SiLU(norm(x)))) + shift)), (scale, shift) = W vector.

    x (B, C_in, H, W), vector (B, E) to (B, C_out, H, W). The 1 makes a zero vector mean "leave it alone" instead
    of "erase it". Source: Nichol and Dhariwal 2021, appendix A; named adaptive group normalization in Dhariwal and
    Nichol 2021, section 3.
    """

    def __init__(self, inputs: int, outputs: int, config: "UNetConfig"):
        super().__init__()
        self.norm1 = nn.GroupNorm(config.groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(config.embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(config.groups, outputs)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))  # (B, C_out, H, W)
        scale, shift = self.modulation(vector)[:, :, None, None].chunk(2, dim=1)  # (B, C_out, 1, 1) each
        h = F.silu((1 + scale) * self.norm2(h) + shift)
        return self.skip(x) + self.conv2(self.dropout(h))  # (B, C_out, H, W)


class ConvNeXtBlock(nn.Module):
    """skip(x) + narrow(GELU(widen((1 + scale) norm(depthwise(x)) + shift))), (scale, shift) = W vector.

    x (B, C_in, H, W), vector (B, E) to (B, C_out, H, W). The 7x7 convolution looks at each channel alone, the two
    linear layers mix the channels of each place, through 4 C_out of them; `norm` is over the channels of a place.
    Source: Liu et al. 2022, section 2 and figure 4; scale and shift as in `ResidualBlock`.
    """

    def __init__(self, inputs: int, outputs: int, config: "UNetConfig"):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 7, padding=3, groups=inputs)
        self.norm = nn.LayerNorm(inputs)
        self.modulation = nn.Linear(config.embedding, 2 * inputs)
        self.widen = nn.Linear(inputs, 4 * outputs)
        self.dropout = nn.Dropout(config.dropout)
        self.narrow = zeroed(nn.Linear(4 * outputs, outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        h = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C_in)
        scale, shift = self.modulation(vector)[:, None, None, :].chunk(2, dim=-1)  # (B, 1, 1, C_in) each
        h = F.gelu(self.widen((1 + scale) * self.norm(h) + shift))  # (B, H, W, 4 C_out)
        return self.skip(x) + self.narrow(self.dropout(h)).permute(0, 3, 1, 2)  # (B, C_out, H, W)


class Attention(nn.Module):
    """x + softmax(Q K^T / sqrt(C / heads)) V W over the H W positions (a place is a row): every place sees every other.

    Q, K, V are linear in norm(x). x (B, C, H, W) to the same.
    Source: Vaswani et al. 2017, eq. 1; in a U-Net, Ho et al. 2020, appendix B.
    """

    def __init__(self, width: int, config: "UNetConfig"):
        super().__init__()
        self.heads = config.heads
        self.norm = nn.GroupNorm(config.groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, 3, self.heads, C // self.heads, H * W)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)  # (B, heads, HW, C/heads) each
        h = self.gather(q, k, v)  # (B, heads, HW, C/heads)
        return x + self.out(h.transpose(-1, -2).reshape(B, C, H, W))

    def gather(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


class LinearAttention(Attention):
    """x + rho_q(Q) (rho_k(K)^T V) W: softmax rho_q over the features of a query, rho_k over the positions of a feature.

    The bracket is a (C/heads)^2 matrix, whatever H W: time and memory grow with H W, not with its square. The weights
    rho_q rho_k^T that it never builds are positive and sum to 1 over the keys, as those of a softmax do; but their rank
    is at most C/heads, so that they blur where `Attention` can point. The parameters are the same.
    Source: Shen et al. 2021, section 3.2; other features in place of the softmaxes: Katharopoulos et al. 2020, eq. 4-6.
    """

    def gather(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        summary = k.softmax(dim=-2).transpose(-1, -2) @ v  # (B, heads, C/heads, C/heads)
        return q.softmax(dim=-1) @ summary
