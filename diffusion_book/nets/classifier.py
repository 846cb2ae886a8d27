"""The small classifier whose features measure the distance between sets of images (its training: scripts/)."""

from importlib.resources import files

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from diffusion_book.errors import BookError


class Classifier(nn.Module):
    """logits = Classifier()(x), x (B, 1, 28, 28) in [-1, 1]; `features(x)` (B, 128) are what the last layer reads.

    Five convolutions with SiLU, the mean over places, one linear layer. Averages of a smooth function make features
    without dead or sparse coordinates, as a Frechet distance between fitted Gaussians wants them. There is no
    normalization: a layer that divides by the image's own contrast would hide noise and blur from the metric. To
    train, ask for `batch_norm=True`, and `folded()` then returns the same function with the norms in the convolutions.
    Raises BookError for images of another shape.
    """

    def __init__(self, classes: int = 10, widths: tuple[int, int, int] = (32, 64, 128), batch_norm: bool = False):
        super().__init__()
        fine, middle, coarse = widths
        self.classes, self.widths = classes, widths
        sizes = [(1, fine, 1), (fine, middle, 2), (middle, middle, 1), (middle, coarse, 2), (coarse, coarse, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride, padding=1) for a, b, stride in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if batch_norm else nn.Identity() for _, b, _ in sizes)
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

    def folded(self) -> "Classifier":
        """The same function of x as this one in evaluation mode, without BatchNorm: norm(W x + b) is W' x + b'."""
        plain = Classifier(self.classes, self.widths)
        plain.head = self.head
        with torch.no_grad():
            for target, conv, norm in zip(plain.convs, self.convs, self.norms, strict=True):
                gain = norm.weight / (norm.running_var + norm.eps).sqrt()  # (C_out,)
                target.weight.copy_(conv.weight * gain[:, None, None, None])
                target.bias.copy_((conv.bias - norm.running_mean) * gain + norm.bias)
        return plain.eval()


SHIPPED = files("diffusion_book") / "weights" / "fashion_features.safetensors"


def shipped_classifier() -> Classifier:
    """The classifier of `scripts/train_classifier.py`, frozen, in float32: what the metrics measure with."""
    classifier = Classifier()
    classifier.load_state_dict({name: value.float() for name, value in load(SHIPPED.read_bytes()).items()})
    return classifier.requires_grad_(False).eval()
