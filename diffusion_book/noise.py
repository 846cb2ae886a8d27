"""Noise that depends on the seed and the number of the image, and on nothing else."""

import hashlib
import operator

import torch


class Noise:
    """noise() gives a fresh standard normal tensor (B, *shape). Image i draws from its own stream, seeded by (seed, i).

    Drawn in float32 on the CPU and moved, so that image i is the same in any batch and on any device.
    `first` is the number of the first image of this batch.
    """

    def __init__(self, seed: int, shape: tuple[int, ...], first: int = 0, device="cpu", dtype=torch.float32):
        self.shape, self.device, self.dtype = shape, device, dtype
        self.streams = [torch.Generator().manual_seed(mix(seed, first + i)) for i in range(shape[0])]

    def __call__(self) -> torch.Tensor:
        out = torch.empty(self.shape)
        for image, stream in zip(out, self.streams, strict=True):
            image.normal_(generator=stream)
        return out.to(self.device, self.dtype)


def mix(*parts) -> int:
    """One 63-bit seed out of several numbers or words, with no visible relation between neighbours."""
    parts = tuple(part if isinstance(part, str) else operator.index(part) for part in parts)  # numpy's 3 is the same 3
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1


def reseed(seed: int, device: torch.device) -> None:
    """torch.manual_seed for the CPU and one device. The full call looks for every kind there is, a millisecond each time."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
