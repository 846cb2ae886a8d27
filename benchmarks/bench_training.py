"""The training loop against a bare one, the cost of importing the package, and the memory of the demo."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from diffusion_book import commands, recipes
from diffusion_book.data import fashion_mnist
from diffusion_book.data.images import to_unit
from diffusion_book.hardware import autocast

STEPS, ROUNDS = 30, 15  # the recipe itself logs every 33 steps


def bare_loop(recipe, data, average: bool):
    """What one would write by hand, without a log and a schedule of the learning rate; without average and clipping, too."""
    net = recipe.network()
    weights = list(net.parameters())
    averages = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0, fused=True)
    while True:
        index = torch.randint(len(data), (recipe.batch,))
        x, labels = to_unit(data.images[index]), data.labels[index]
        t = torch.sigmoid(torch.randn(recipe.batch))
        eps = torch.randn_like(x)
        alpha, sigma = (1 - t)[:, None, None, None], t[:, None, None, None]
        scale = (alpha**2 * recipe.sigma_data**2 + sigma**2).rsqrt()
        with autocast(torch.device("cpu"), recipe.bf16):
            y = net(scale * (alpha * x + sigma * eps), t, labels)
        loss = (y.float() - (eps - x)).square().mean()
        loss.backward()
        if average:
            torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        if average:
            with torch.no_grad():
                torch._foreach_lerp_(averages, weights, 1 - recipe.ema)
        yield


def book_loop(recipe, data, folder):
    """The book's loop; an item is a line of its log, after STEPS steps."""
    run = commands.new_run(recipe, data, folder, device="cpu", log_every=STEPS * recipe.batch, save_every=10**9)
    for _ in run:
        yield


def seconds(loop, items: int) -> float:
    start = time.perf_counter()
    for _ in range(items):
        next(loop)
    return time.perf_counter() - start


def training_loop() -> None:
    """The loops in turn on the same network, on the CPU; medians of the ratios of neighbours."""
    data, recipe = fashion_mnist("train"), replace(recipes.FASHION, images=10**9)
    with tempfile.TemporaryDirectory() as folder:
        loops = [book_loop(recipe, data, folder), *(bare_loop(recipe, data, average) for average in (True, False))]
        items = [1, STEPS, STEPS]
        rounds = [[seconds(*loop) for loop in zip(loops, items, strict=True)] for _ in range(ROUNDS + 1)][1:]
    speed = recipe.batch * STEPS / statistics.median(book for book, *_ in rounds)
    same, barest = (statistics.median(times[i] / times[0] for times in rounds) for i in (1, 2))
    print(
        f"training loop: {speed:.0f} images/s, {same:.3f} of a loop by hand that clips and averages, too (wanted: at least "
        f"0.95), {barest:.3f} of one that does neither"
    )


def import_time() -> None:
    """`import torch` with and without the package's core, each in a fresh interpreter, in turn."""
    core = ", ".join(
        f"diffusion_book.{name}" for name in ("schedules", "denoiser", "samplers", "grids", "exact", "objectives")
    )

    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    once("import torch")
    extra = [once(f"import torch, diffusion_book, {core}") - once("import torch") for _ in range(5)]
    print(f"importing the core adds {statistics.median(extra):.2f} s to importing torch (wanted: less than 0.3 s)")


def demo_memory() -> None:
    """The peak of a whole demo, as it reports it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "diffusion_book.cli", "demo", "--out", f"{folder}/demo", "--device", "cpu"]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        elapsed = time.perf_counter() - start
        summary = json.loads((Path(folder) / "demo" / "summary.json").read_text())
    print(f"demo: {summary['peak_memory_mb']} MB at its peak (wanted: under 2,000), {elapsed:.0f} s in all")


def main() -> None:
    training_loop()
    import_time()
    demo_memory()


if __name__ == "__main__":
    main()
