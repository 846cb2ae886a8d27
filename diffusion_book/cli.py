"""The command line: `diffusion-book start | check | demo | train | sample | evaluate | recipes | audit`."""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from diffusion_book.errors import BookError
from diffusion_book.files import way_out


class Misread(Exception):
    """A flag that cannot be read. No ValueError: around such a one the parser would draw a box of many lines."""


def _whole(words: list[str]) -> int:
    try:
        return int(words[0])
    except ValueError:
        raise Misread(f"a whole number is wanted, such as 20, but got {words[0]!r}") from None


def _place(words: list[str]) -> Path:
    if not words[0].strip():
        raise Misread('a file or a folder is wanted, but got ""')
    return Path(words[0])


# flags that may be left out: by themselves they would show as {None}|INT, and their errors would speak of types
Whole = Annotated[
    int | None,
    PrimitiveConstructorSpec(1, "INT", _whole, lambda value: isinstance(value, int | None), lambda value: [str(value)]),
]
Text = Annotated[str | None, arg(metavar="STR")]
Place = Annotated[
    Path | None,
    PrimitiveConstructorSpec(
        1, "PATH", _place, lambda value: isinstance(value, Path | None), lambda value: [str(value)]
    ),
]
Sampler = Literal["dpmpp_2m", "heun", "heun_t", "euler_t", "ddim", "ancestral"]


@dataclass
class Common:
    """Flags that every command understands in the same sense."""

    out: Place = None
    """Where to write: a folder for `demo` and `train`, a .png for `sample`, a .json for `evaluate`."""
    steps: Whole = None
    """Sampling steps; the recipe's own number if left out."""
    seed: Whole = 0
    """Sample i depends on (seed, i) only; a training run on the seed and the number of images seen."""
    label: str = "all"
    """A class, by name or number ("sneaker", "7"), "all" classes in turn, or "none" for the unconditional model."""
    n: Whole = None
    """How many samples; as many as make a good picture or measure if left out."""
    device: Text = None
    """cpu, cuda, cuda:1, mps. The GPU is used if there is one."""

    def __post_init__(self):
        self.label = {"All": "all", "None": "none"}.get(self.label, self.label)


@dataclass
class Demo(Common):
    """Train on real photographs of clothes for a few minutes, sample, measure, and say what was made.

    Writes model.safetensors, samples.png, loss.png and summary.json to runs/demo, in place of an earlier demo's.
    """

    def run(self) -> None:
        from diffusion_book.demo import demo

        demo(self)


@dataclass
class Train(Common):
    """Train a recipe. `diffusion-book recipes` lists them with their cost.

    Examples:
      diffusion-book train fashion --out runs/fashion
      diffusion-book train points --data moons
      diffusion-book train folder --data ~/photos --images 200000
    """

    recipe: Annotated[Positional[str], arg(metavar="[RECIPE]")] = "fashion"
    """The recipe's name."""
    size: str = "laptop"
    """laptop or gpu (some recipes have more: see `diffusion-book recipes`)."""
    data: Text = None
    """For `folder`: your images. For `points`: which set (moons, spirals, ...)."""
    images: Whole = None
    """Training images in all, each repetition counted; the recipe's own number if left out."""
    batch: Whole = None
    """Images a step."""
    resume: bool = False
    """Go on from the last checkpoint in --out."""
    overwrite: bool = False
    """Replace the run that is in --out."""

    def run(self) -> None:
        from diffusion_book.commands import train

        train(self)


@dataclass
class Sample(Common):
    """Make pictures with a trained model: a shipped one by name, a run's folder, or a .safetensors file.

    Example: diffusion-book sample fashion --label sneaker --steps 20 --out sneakers.png
    """

    model: Annotated[Positional[str], arg(metavar="[MODEL]")] = "fashion"
    """A shipped model's name, a run's folder, or a file."""
    sampler: Sampler = "dpmpp_2m"
    """Which solver takes the steps (chapter 7 compares them)."""
    eta: float = 0.0
    """For ddim: how much fresh noise (0 none, 1 as much as `ancestral`)."""
    overwrite: bool = False
    """Replace the picture that is at --out."""

    def run(self) -> None:
        from diffusion_book.commands import sample

        sample(self)


