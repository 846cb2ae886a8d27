"""A trained model as one .safetensors file: the weights, and as text beside them the recipe, the seed and the scores.

Nothing is pickled: reading a file runs no code of its author's. Files are written under another name and then renamed,
so that what bears the right name is always whole.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch

import diffusion_book
from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.files import replace_file
from diffusion_book.recipes import Recipe, decode, encode

MODEL_FORMAT = "diffusion-book model 1"
SHIPPED = Path(__file__).parent / "weights"


@dataclass
class ModelCard:
    """What is known of a trained model: enough to make it again, and what it cost and scored."""

    recipe: Recipe
    seed: int
    images: int
    seconds: float
    hardware: str
    names: tuple[str, ...] = ()
    version: str = diffusion_book.__version__
    metrics: dict = field(default_factory=dict)

    def to_text(self) -> str:
        return json.dumps(asdict(self) | {"recipe": encode(self.recipe)})

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: Path) -> "ModelCard":
        """The card that `to_text` wrote into a file's metadata. Raises BookError if it cannot be understood."""
        try:
            fields = json.loads(metadata["card"])
            card = cls(**fields | {"recipe": decode(fields["recipe"]), "names": tuple(fields["names"])})
            if not isinstance(card.recipe, Recipe):
                raise TypeError("its recipe is none")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BookError(
                f"{path} does not say how its model was made ({error!r}): another version of the book wrote it, or it was "
                "changed. Train it again"
            ) from error
        return card


def save_model(path: Path, net: torch.nn.Module, card: ModelCard, dtype: torch.dtype | None = None) -> None:
    """Write the network's weights (as `dtype`, if given) and its card."""
    tensors = {name: tensor.detach().to("cpu", dtype) for name, tensor in net.state_dict().items()}
    write(path, tensors, {"format": MODEL_FORMAT, "card": card.to_text()})


def load_model(path: Path | str, device="cpu") -> tuple[Denoiser, ModelCard]:
    """(denoiser, card) of a model file, or of a shipped model by its name. Raises BookError for any other file."""
    shipped = SHIPPED / f"{path}.safetensors"
    own = [file for file in (Path(path), Path(path) / "model.safetensors") if file.is_file()]
    path = own[0] if own else shipped if shipped.exists() else Path(path)
    tensors, metadata = read(path)
    if metadata.get("format") != MODEL_FORMAT:
        raise BookError(
            f"{path} is a safetensors file, but no model of this book: train one with `diffusion-book train`"
        )
    card = ModelCard.from_metadata(metadata, path)
    net = card.recipe.network()
    load_weights(net, {name: tensor.float() for name, tensor in tensors.items()}, path)
    recipe = card.recipe
    return Denoiser(net.to(device).eval(), recipe.schedule, recipe.prediction, recipe.sigma_data), card


def shipped_models() -> list[str]:
    """The names of the models that come with the book; the weights of the metrics' classifier lie beside them."""
    return sorted(file.stem for file in SHIPPED.glob("*.safetensors") if read(file)[1].get("format") == MODEL_FORMAT)


def load_weights(net: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Copy tensors into a network. Raises BookError, naming the first that does not fit."""
    wanted = net.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        here, there = wanted.get(name), tensors.get(name)
        if here is None or there is None or here.shape != there.shape:
            file, net = (("missing" if one is None else str(tuple(one.shape))) for one in (there, here))
            raise BookError(
                f"{path} was made by a network of another shape than its recipe says: {name} is {file} in the file, and "
                f"{net} in the network. Train it again"
            )
    net.load_state_dict(tensors)


def write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a .safetensors file that is either whole or not there. Raises BookError if the disk refuses."""
    data = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata
    )
    replace_file(Path(path), data)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(tensors, metadata) of a .safetensors file. Raises BookError for a missing, cut or foreign file."""
    if not path.is_file():
        raise BookError(
            f"there is no model at {str(path)!r}: give a .safetensors file, a run's folder, or a shipped model "
            f"({', '.join(shipped_models())})"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        state = f"sample {path.with_name('model.safetensors')}, or train anew with --overwrite"
        advice = state if path.name == "state.safetensors" else "fetch or train it again"
        raise BookError(f"{path} is not a whole .safetensors file ({error}): {advice}") from error
