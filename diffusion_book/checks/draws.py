"""Random inputs for the cases of exercises, in float64."""

import torch

from diffusion_book.checks.exercise import Case


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """N(0, 1) in every entry."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Evenly between low and high in every entry."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def number(generator: torch.Generator, low: float, high: float) -> float:
    """One number between low and high."""
    return uniform(generator, low, high).item()


def case(*values, given: str = "") -> Case:
    """The case of these arguments, its tensors copied for each call."""
    return Case(lambda: tuple(v.clone() if isinstance(v, torch.Tensor) else v for v in values), given)
