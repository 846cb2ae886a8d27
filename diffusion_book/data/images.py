"""A set of images as one tensor, and the two functions between bytes and the book's unit, [-1, 1]."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from diffusion_book.errors import BookError

SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square 8-bit images held as one tensor, so that a whole set moves to a device in one call.

    images: uint8 (N, C, H, H), N >= 1. labels: int64 (N,) with values in [0, len(names)), or None.
    names: the class names; names[labels[i]] says what image i shows. Raises BookError where these do not hold.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self):
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or 0 in shape or shape[2] != shape[3]:
            raise BookError(
                f"images are {self.images.dtype} of shape {shape}; expected at least one square image as "
                "torch.uint8 of shape (N, C, H, H). Convert floats in [-1, 1] with to_bytes first."
            )
        if self.labels is None:
            return
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            raise BookError(
                f"labels are {self.labels.dtype} of shape {tuple(self.labels.shape)}; expected torch.int64 of "
                f"shape ({shape[0]},), one for each image."
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.names):
            raise BookError(
                f"labels run from {low} to {high}, but {len(self.names)} class names were given; "
                f"expected labels 0 to {len(self.names) - 1}. Give one name for each class."
            )

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def classes(self) -> int:
        """The number of classes; 0 for a set without labels."""
        return 0 if self.labels is None else len(self.names)

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """The side of an image in pixels."""
        return self.images.shape[2]

    def to(self, device) -> "ImageSet":
        """The same set with its tensors on `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """x = images / 127.5 - 1: uint8 of any shape to float32 in [-1, 1]; 0 becomes -1 and 255 becomes 1.

    Raises BookError for anything but uint8: floats are most likely scaled already.
    """
    if images.dtype != torch.uint8:
        raise BookError(f"to_unit got {images.dtype}; expected torch.uint8, grey levels 0 to 255.")
    return images.to(torch.float32) / 127.5 - 1


def to_bytes(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_unit`: clamp to [-1, 1], then round (x + 1) * 127.5 to the nearest grey level, uint8.

    Raises BookError for integers (grey levels already) and for NaN or infinity, which have no grey level.
    """
    if not x.is_floating_point():
        raise BookError(f"to_bytes got {x.dtype}; expected floats in [-1, 1].")
    if not torch.isfinite(x).all():
        raise BookError(
            "to_bytes got NaN or infinite values, which have no grey level. They come from an earlier step: "
            "look for a diverged training run or a sampler started at an unusable time."
        )
    # float32 first: in bf16 the product itself would be off by a grey level near white.
    x = x if x.dtype == torch.float64 else x.float()
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def read_shipped(name: str) -> dict[str, np.ndarray]:
    """The arrays of one file in the package's own data folder. Raises BookError if the file is missing or damaged."""
    path = SHIPPED / name
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # a damaged npz fails in zipfile, zlib or numpy, each with its own error
        raise BookError(
            f"the shipped data file {path} cannot be read ({type(error).__name__}: {error}). "
            "Install the package again, or rebuild the file with scripts/build_data.py."
        ) from error
