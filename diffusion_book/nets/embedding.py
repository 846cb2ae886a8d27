"""What every network of the book is told besides x: the time t and a class label, as one vector."""

import math

import torch
from torch import Tensor, nn

from diffusion_book.errors import BookError

TIME_SCALE = 1000.0
LONGEST = 10_000.0


def time_features(t: Tensor, width: int) -> Tensor:
    """Sinusoids [cos(1000 omega_i t), sin(1000 omega_i t)], omega_i = 10000^(-2i / width); (B,) to (B, width).

    The fastest pair turns once in 2 pi steps of 1/1000, so that two neighbours among a thousand DDPM steps are
    plainly different inputs; the slowest (for width > 8) turns by less than a radian over all of [0, 1] and so carries
    t itself.
    Computed in at least float32: in bfloat16, 1000 t would be known to a few units only.
    Raises BookError when width is not a positive even number.
    Source: Vaswani et al. 2017, section 3.5; for diffusion Ho et al. 2020, appendix B (k = 1000 t). Their code differs:
    sines first, and divided by width/2 - 1.
    """
    if width < 2 or width % 2:
        raise BookError(f"time features come in cos/sin pairs: width must be even and at least 2, got {width}")
    t = t if t.dtype == torch.float64 else t.float()
    pairs = torch.arange(width // 2, device=t.device, dtype=t.dtype)
    omega = torch.exp(-math.log(LONGEST) * pairs / (width // 2))  # (width/2,)
    angle = TIME_SCALE * t[:, None] * omega  # (B, width/2)
    return torch.cat([angle.cos(), angle.sin()], dim=1)  # (B, width)


class Conditioning(nn.Module):
    """One vector from t and label, SiLU(W_2 SiLU(W_1 features(t)) + table[cond]): (B,), (B,) or None to (B, width).

    Row `classes` of the table is the null label, "no class given", and cond=None means exactly that row; with
    classes = 0 there is no table. Raises BookError for labels outside 0..classes, a wrong dtype or a wrong shape.
    """

    def __init__(self, width: int, classes: int = 0):
        super().__init__()
        if classes < 0:
            raise BookError(f"classes must be 0 (unconditional) or more, got {classes}")
        self.classes, self.width = classes, width
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, t: Tensor, cond: Tensor | None = None) -> Tensor:
        if t.ndim != 1:
            raise BookError(f"t must have shape (B,), one time per sample, got {tuple(t.shape)}")
        dtype = self.time[0].weight.dtype
        vector = self.time(time_features(t, self.width).to(dtype))  # (B, width)
        if self.label is not None:
            vector = vector + self.label(self.checked(cond, t))  # (B, width)
        elif cond is not None:
            raise BookError("this network is unconditional (classes=0): call it with cond=None")
        return nn.functional.silu(vector)

    def checked(self, cond: Tensor | None, t: Tensor) -> Tensor:
        null = self.classes
        if cond is None:
            return torch.full(t.shape, null, dtype=torch.int64, device=t.device)
        if cond.shape != t.shape or cond.dtype != torch.int64:
            raise BookError(
                f"cond must be int64 of shape {tuple(t.shape)}, one label per sample, "
                f"got {cond.dtype} of shape {tuple(cond.shape)}"
            )
        # Reading values would break a compiled graph; there, out-of-range indexing fails in the embedding itself.
        if not torch.compiler.is_compiling() and cond.numel() and (cond.min() < 0 or cond.max() > null):
            raise BookError(
                f"label {int(cond.min()) if cond.min() < 0 else int(cond.max())} is out of range: this network knows "
                f"the classes 0 to {null - 1}, and {null} for no class given"
            )
        return cond
