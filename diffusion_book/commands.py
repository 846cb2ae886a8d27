"""What the commands of `cli` do. Kept apart so that `diffusion-book --help` answers before torch is imported."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from diffusion_book import grids, hardware, metrics, plots, samplers
from diffusion_book import recipes as recipe_book
from diffusion_book.checkpoints import load_model
from diffusion_book.data import fashion_mnist
from diffusion_book.data.images import ImageSet, to_bytes
from diffusion_book.errors import BookError
from diffusion_book.files import make_place, replace_file
from diffusion_book.generation import generate
from diffusion_book.recipes import Recipe
from diffusion_book.shell import command
from diffusion_book.training import Run, threads_of

# ---------------------------------------------------------------------------------------- training


def train(args) -> None:
    device = hardware.choose(args.device)
    recipe, data = prepare(args.recipe, args.size, args.data)
    recipe = recipe_book.resized(recipe, args.images, args.batch)
    n = shown(recipe) if args.n is None else args.n
    labels = chosen_labels(args.label, recipe, names_of(data), n)  # a wrong label is found before training
    if args.steps is not None:
        recipe = replace(recipe, steps=checked_steps(args.steps))
    folder = Path(args.out or f"runs/{recipe.name}-{recipe.size}")
    if args.resume and args.overwrite:
        raise BookError("--resume goes on with a run and --overwrite deletes it: choose one of them")
    settle(device, threads_of(folder) if args.resume else None)
    run = new_run(recipe, data, folder, seed=args.seed, device=device, resume=args.resume, overwrite=args.overwrite)
    make_place(folder / "samples" / "first.png")
    if args.resume and not run.seen:
        print(f"{folder} holds no checkpoint yet: starting from the beginning")
    print(f"{recipe.name} ({recipe.size}): {parameters(run.net):,} parameters, {recipe.images:,} training images")
    print(f"on {hardware.describe(device)}, into {folder}")
    if run.seen:
        print(f"going on from {run.seen:,} images")
    for progress in with_bar(run):
        if progress.saved and run.accelerator.is_main_process:
            preview(run, labels, n, folder / "samples" / f"{progress.images:09d}.png")
    if run.accelerator.is_main_process:
        log = folder / "log.jsonl"
        rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if rows:
            plots.loss_figure(rows).savefig(folder / "loss.png", dpi=150)
        print(f"done: {folder / 'model.safetensors'} after {run.seconds:.0f} s of training. Sample it with")
        print(f"  {command('diffusion-book')} sample {shlex.quote(str(folder))}")


def prepare(name: str, size: str, source: str | None) -> tuple[Recipe, "ImageSet | torch.Tensor"]:
    """The recipe and its data, fitted to each other. Raises BookError where they do not fit."""
    recipe = recipe_book.find(name, size)
    if source is not None and recipe.data not in ("folder", "points"):
        raise BookError(f"the recipe {name} brings its own data; --data belongs to the recipes folder and points")
    if recipe.data == "points":
        from diffusion_book.data.points import POINT_SETS

        if source is not None and source not in POINT_SETS:
            raise BookError(f"there is no point set {source!r}: choose one of {', '.join(POINT_SETS)}")
        source = source or "moons"
        return replace(recipe, data=f"points/{source}"), POINT_SETS[source](100_000, seed=0)
    if recipe.data == "cifar10":
        from diffusion_book.data.cifar10 import cifar10

        return recipe, cifar10("train")
    if recipe.data == "folder":
        from diffusion_book.data.folder import image_folder

        if not source:
            raise BookError("say where your images are: diffusion-book train folder --data PATH")
        images, skipped = image_folder(source, recipe.image_size, recipe.net.channels)
        for file, reason in skipped:
            print(f"skipped {file}: {reason}")
        few = ": so few can only be learned by heart" if len(images) < 100 else ""
        print(f"{len(images):,} images from {source}, {len(skipped)} skipped{few}")
        return replace(recipe, net=replace(recipe.net, classes=images.classes)), images
    return recipe, fashion_mnist("train", full=recipe.data == "fashion-full")


def new_run(recipe: Recipe, data, folder: Path, **options) -> Run:
    """A `Run` on an ImageSet or on bare points."""
    if isinstance(data, torch.Tensor):
        return Run(recipe, data, None, folder, **options)
    return Run(recipe, data.images, data.labels, folder, names=data.names, **options)


def settle(device: torch.device, before: int | None = None) -> None:
    """As many threads as are fast now, and a line if those are not all.

    before: the number with which the run that goes on was computed. It stays, or the end would not be the same to the bit.
    """
    if device.type == "cpu" and (line := hardware.settle_threads(before)):
        print(line)


def with_bar(run: Run):
    """The run's progress, with a bar that counts images and shows the loss."""
    with tqdm(total=run.recipe.images, initial=run.seen, unit=" images", desc="training", smoothing=0.1) as bar:
        for progress in run:
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            bar.update(progress.images - bar.n)
            yield progress