@dataclass
class Evaluate(Common):
    """Measure a model against real images: Frechet and kernel distance, precision, recall, beside real data's own."""

    model: Annotated[Positional[str], arg(metavar="[MODEL]")] = "fashion"
    """A shipped model's name, a run's folder, or a file."""
    sampler: Sampler = "dpmpp_2m"
    """Which solver takes the steps."""
    eta: float = 0.0
    """For ddim: how much fresh noise."""
    overwrite: bool = False
    """Replace the file that is at --out."""

    def run(self) -> None:
        from diffusion_book.commands import evaluate

        evaluate(self)


@dataclass
class Recipes:
    """List the recipes: what each trains, on what, and at what cost."""

    def run(self) -> None:
        from diffusion_book.commands import recipes

        recipes()


@dataclass
class Start:
    """Make a folder of your own with the book's chapters as notebooks and its exercises, to read, run, and write in.

    Examples:
      diffusion-book start my-course
      diffusion-book start my-course --update       # bring a newer version of the book; what you changed stays yours
    """

    folder: Positional[Path] = Path("my-course")
    """A new or empty folder; with --update, your course folder."""
    update: bool = False
    """Bring what is new in the book, and whatever is missing. What you have changed is not touched."""
    seed: Whole = None
    """Decides the random inputs on which your answers are checked; drawn at random if left out."""

    def run(self) -> None:
        from diffusion_book.course_commands import start

        start(self)


@dataclass
class Check:
    """Check what you have written in exercises/. Says which answers are right, and of the others what is wrong with them.

    Examples:
      diffusion-book check 1.3            # one exercise
      diffusion-book check 1              # a chapter
      diffusion-book check                # everything
      diffusion-book check 1.3 --hint     # the next hint of this exercise

    Exit code: 0 if all pass, 1 if something is wrong or not written yet, 2 if something could not be read.
    """

    what: Annotated[Positional[tuple[str, ...]], arg(metavar="[NUMBER ...]")] = ()
    """Numbers of exercises (1.3) or chapters (1); all of them if left out."""
    hint: bool = False
    """Show the next hint of this exercise instead of checking it."""
    impl: Place = None
    """Another folder with files such as ch01_*.py, instead of your course folder's exercises."""
    seed: Whole = None
    """Check on the random inputs of this seed, not on those of your own."""
    limit: float | None = None
    """Seconds that each answer may take; the exercise's own limit if left out."""

    def run(self) -> None:
        from diffusion_book.course_commands import check

        sys.exit(check(self))


@dataclass
class Audit:
    """For those who write the book: what each chapter holds and what it lacks. Needs the repository.

    Exit code: 0 if every chapter has all that a chapter must have, otherwise 1.
    """

    chapters: Annotated[Positional[tuple[int, ...]], arg(metavar="[NUMBER ...]")] = ()
    """Numbers of chapters; all of them if left out."""
    quick: bool = False
    """Leave out what takes minutes: running the chapters."""

    def run(self) -> None:
        from diffusion_book.audit import audit

        sys.exit(audit(self))


Command = (
    Annotated[Start, arg(name="start")]
    | Annotated[Check, arg(name="check")]
    | Annotated[Demo, arg(name="demo")]
    | Annotated[Train, arg(name="train")]
    | Annotated[Sample, arg(name="sample")]
    | Annotated[Evaluate, arg(name="evaluate")]
    | Annotated[Recipes, arg(name="recipes")]
    | Annotated[Audit, arg(name="audit")]
)


def main(args: list[str] | None = None) -> None:
    """Parse, run, and turn an error that is meant for the reader into one line and exit code 2."""
    warnings.showwarning = lambda message, *rest: print(f"note: {message}", file=sys.stderr)
    command = None
    try:
        command = tyro.cli(
            Command,
            prog="diffusion-book",
            description="The diffusion book: its chapters and exercises in your own folder, its models to train and measure.",
            args=args,
        )
        if abs(getattr(command, "seed", None) or 0) >= 2**63:
            raise BookError(f"a seed is a whole number below 2^63, but got --seed {command.seed}")
        command.run()
    except (BookError, Misread) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # who reads our output, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror or error}{where}. {way_out(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        on = (
            " The run goes on from its last checkpoint, if it has one yet, with --resume."
            if isinstance(command, Train)
            else ""
        )
        print(f"\nstopped.{on}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
