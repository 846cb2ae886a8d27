"""How far samples are from data, always beside the distance that real data keep from real data.

Images are judged in the features of the small classifier that ships with the book; the numbers therefore compare with
each other and with nothing published elsewhere, and are never called FID. See chapter 21.
"""

import json
import warnings
from functools import lru_cache

import torch
from torch import nn

from diffusion_book.data.images import to_unit
from diffusion_book.errors import BookError
from diffusion_book.nets.classifier import SHIPPED, shipped_classifier

REFERENCE = SHIPPED.parent / "fashion_reference.safetensors"


@torch.no_grad()
def features(images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """(N, 128) features of uint8 images (N, 1, 28, 28): samples are judged as they would be saved, in bytes."""
    if images.dtype != torch.uint8:
        raise BookError(f"images are compared as bytes: convert them with to_bytes first (got {images.dtype})")
    classifier = shipped_classifier().to(images.device)
    return torch.cat([classifier.features(to_unit(part)) for part in images.split(batch)]).cpu()


class _Given(nn.Module):
    """Features that are there already, in the place where torchmetrics expects a network."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, values):
        return values


def moments(values: torch.Tensor) -> dict[str, torch.Tensor]:
    """The sums from which a Gaussian is fitted to features: count, sum of f, sum of f f^T, in float64."""
    values = values.double()
    return {"num_samples": torch.tensor(len(values)), "sum": values.sum(0), "cov_sum": values.T @ values}


def frechet_distance(ours: torch.Tensor, theirs: torch.Tensor | dict[str, torch.Tensor]) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of Gaussians fitted to features (N, D); `theirs` may be `moments`.

    It is biased upward for few samples: compare at the same N, beside the floor. Source: Heusel et al. 2017, eq. 6.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(ours.shape[1]))
    theirs = moments(theirs) if isinstance(theirs, torch.Tensor) else theirs
    for name, value in theirs.items():
        setattr(metric, f"real_features_{name}", value.clone())
    metric.update(ours.double(), real=False)
    # torchmetrics warns that compute() came before update(): the real half was set from stored sums
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return metric.compute().item()


def kernel_distance(
    ours: torch.Tensor, theirs: torch.Tensor, subsets: int = 50, size: int = 500
) -> tuple[float, float]:
    """Unbiased squared MMD of features under (f.g/D + 1)^3: mean and standard deviation over random subsets.

    Source: Binkowski et al. 2018, section 3.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", UserWarning)  # it says that it keeps all features, which is the idea
        torch.manual_seed(0)  # the subsets
        metric = KernelInceptionDistance(
            _Given(ours.shape[1]), subsets=subsets, subset_size=min(size, len(ours), len(theirs))
        )
        metric.update(theirs.double(), real=True)
        metric.update(ours.double(), real=False)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()


def precision_recall(ours: torch.Tensor, theirs: torch.Tensor, neighbours: int = 3) -> tuple[float, float]:
    """(precision, recall): the share of our features inside the real set's k-nearest-neighbour balls, and the reverse.

    Source: Kynkaanniemi et al. 2019, eq. 1-3. Both depend on the number of samples: use the same on both sides.
    """

    if min(len(ours), len(theirs)) <= neighbours:
        raise BookError(
            f"the {neighbours}-th neighbour of a feature needs more than {neighbours} features on each side"
        )

    ours, theirs = ours.double(), theirs.double()

    def covered(points, centres):
        # the nearest neighbour of a centre is itself, hence one more
        radii = torch.cdist(centres, centres).kthvalue(neighbours + 1).values
        return (torch.cdist(points, centres) <= radii).any(1).double().mean().item()

    return covered(ours, theirs), covered(theirs, ours)


@torch.no_grad()
def nearest(
    ours: torch.Tensor, theirs: torch.Tensor, neighbours: int = 1, chunk: int = 1000
) -> tuple[torch.Tensor, torch.Tensor]:
    """(indices, distances), each (N, neighbours): which of `theirs` lie closest to each of `ours`, the closest first.

    The distance is that of Euclid between rows: of `features` (N, D), or of the pixels of images (N, C, H, W), where
    bytes are first brought to [-1, 1]. Distances are float64 and exactly 0 for a copy. No more than chunk^2 are held
    at a time. Raises BookError for rows of different shapes and for more neighbours than there are. See chapter 3.
    """
    if ours.shape[1:] != theirs.shape[1:] or ours.dtype != theirs.dtype:
        raise BookError(
            f"neighbours are sought among rows of one kind, but ours are {ours.dtype} {tuple(ours.shape)} and theirs "
            f"{theirs.dtype} {tuple(theirs.shape)}: bring both to the same form"
        )
    if not 1 <= neighbours <= len(theirs):
        raise BookError(
            f"there are {len(theirs)} rows to choose from: ask for 1 to that many neighbours, not {neighbours}"
        )
    parts = [_nearest(part, theirs, neighbours, chunk) for part in ours.split(chunk)]
    indices, distances = (torch.cat(column) for column in zip(*parts, strict=True))
    return indices.cpu(), distances.cpu()


def _nearest(ours, theirs, neighbours, chunk):
    ours = _rows(ours)  # (n, D)
    found, best = ours.new_empty(len(ours), 0, dtype=torch.int64), ours.new_empty(len(ours), 0)
    for first in range(0, len(theirs), chunk):
        distance = torch.cdist(ours, _rows(theirs[first : first + chunk]))  # (n, chunk)
        index = torch.arange(first, first + distance.shape[1], device=ours.device).expand_as(distance)
        found, best = torch.cat([found, index], 1), torch.cat([best, distance], 1)
        best, order = best.topk(min(neighbours, best.shape[1]), largest=False)
        found = found.gather(1, order)
    # cdist squares and subtracts, which leaves a copy at 1e-7 instead of 0: the few that were found are measured anew
    exact = (ours[:, None] - _rows(theirs[found.flatten()]).unflatten(0, found.shape)).norm(dim=2)  # (n, neighbours)
    exact, order = exact.sort(dim=1, stable=True)
    return found.gather(1, order), exact


def _rows(values: torch.Tensor) -> torch.Tensor:
    return (to_unit(values) if values.dtype == torch.uint8 else values).flatten(1).double()


def energy_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| of points (N, D), without bias: 0 on average for equal distributions.

    Source: Szekely & Rizzo 2013, eq. 1.
    """

    def within(points):
        return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

    a, b = a.double(), b.double()
    return (2 * torch.cdist(a, b).mean() - within(a) - within(b)).item()


def sliced_wasserstein(a: torch.Tensor, b: torch.Tensor, slices: int = 200) -> float:
    """sqrt of the mean over random directions of the squared W2 between the projections. a, b (N, D), the same N.

    Source: Bonneel et al. 2015, section 3.
    """
    if a.shape != b.shape:
        raise BookError(f"sliced Wasserstein compares sets of one size, but got {tuple(a.shape)} and {tuple(b.shape)}")
    directions = torch.randn(a.shape[1], slices, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = directions / directions.norm(dim=0)
    ordered = [(points.double() @ directions).sort(dim=0).values for points in (a, b)]
    return (ordered[0] - ordered[1]).square().mean().sqrt().item()


@lru_cache(maxsize=1)
def reference() -> dict[str, torch.Tensor]:
    """The stored moments of the features of the shipped 10,000 training images."""
    from safetensors.torch import load

    return load(REFERENCE.read_bytes())


def judge(images: torch.Tensor, real: torch.Tensor, stored: dict | None = None) -> dict[str, float]:
    """All four figures of uint8 images against real ones; the Frechet distance against `stored` moments where given."""
    ours, theirs = features(images), features(real)
    kernel, spread = kernel_distance(ours, theirs)
    precision, recall = precision_recall(ours, theirs)
    return {
        "frechet": frechet_distance(ours, theirs if stored is None else stored),
        "kernel": kernel,
        "kernel_spread": spread,
        "precision": precision,
        "recall": recall,
        "samples": len(images),
    }


def noisy(images: torch.Tensor, deviation: float, seed: int = 0) -> torch.Tensor:
    """Bytes with Gaussian noise of this standard deviation on the scale 0..1."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + 255 * deviation * noise).clamp(0, 255).round().to(torch.uint8)


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Bytes after a 3x3 box; the edge counts the pixels that are there."""
    return nn.functional.avg_pool2d(images.float(), 3, 1, 1, count_include_pad=False).round().to(torch.uint8)


def calibration() -> dict:
    """What `make calibrate` measured: the floor, kinds of damage, the demo and the shipped model, with spreads."""
    return json.loads((SHIPPED.parent / "calibration.json").read_text())
