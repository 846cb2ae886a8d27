"""Every model of the book, at two sizes: `laptop` (about two minutes on two CPU cores) and `gpu` (the full run).

A recipe is all that training needs to know besides the data and a seed, so that one command makes a model again.
"""

import difflib
from dataclasses import dataclass, fields, is_dataclass, replace

import torch

from diffusion_book import predictions
from diffusion_book.errors import BookError
from diffusion_book.nets.mlp import MLP, MLPConfig
from diffusion_book.nets.unet import UNet, UNetConfig
from diffusion_book.objectives import LogitNormal, Steps, TimeLaw, Uniform
from diffusion_book.predictions import Prediction
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, LinearPath, Schedule, Shifted, SubVP


@dataclass(frozen=True)
class Recipe:
    """How one model is trained. Lengths are counted in training images, each repetition counted anew."""

    name: str
    size: str
    data: str
    net: UNetConfig | MLPConfig
    images: int
    batch: int = 64
    schedule: Schedule = LinearPath()
    prediction: Prediction = predictions.VELOCITY
    times: TimeLaw = LogitNormal()
    sigma_data: float = 1.0
    learning_rate: float = 1e-3
    warmup: int = 10_000
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    label_drop: float = 0.1
    flip: bool = False
    bf16: bool = True
    steps: int = 20
    image_size: int = 28

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W) of an image, (D,) of a point."""
        return (
            (self.net.dim,)
            if isinstance(self.net, MLPConfig)
            else (self.net.channels, self.image_size, self.image_size)
        )

    def network(self) -> torch.nn.Module:
        """A new network of this recipe's shape, with random weights."""
        return UNet(self.net) if isinstance(self.net, UNetConfig) else MLP(self.net)

    def learning_rate_at(self, seen: int) -> float:
        """Linear warm-up to the peak, then linearly down to 0 at the end."""
        return self.learning_rate * min((seen + self.batch) / self.warmup, 1.0) * (1 - seen / self.images)


_FASHION = UNetConfig(channels=1, classes=10, patch=2, widths=(96, 128), blocks=2, attention=(1,), embedding=128)
_FASHION_LONG = UNetConfig(channels=1, classes=10, patch=2, widths=(64, 128), blocks=1, attention=(1,), embedding=128)
_FASHION_LARGE = UNetConfig(
    channels=1, classes=10, widths=(64, 128, 256), blocks=2, attention=(1, 2), embedding=256, dropout=0.1
)
_COLOUR = UNetConfig(channels=3, patch=2, widths=(96, 128, 192), blocks=2, attention=(2,), embedding=128)
_COLOUR_LARGE = UNetConfig(channels=3, widths=(128, 256, 256), blocks=3, attention=(1, 2), embedding=512, dropout=0.1)

POINTS = Recipe(
    "points",
    "laptop",
    "points",
    MLPConfig(),
    images=1_000_000,
    batch=512,
    times=Uniform(),
    bf16=False,
    learning_rate=3e-3,
)
FASHION = Recipe("fashion", "laptop", "fashion", _FASHION, images=60_000, learning_rate=2e-3, sigma_data=0.7)
FASHION_LONG = replace(
    FASHION,
    size="long",
    data="fashion-full",
    net=_FASHION_LONG,
    images=720_000,
    batch=32,
    learning_rate=1.5e-3,
    ema=0.9995,
)
FASHION_GPU = Recipe(
    "fashion", "gpu", "fashion-full", _FASHION_LARGE, images=20_000_000, batch=512, sigma_data=0.7, ema=0.9998
)
CIFAR = Recipe(
    "cifar10",
    "laptop",
    "cifar10",
    replace(_COLOUR, classes=10),
    images=40_000,
    learning_rate=2e-3,
    sigma_data=0.5,
    flip=True,
    image_size=32,
)
CIFAR_GPU = replace(
    CIFAR,
    size="gpu",
    net=replace(_COLOUR_LARGE, classes=10),
    images=50_000_000,
    batch=512,
    learning_rate=5e-4,
    ema=0.9999,
)
FOLDER = Recipe("folder", "laptop", "folder", _COLOUR, images=40_000, learning_rate=2e-3, sigma_data=0.5, image_size=32)
FOLDER_GPU = replace(
    FOLDER, size="gpu", net=_COLOUR_LARGE, images=20_000_000, batch=256, learning_rate=5e-4, ema=0.9999, image_size=64
)

RECIPES: tuple[Recipe, ...] = (
    POINTS,
    replace(POINTS, size="gpu", net=MLPConfig(width=512, depth=5), images=20_000_000, batch=4096, ema=0.9998),
    FASHION,
    FASHION_LONG,
    FASHION_GPU,
    replace(FASHION, name="fashion-unconditional", net=replace(_FASHION, classes=0)),
    replace(FASHION_GPU, name="fashion-unconditional", net=replace(_FASHION_LARGE, classes=0)),
    CIFAR,
    CIFAR_GPU,
    FOLDER,
    FOLDER_GPU,
)


def find(name: str, size: str = "laptop") -> Recipe:
    """The recipe of this name and size. Raises BookError with the nearest names."""
    for recipe in RECIPES:
        if (recipe.name, recipe.size) == (name, size):
            return recipe
    names = sorted({recipe.name for recipe in RECIPES})
    if name in names:
        sizes = ", ".join(recipe.size for recipe in RECIPES if recipe.name == name)
        raise BookError(f"the recipe {name} comes in the sizes {sizes}; there is no {size!r}")
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise BookError(f"there is no recipe named {name!r}: {hint}The recipes are {', '.join(names)}")


# Recipes travel inside model files as JSON. Only these classes are ever built from a file.
_CLASSES = {
    cls.__name__: cls
    for cls in (
        Recipe,
        UNetConfig,
        MLPConfig,
        Uniform,
        LogitNormal,
        Steps,
        VP,
        Cosine,
        LinearPath,
        VE,
        EDM,
        SubVP,
        Shifted,
    )
}
_PREDICTIONS = {p.name: p for p in vars(predictions).values() if isinstance(p, Prediction)}


def encode(value):
    """A recipe, or any part of one, as plain JSON."""
    if isinstance(value, Prediction):
        return {"class": "Prediction", "name": value.name}
    if isinstance(value, Discrete):
        return {"class": "Discrete", "betas": value.betas.tolist()}
    if is_dataclass(value):
        return {"class": type(value).__name__} | {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    return [encode(item) for item in value] if isinstance(value, tuple) else value


def decode(value):
    """The inverse of `encode`. Raises BookError for anything that no recipe is made of."""
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    try:
        if value["class"] == "Prediction":
            name = value["name"]
            return predictions.edm(float(name[4:-1])) if name.startswith("edm(") else _PREDICTIONS[name]
        if value["class"] == "Discrete":
            return Discrete(torch.tensor(value["betas"], dtype=torch.float64))
        return _CLASSES[value["class"]](**{key: decode(item) for key, item in value.items() if key != "class"})
    except (KeyError, TypeError, ValueError) as error:
        raise BookError(f"the file's recipe cannot be read by this version of the book ({error!r})") from error


def resized(recipe: Recipe, images: int | None = None, batch: int | None = None) -> Recipe:
    """The recipe with another length or batch. Raises BookError for anything below 1."""
    for flag, value in (("--images", images), ("--batch", batch)):
        if value is not None and value < 1:
            raise BookError(f"{flag} must be at least 1, but got {value}")
    recipe = replace(recipe, images=images or recipe.images, batch=batch or recipe.batch)
    return replace(recipe, warmup=min(recipe.warmup, max(recipe.images // 10, 1)))
