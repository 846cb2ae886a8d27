"""Every model of the book, at two sizes: `laptop` (a few minutes on two CPU cores) and `gpu` (the full run).

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
    steps: int = 14
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
        return self.learning_rate * min((seen + self.batch) / self.warmup, 1.0) * max(1 - seen / self.images, 0.0)


# patch=2 folds 28x28 pixels into 14x14 places of four: a quarter of the work, and the network is wide enough to unfold them
_SMALL = UNetConfig(patch=2, widths=(64, 96), blocks=1, attention=(1,), embedding=128)
_LARGE = UNetConfig(widths=(128, 256, 256), blocks=3, attention=(1, 2), embedding=512, dropout=0.1)

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
POINTS_GPU = replace(POINTS, size="gpu", net=MLPConfig(width=512, depth=5), images=20_000_000, batch=4096, ema=0.9998)

# three minutes on two cores: many steps of a narrow network without attention teach more than few of a wide one
FASHION = Recipe(
    "fashion",
    "laptop",
    "fashion",
    replace(_SMALL, classes=10, widths=(24, 32), attention=()),
    images=54_000,
    batch=16,
    learning_rate=2.5e-3,
    warmup=1000,
    ema=0.99,  # a short run: an average over more steps would remember too early ones
    sigma_data=0.7,
    steps=8,
)
# the shipped model: the most that an hour on one core makes
FASHION_LONG = replace(
    FASHION,
    size="long",
    data="fashion-full",
    net=replace(_SMALL, classes=10, widths=(64, 128)),
    images=330_000,
    batch=32,
    learning_rate=1.5e-3,
    warmup=10_000,
    ema=0.9995,
    steps=20,
)
FASHION_GPU = replace(
    FASHION_LONG,
    size="gpu",
    net=UNetConfig(classes=10, widths=(64, 128, 256), blocks=2, attention=(1, 2), embedding=256, dropout=0.1),
    images=20_000_000,
    batch=512,
    learning_rate=1e-3,
    ema=0.9998,
)

# for likelihoods: all times alike, down to those at which the last bits of a picture are read; v is bounded at both ends
FASHION_VP = replace(
    FASHION,
    name="fashion-vp",
    net=replace(_SMALL, classes=0, widths=(32, 48), attention=()),
    schedule=VP(),
    prediction=predictions.V,
    times=Uniform(),
    label_drop=0.0,
    steps=50,
)
# the score at many levels: NCSN's network predicts sigma times the score, which is -eps
FASHION_VE = replace(FASHION_VP, name="fashion-ve", schedule=VE(), prediction=predictions.EPS)
_LONG = {"size": "long", "data": "fashion-full", "images": 300_000, "batch": 32, "learning_rate": 1.5e-3}
_LONG |= {"warmup": 10_000, "ema": 0.9995}
FASHION_VP_LONG, FASHION_VE_LONG = replace(FASHION_VP, **_LONG), replace(FASHION_VE, **_LONG)
_FULL = {
    "size": "gpu",
    "data": "fashion-full",
    "net": replace(FASHION_GPU.net, classes=0),
    "images": 20_000_000,
    "batch": 512,
    "learning_rate": 1e-3,
    "warmup": 10_000,
    "ema": 0.9998,
}
FASHION_VP_GPU, FASHION_VE_GPU = replace(FASHION_VP, **_FULL), replace(FASHION_VE, **_FULL)

CIFAR = replace(FASHION, name="cifar10", data="cifar10", net=replace(_SMALL, channels=3, classes=10), images=28_800)
CIFAR = replace(CIFAR, sigma_data=0.5, flip=True, image_size=32, learning_rate=2e-3, ema=0.999, steps=14)
CIFAR_GPU = replace(CIFAR, size="gpu", net=replace(_LARGE, channels=3, classes=10), images=50_000_000, batch=512)
CIFAR_GPU = replace(CIFAR_GPU, learning_rate=5e-4, warmup=500_000, ema=0.9999)

# the number of classes is that of the folder's sub-folders
FOLDER = replace(CIFAR, name="folder", data="folder", net=replace(_SMALL, channels=3))
FOLDER_GPU = replace(
    CIFAR_GPU, name="folder", data="folder", net=replace(_LARGE, channels=3), images=20_000_000, batch=256
)
FOLDER_GPU = replace(FOLDER_GPU, image_size=64)

RECIPES: tuple[Recipe, ...] = (
    POINTS,
    POINTS_GPU,
    FASHION,
    FASHION_LONG,
    FASHION_GPU,
    replace(FASHION, name="fashion-unconditional", net=replace(FASHION.net, classes=0)),
    replace(FASHION_GPU, name="fashion-unconditional", net=replace(FASHION_GPU.net, classes=0)),
    FASHION_VP,
    FASHION_VP_LONG,
    FASHION_VP_GPU,
    FASHION_VE,
    FASHION_VE_LONG,
    FASHION_VE_GPU,
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
    """The recipe with another length or batch. Raises BookError below 1, and for a batch that is more than all images."""
    for flag, value in (("--images", images), ("--batch", batch)):
        if value is not None and value < 1:
            raise BookError(f"{flag} must be at least 1, but got {value}")
    recipe = replace(recipe, images=images or recipe.images, batch=batch or recipe.batch)
    if batch is not None and batch > recipe.images:
        raise BookError(f"a batch of {batch:,} is more than the {recipe.images:,} images to train on: lower --batch")
    return replace(recipe, warmup=min(recipe.warmup, max(recipe.images // 10, 1)))
