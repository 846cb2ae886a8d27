"""The small classifier whose features measure the distance between sets of images (its training: scripts/)."""

from importlib.resources import files

import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from diffusion_book.errors import BookError


class Classifier(nn.Module):
    """logits = Classifier()(x), x (B, 1, 28, 28) in [-1, 1]; `features(x)` (B, 128) are what the last layer reads.

    Five convolutions with GroupNorm and SiLU, the mean over places, one linear layer. The two choices serve the
    Frechet distance, which compares Gaussians fitted to the features: SiLU averaged over 49 places is smooth, with no
    dead or sparse coordinates, and GroupNorm keeps no statistics, so training and evaluation are one function.
    Raises BookError for images of another shape.
    """

    def __init__(self, classes: int = 10, widths: tuple[int, int, int] = (32, 64, 128)):
        super().__init__()
        fine, middle, coarse = widths
        sizes = [(1, fine, 1), (fine, middle, 2), (middle, middle, 1), (middle, coarse, 2), (coarse, coarse, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride, padding=1, bias=False) for a, b, stride in sizes)
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for _, b, _ in sizes)
        self.head = nn.Linear(coarse, classes)

    def features(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28):
            raise BookError(f"the classifier takes grey 28x28 images, (B, 1, 28, 28) in [-1, 1], got {tuple(x.shape)}")
        h = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = norm(conv(h))
            h = F.silu(y + h if y.shape == h.shape else y)  # where nothing changes shape, only learn the change
        return h.mean(dim=(2, 3))  # (B, 128)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # (B, classes)


SHIPPED = files("diffusion_book") / "weights" / "fashion_features.safetensors"


def shipped_classifier() -> Classifier:
    """The classifier of `scripts/train_classifier.py`, frozen, in float32: what the metrics measure with."""
    classifier = Classifier()
    classifier.load_state_dict({name: value.float() for name, value in load(SHIPPED.read_bytes()).items()})
    return classifier.requires_grad_(False).eval()
