"""`diffusion-book demo`: train on real images, sample, measure, and say in plain words what was made."""

import json
import shlex
import sys
from pathlib import Path

import torch

from diffusion_book import commands, grids, hardware, metrics, plots, samplers
from diffusion_book import recipes as recipe_book
from diffusion_book.checkpoints import load_model
from diffusion_book.data import fashion_mnist
from diffusion_book.data.images import to_bytes
from diffusion_book.errors import BookError
from diffusion_book.files import make_place, replace_file
from diffusion_book.noise import Noise
from diffusion_book.shell import command

ROWS = 8  # samples of each class in the picture
SUMMARY, UNFINISHED = "summary.json", b'{"unfinished": true}\n'
FILM = 15  # frames of the denoising


def demo(args) -> None:
    device = hardware.choose(args.device)
    folder = Path(args.out or "runs/demo")
    recipe, data = recipe_book.FASHION, fashion_mnist("train")
    labels = commands.chosen_labels(args.label, recipe, data.names, ROWS * recipe.net.classes)
    columns = tuple((*data.names, "no class")[k] for k in labels[: recipe.net.classes].tolist())
    n, steps = commands.enough(args.n), commands.checked_steps(recipe.steps if args.steps is None else args.steps)
    claim(folder)
    commands.settle(device)

    run = commands.new_run(recipe, data, folder, seed=args.seed, device=device, overwrite=True)
    count = commands.parameters(run.net)
    print(
        f"Training a diffusion model with {count:,} parameters on {len(data):,} photographs of clothes "
        f"({recipe.images:,} training images in all) on {hardware.describe(device)}."
    )
    for i, _ in enumerate(commands.with_bar(run)):
        if i == 0:
            clear(folder)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    plots.loss_figure(rows).savefig(folder / "loss.png", dpi=130)

    shipped, card = load_model("fashion", device)
    draw = {"seed": args.seed, "steps": steps, "device": device, "bf16": recipe.bf16}
    panels = {
        f"This model: {run.seconds / 60:.1f} minutes of training": commands.draw(
            run.denoiser, recipe, len(labels), labels, **draw
        ),
        f"The shipped model: {card.seconds / 60:.0f} minutes": commands.draw(
            shipped, card.recipe, len(labels), labels, **draw
        ),
    }
    film, times = denoising_film(run.denoiser, recipe, labels[:1], args.seed, device)
    plots.demo_figure(panels, film, times, columns).savefig(folder / "samples.png", dpi=130, bbox_inches="tight")

    every_class = torch.arange(n) % recipe.net.classes
    images = commands.draw(run.denoiser, recipe, n, every_class, progress=True, **draw)
    scores = commands.measure_images(to_bytes(images))
    calibration = metrics.calibration()
    summary = {
        "model": {
            "recipe": recipe.name,
            "size": recipe.size,
            "parameters": count,
            "images_seen": run.seen,
            "seed": args.seed,
        },
        "training_seconds": round(run.seconds, 1),
        "hardware": hardware.describe(device),
        "final_loss": rows[-1]["loss"],
        "scores": scores,
        "measured_before": calibration,
        "shipped_model": {
            "images_seen": card.images,
            "seconds": card.seconds,
            "hardware": card.hardware,
            "metrics": card.metrics,
        },
        "peak_memory_mb": round(peak_memory_mb()),
    }
    replace_file(folder / SUMMARY, (json.dumps(summary, indent=2) + "\n").encode())
    explain(folder, summary)


def claim(folder: Path) -> None:
    """The demo replaces what an earlier demo left, and never anything else: its folder holds a summary.json from the start."""
    summary = folder / SUMMARY
    make_place(summary)
    if not summary.exists():
        if any(folder.iterdir()):
            raise BookError(f"{folder} holds something else than a demo: choose another folder with --out")
        replace_file(summary, UNFINISHED)


def clear(folder: Path) -> None:
    """What an earlier demo left besides its run."""
    (folder / "samples.png").unlink(missing_ok=True)
    replace_file(folder / SUMMARY, UNFINISHED)


@torch.no_grad()
def denoising_film(denoiser, recipe, label, seed: int, device) -> tuple[torch.Tensor, list[float]]:
    """One sample at FILM moments from noise to data: (FILM, C, H, W) and the times."""
    noise = Noise(seed, (1, *recipe.shape), device=device)
    x = samplers.prior(recipe.schedule, noise)
    frames, times = [x], [1.0]
    bound = denoiser.given(label.to(device))
    for s, x_s, _ in samplers.trajectory(bound, x, grids.uniform(2 * (FILM - 1)), samplers.dpmpp_2m, noise):
        frames.append(x_s)
        times.append(s)
    return torch.cat(frames[::2]).cpu(), times[::2]


def peak_memory_mb() -> float:
    """The most memory this process has held."""
    if sys.platform == "win32":
        import psutil  # comes with accelerate

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def explain(folder: Path, summary: dict) -> None:
    ours, floor = summary["scores"]["samples"], summary["scores"]["real test"]
    known, book = summary["measured_before"], command("diffusion-book")
    print(
        f"""
What was made, in {folder}:
  model.safetensors  the model, after {summary["training_seconds"]:.0f} s of training
  samples.png        its samples beside those of the shipped model, and one sample on its way from noise to picture
  loss.png           the loss while it learned
  summary.json       every number; log.jsonl and state.safetensors are the run's own

Frechet distance of {ours["samples"]:,} samples from the 10,000 training images, in the features of the book's small
classifier (smaller is better; it compares with nothing published elsewhere):
  this model                          {ours["frechet"]:8.2f}
  the shipped model                   {known["shipped model"]["mean"]:8.2f}
  real test images (the floor)        {floor["frechet"]:8.2f}
  real test images, noise 0.05        {known["noise 0.05"]["mean"]:8.2f}
  real test images, 3x3 blur          {known["blur"]["mean"]:8.2f}
(the last two are real photographs made worse on purpose, to give the scale a meaning)

What next: more from your model, the same from the shipped one, and what else can be trained
  {book} sample {shlex.quote(str(folder))} --label sneaker --n 10 --out sneakers.png
  {book} sample fashion --label sneaker --n 10 --out better.png
  {book} recipes
"""
    )