def preview(run: Run, labels, n: int, path: Path) -> None:
    """A grid of samples of the averaged weights, as they are now."""
    plots.save_samples(draw(run.denoiser, run.recipe, n, labels, device=run.device, bf16=run.recipe.bf16), path)


# ---------------------------------------------------------------------------------------- sampling


STEPS = {
    "dpmpp_2m": lambda eta: samplers.dpmpp_2m,
    "heun": lambda eta: samplers.heun,
    "heun_t": lambda eta: samplers.heun_t,
    "euler_t": lambda eta: samplers.euler_t,
    "ddim": samplers.ddim,
    "ancestral": lambda eta: samplers.ancestral,
}


MOST_STEPS, MOST_SAMPLES = 100_000, 1_000_000


def sample(args) -> None:
    device = hardware.choose(args.device)
    denoiser, card = load_model(args.model, device)
    n = shown(card.recipe) if args.n is None else args.n
    labels = chosen_labels(args.label, card.recipe, card.names, n)
    steps = checked_steps(card.recipe.steps if args.steps is None else args.steps)
    path = Path(args.out or f"{Path(args.model).name}.png")
    plots.picture_format(path)
    refuse_existing(path, args.overwrite)
    images = draw(denoiser, card.recipe, n, labels, steps, args.sampler, args.eta, args.seed, device, progress=True)
    plots.save_samples(images, path)
    print(f"wrote {path}: {n} samples, {steps} steps of {args.sampler}, seed {args.seed}")


def shown(recipe: Recipe) -> int:
    """How many samples make a picture: points are small."""
    return 40 if len(recipe.shape) == 3 else 2000


def draw(
    denoiser, recipe: Recipe, n, labels=None, steps=None, sampler="dpmpp_2m", eta=0.0, seed=0, device="cpu", **options
):
    """n samples with a recipe's model: `generate` with the recipe's shape, grid and number of steps."""
    exact_on_every_device()
    if eta and sampler != "ddim":
        raise BookError(f"{sampler} has no eta: leave --eta out, or choose --sampler ddim")
    step, times = (
        STEPS[sampler](eta),
        time_grid(recipe, checked_steps(recipe.steps if steps is None else steps), sampler),
    )
    made = generate(denoiser, recipe.shape, n, times, step, labels=labels, seed=seed, device=device, **options)
    if not bool(made.isfinite().all()):
        raise BookError(
            "the samples are not finite: the model's training went wrong, or the file was changed. Train it again"
        )
    return made


def time_grid(recipe: Recipe, steps: int, sampler: str) -> torch.Tensor:
    """Equal steps in t; for `heun`, which integrates in sigma/alpha, the grid made for that variable."""
    if sampler == "heun":
        return grids.karras(steps, recipe.schedule)
    return grids.uniform(steps, start=recipe.schedule.last_t if recipe.prediction.needs_signal else 1.0)


def checked_steps(steps: int) -> int:
    if steps < 1:
        raise BookError(f"a sampler needs at least 1 step, but got --steps {steps}")
    if steps > MOST_STEPS:
        raise BookError(f"--steps {steps:,} would take for ever: at most {MOST_STEPS:,} are taken, and fifty are many")
    return steps


