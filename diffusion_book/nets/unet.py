"""The U-Net: image in, image of the same size out, told the time and (optionally) a class label.

Down through a pyramid of resolutions, up again, every feature map handed across to the way up. Nothing in here knows
a schedule, a noise level or what is being predicted: those live in the Denoiser. Chapter 3 builds it piece by piece.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion_book.errors import BookError
from diffusion_book.nets.blocks import Attention, ConvNeXtBlock, LinearAttention, ResidualBlock, zeroed
from diffusion_book.nets.embedding import Conditioning


@dataclass(frozen=True)
class UNetConfig:
    """What a U-Net is made of; it fits any image size divisible by `multiple`.

    channels: of the image. classes: 0 for none; the null label is index `classes`.
    patch: side of the space-to-depth patches the image is folded into first (1: none); 2 makes all ~4x cheaper.
    widths: channels at each level, each half the resolution of the one before. blocks: per level, on the way down.
    attention: levels (0 is the finest) with self-attention after each block; linear_attention: levels with the kind
    whose cost is linear in the number of places; heads: of both. convnext: ConvNeXt blocks for residual ones.
    embedding: length of the time-and-label vector. learned_variance: return 2C channels, the second half for the
    variance (Nichol and Dhariwal 2021, eq. 15). Raises BookError when the numbers do not fit together.
    """

    channels: int = 1
    classes: int = 0
    patch: int = 1
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    attention: tuple[int, ...] = (2,)
    heads: int = 4
    embedding: int = 128
    groups: int = 8
    dropout: float = 0.0
    learned_variance: bool = False
    convnext: bool = False
    linear_attention: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.widths or min(self.channels, self.patch, self.blocks, self.heads, self.groups, *self.widths) < 1:
            raise BookError(f"channels, patch, widths, blocks, heads and groups must all be at least 1, got {self}")
        if any(width % self.groups for width in self.widths):
            raise BookError(f"every width must be divisible by groups={self.groups} for GroupNorm, got {self.widths}")
        for name, levels in (("attention", self.attention), ("linear_attention", self.linear_attention)):
            if any(not 0 <= level < len(self.widths) for level in levels):
                raise BookError(f"{name} names levels 0 to {len(self.widths) - 1}, got {levels}")
        if set(self.attention) & set(self.linear_attention):
            raise BookError(
                f"a level has one kind of attention: name it in attention={self.attention} or in "
                f"linear_attention={self.linear_attention}, not in both"
            )
        if any(self.widths[level] % self.heads for level in self.attention + self.linear_attention):
            raise BookError(f"widths with attention must be divisible by heads={self.heads}, got {self.widths}")
        if not 0 <= self.dropout < 1:
            raise BookError(f"dropout is a probability in [0, 1), got {self.dropout}")

    @property
    def multiple(self) -> int:
        """Height and width must be divisible by this: the patch, times two for every halving."""
        return self.patch * 2 ** (len(self.widths) - 1)


class Stage(nn.Module):
    """A block, and attention where the configuration asks for it at this level."""

    def __init__(self, inputs: int, level: int, config: UNetConfig):
        super().__init__()
        width = config.widths[level]
        self.block = (ConvNeXtBlock if config.convnext else ResidualBlock)(inputs, width, config)
        self.attention = nn.Identity()
        if level in config.attention:
            self.attention = Attention(width, config)
        if level in config.linear_attention:
            self.attention = LinearAttention(width, config)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return self.attention(self.block(x, vector))


class UNet(nn.Module):
    """y_hat = UNet(config)(x, t, cond): x (B, C, H, W), t (B,) in [0, 1], cond int64 (B,) or None (the null label).

    Returns (B, C, H, W), or (B, 2C, H, W) with learned variance; exactly zero before training. On the way up, each
    stage reads what the matching one on the way down wrote, so fine detail need not squeeze through the coarsest level.
    Raises BookError for another number of channels, sizes not divisible by `config.multiple`, labels out of range.
    Source: Ronneberger et al. 2015; Ho et al. 2020, appendix B; Dhariwal and Nichol 2021, section 3.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths, folded = config.widths, config.channels * config.patch**2
        self.conditioning = Conditioning(config.embedding, config.classes)
        self.stem = nn.Conv2d(folded, widths[0], 3, padding=1)

        self.down, self.shrink, skips, width = nn.ModuleList(), nn.ModuleList(), [widths[0]], widths[0]
        for level in range(len(widths)):
            if level > 0:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
            stages = [Stage(width if i == 0 else widths[level], level, config) for i in range(config.blocks)]
            self.down.append(nn.ModuleList(stages))
            width = widths[level]
            skips += [width] * config.blocks

        self.middle = Stage(width, len(widths) - 1, config)

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(widths))):
            stages = []
            for _ in range(config.blocks + 1):  # one more than on the way down: the stem or the shrink left a map too
                stages.append(Stage(width + skips.pop(), level, config))
                width = widths[level]
            self.up.append(nn.ModuleList(stages))
            if level > 0:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))

        self.norm = nn.GroupNorm(config.groups, width)
        self.out = zeroed(nn.Conv2d(width, folded * (2 if config.learned_variance else 1), 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        channels, multiple = self.config.channels, self.config.multiple
        if x.ndim != 4 or x.shape[1] != channels or x.shape[2] % multiple or x.shape[3] % multiple:
            raise BookError(
                f"this U-Net takes images of shape (B, {channels}, H, W) with H and W divisible by {multiple} "
                f"(patch {self.config.patch}, {len(self.config.widths)} levels), got {tuple(x.shape)}"
            )
        vector = self.conditioning(t, cond)  # (B, E)
        h = self.stem(F.pixel_unshuffle(x, self.config.patch))  # (B, widths[0], H/patch, W/patch)

        skips = [h]
        for level, stages in enumerate(self.down):
            if level > 0:
                h = self.shrink[level - 1](h)  # half the height and width
                skips.append(h)
            for stage in stages:
                h = stage(h, vector)
                skips.append(h)

        h = self.middle(h, vector)

        for i, stages in enumerate(self.up):
            for stage in stages:
                h = stage(torch.cat([h, skips.pop()], dim=1), vector)
            if i < len(self.grow):
                h = self.grow[i](F.interpolate(h, scale_factor=2, mode="nearest"))  # twice the height and width

        y = F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.config.patch)  # (B, C or 2C, H, W)
        return y.to(x.dtype)  # under autocast the layers return bfloat16; the sampler's state is not
