"""Points in the plane: data sets that can be looked at whole. Each has mean 0 and about unit variance per coordinate.

Every set is a formula in its own units, whose mean and variance are known in closed form and divided out. The curves
carry Gaussian noise of standard deviation NOISE (after scaling), so that they have a density.
"""

import math

import torch

from diffusion_book.errors import BookError

NOISE = 0.05
MIXTURE_SCALE = 0.15  # the standard deviation of each Gaussian in `mixture`


def moons(n: int, seed: int = 0) -> torch.Tensor:
    """Two interleaved half circles. Float32 (n, 2); raises BookError for n < 1, as do all sets here."""
    generator = start(n, seed)
    angle, lower = math.pi * uniform(n, generator), uniform(n, generator) < 0.5
    x = torch.where(lower, 1 - angle.cos(), angle.cos())
    y = torch.where(lower, 0.5 - angle.sin(), angle.sin())
    variance = 3 / 4, 1 / 2 - 4 / math.pi**2 + (2 / math.pi - 1 / 4) ** 2
    return finish(x, y, (1 / 2, 1 / 4), variance, NOISE, generator)


def spirals(n: int, seed: int = 0) -> torch.Tensor:
    """Two arms, each one and a half turns from the centre outwards, r = angle. Float32 (n, 2)."""
    generator = start(n, seed)
    end = 3 * math.pi
    angle = end * uniform(n, generator).sqrt()  # the root spreads the points evenly along the arm
    arm = torch.where(uniform(n, generator) < 0.5, -1.0, 1.0)
    variance = end**2 / 4 + 3 / 4, end**2 / 4 - 3 / 4
    return finish(arm * angle * angle.cos(), arm * angle * angle.sin(), (0, 0), variance, NOISE, generator)


def swiss_roll(n: int, seed: int = 0) -> torch.Tensor:
    """One arm of one and a half turns, r = angle from 3 pi / 2 to 9 pi / 2. Float32 (n, 2)."""
    generator = start(n, seed)
    angle = 1.5 * math.pi * (1 + 2 * uniform(n, generator))
    mean = 2, 2 / (3 * math.pi)
    square = 39 / 8 * math.pi**2  # half the mean of angle^2
    variance = square - 1 / 4 - mean[0] ** 2, square + 1 / 4 - mean[1] ** 2
    return finish(angle * angle.cos(), angle * angle.sin(), mean, variance, NOISE, generator)


def checkerboard(n: int, seed: int = 0) -> torch.Tensor:
    """The black squares of a 4x4 board, uniformly: squares of side sqrt(3)/2, sharp edges. Float32 (n, 2)."""
    generator = start(n, seed)
    x = 4 * uniform(n, generator) - 2
    row = 2 * torch.randint(2, (n,), generator=generator) - 2  # of the two black squares in a column, one
    y = row + x.floor() % 2 + uniform(n, generator)
    return finish(x, y, (0, 0), (4 / 3, 4 / 3), 0, generator)


def rings(n: int, seed: int = 0) -> torch.Tensor:
    """Three circles of radii 1, 2 and 3 (over sqrt(3)), equally dense along the line. Float32 (n, 2)."""
    generator = start(n, seed)
    angle = 2 * math.pi * uniform(n, generator)
    radius = torch.tensor([1, 2, 2, 3, 3, 3])[torch.randint(6, (n,), generator=generator)]
    return finish(radius * angle.cos(), radius * angle.sin(), (0, 0), (3, 3), NOISE, generator)


def mixture(n: int, seed: int = 0) -> torch.Tensor:
    """Eight equal Gaussians on a circle: means `mixture_means()`, standard deviation MIXTURE_SCALE. Float32 (n, 2)."""
    generator = start(n, seed)
    x, y = mixture_means()[torch.randint(8, (n,), generator=generator)].T
    return finish(x, y, (0, 0), (1, 1), MIXTURE_SCALE, generator)


def mixture_means() -> torch.Tensor:
    """The centres of `mixture`, float64 (8, 2), at the radius that makes the variance of the whole set exactly 1."""
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return math.sqrt(2 * (1 - MIXTURE_SCALE**2)) * torch.stack([angle.cos(), angle.sin()], 1)


def start(n: int, seed: int) -> torch.Generator:
    if not isinstance(n, int) or n < 1:
        raise BookError(f"n = {n!r} points were asked for; expected a whole number of at least 1.")
    return torch.Generator().manual_seed(seed)


def uniform(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def finish(x, y, mean, variance, noise: float, generator: torch.Generator) -> torch.Tensor:
    points = torch.stack([(x - mean[0]) / math.sqrt(variance[0]), (y - mean[1]) / math.sqrt(variance[1])], 1)
    if noise:
        points = points + noise * torch.randn(points.shape, generator=generator, dtype=torch.float64)
    return points.float()


POINT_SETS = {
    "moons": moons,
    "spirals": spirals,
    "swiss_roll": swiss_roll,
    "checkerboard": checkerboard,
    "rings": rings,
    "mixture": mixture,
}