def exact_on_every_device() -> None:
    """Full float32 on the GPU too: with TF32 it would differ from the CPU by more than a grey level."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def chosen_labels(label: str, recipe: Recipe, names: tuple[str, ...], n: int) -> torch.Tensor | None:
    """n labels: "all" classes in turn, "none", or the one that was asked for by name, part of a name, or number.

    Raises BookError for any other, and for a number of samples that cannot be made.
    """
    if not 1 <= n <= MOST_SAMPLES:
        raise BookError(f"at least 1 sample must be asked for and at most {MOST_SAMPLES:,}, but got --n {n:,}")
    classes = recipe.net.classes
    if classes == 0:
        if label not in ("all", "none"):
            raise BookError(f"this model knows no classes, so --label {label} means nothing to it: leave it out")
        return None
    if label == "all":
        return torch.arange(n) % classes
    if label == "none":
        return torch.full((n,), classes)
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(names)) or f"0 to {classes - 1}"
    wanted, lower = label.lower(), [name.lower() for name in names]
    matches = [i for i, name in enumerate(lower) if name == wanted]
    if not matches and label.lstrip("-").isdecimal():
        matches = [int(label)] if 0 <= int(label) < classes else []
    elif not matches:
        matches = [i for i, name in enumerate(lower) if wanted in name]
    if len(matches) != 1:
        many = "fits several classes" if matches else "is no class of this model"
        raise BookError(f"the label {label!r} {many}: choose one of {listed}, or none")
    return torch.full((n,), matches[0])


# ---------------------------------------------------------------------------------------- measuring


def evaluate(args) -> None:
    device = hardware.choose(args.device)
    denoiser, card = load_model(args.model, device)
    n = enough(args.n)
    labels = chosen_labels(args.label, card.recipe, card.names, n)
    if args.out:
        refuse_existing(Path(args.out), args.overwrite)
    if card.recipe.data.startswith("points/"):
        points = draw(denoiser, card.recipe, n, labels, args.steps, args.sampler, args.eta, args.seed, device)
        scores = measure_points(points, card.recipe.data.removeprefix("points/"))
    elif card.recipe.shape == (1, 28, 28):
        images = draw(
            denoiser, card.recipe, n, labels, args.steps, args.sampler, args.eta, args.seed, device, progress=True
        )
        scores = measure_images(to_bytes(images), args.label)
    else:
        raise BookError(
            f"the shipped feature network knows grey 28x28 images only, this model makes {card.recipe.shape}"
        )
    for name, figures in scores.items():
        print(f"{name:>12}  " + "  ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    if args.out:
        replace_file(Path(args.out), (json.dumps(scores, indent=2) + "\n").encode())
        print(f"wrote {args.out}")


def enough(n: int | None) -> int:
    """The number of samples to measure with. Raises BookError for so few that a distance means nothing."""
    n = 2000 if n is None else n
    if n < 20:
        raise BookError(f"a distance between distributions needs at least 20 samples, but got --n {n}")
    return n


def measure_images(images: torch.Tensor, label: str = "all") -> dict[str, dict[str, float]]:
    """The figures of the samples and, for the same number of real test images, their floor."""
    train, test = fashion_mnist("train"), fashion_mnist("test")
    stored = metrics.reference()
    if label not in ("all", "none"):
        chosen = int(chosen_labels(label, recipe_book.FASHION, train.names, 1))
        train, test = (
            ImageSet(s.images[s.labels == chosen], s.labels[s.labels == chosen], s.names) for s in (train, test)
        )
        stored = metrics.moments(metrics.features(train.images))
    real = train.images[: len(images)]
    return {
        "samples": metrics.judge(images, real, stored),
        "real test": metrics.judge(test.images[: len(images)], real, stored),
    }


def measure_points(points: torch.Tensor, name: str) -> dict[str, dict[str, float]]:
    """The distances of the samples from a fresh draw of the point set `name`, and those of another fresh draw."""
    from diffusion_book.data.points import POINT_SETS

    if name not in POINT_SETS:
        raise BookError(f"the model learned a point set {name!r}, which this version of the book does not have")
    data, again = (POINT_SETS[name](len(points), seed=seed) for seed in (1, 2))

    def figures(a):
        return {
            "energy": metrics.energy_distance(a, data),
            "sliced_wasserstein": metrics.sliced_wasserstein(a, data),
            "samples": len(a),
        }

    return {"samples": figures(points), "real data": figures(again)}


# ---------------------------------------------------------------------------------------- listing


def recipes() -> None:
    print(f"{'name':<22}{'size':<8}{'data':<14}{'parameters':>12}{'images':>13}{'batch':>7}   predicts")
    for recipe in recipe_book.RECIPES:
        count = parameters(recipe.network())
        print(
            f"{recipe.name:<22}{recipe.size:<8}{recipe.data:<14}{count:>12,}{recipe.images:>13,}{recipe.batch:>7}   "
            f"{recipe.prediction.name} on {type(recipe.schedule).__name__}"
        )
    print("\nTrain one with `diffusion-book train NAME --size SIZE`. An image that is shown twice counts twice.")


def parameters(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def names_of(data) -> tuple[str, ...]:
    return data.names if isinstance(data, ImageSet) else ()


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises BookError, before the work begins, where its result would not be written."""
    make_place(path)
    if path.exists() and not overwrite:
        raise BookError(f"{path} exists already: choose another --out, or replace it with --overwrite")
