"""`make calibrate`: measure what the metrics say of real images, of damaged ones, of the demo's model and of the shipped one.

Writes the reference moments and calibration.json beside the shipped weights. With `--check`, measures again what is quick
(the real images, and one sampling seed of the shipped model), compares with what is stored, and exits 1 if it differs.
Spreads: the standard error by leaving out a tenth of the images ten times (real images), the standard deviation over
seeds (models).
"""

import argparse
import json
import statistics
import sys
import tempfile

import torch
from safetensors.torch import save_file

from diffusion_book import commands, hardware, metrics, recipes
from diffusion_book.checkpoints import load_model
from diffusion_book.data import fashion_mnist
from diffusion_book.data.images import to_bytes

N = 2000
STORE = metrics.SHIPPED.parent / "calibration.json"


def with_spread(images: torch.Tensor, reference: dict) -> dict:
    """Frechet distance of an image set, and its standard error by the jackknife over ten parts."""
    values = metrics.features(images)
    parts = torch.arange(len(values)) % 10
    without = [metrics.frechet_distance(values[parts != part], reference) for part in range(10)]
    error = (0.9 * sum((value - statistics.mean(without)) ** 2 for value in without)) ** 0.5
    return {"mean": round(metrics.frechet_distance(values, reference), 3), "standard_error": round(error, 3)}


def real_images() -> dict:
    test, reference = fashion_mnist("test").images, metrics.reference()
    return {
        "floor": with_spread(test, reference),
        "noise 0.02": with_spread(metrics.noisy(test, 0.02), reference),
        "noise 0.05": with_spread(metrics.noisy(test, 0.05), reference),
        "blur": with_spread(metrics.blurred(test), reference),
    }


def distance(denoiser, recipe, seed: int) -> float:
    """Frechet distance of N samples, all classes equally often."""
    device = next(denoiser.net.parameters()).device
    labels = torch.arange(N) % recipe.net.classes
    images = commands.draw(denoiser, recipe, N, labels, seed=seed, device=device, bf16=recipe.bf16, progress=True)
    return metrics.frechet_distance(metrics.features(to_bytes(images)), metrics.reference())


def over_seeds(values: list[float]) -> dict:
    return {
        "mean": round(statistics.mean(values), 3),
        "deviation": round(statistics.stdev(values), 3),
        "values": [round(value, 3) for value in values],
    }


def demo_model() -> dict:
    """Three trainings of the demo's recipe, one sampling seed each."""
    distances, seconds = [], []
    for seed in range(3):
        with tempfile.TemporaryDirectory() as folder:
            run = commands.new_run(recipes.FASHION, fashion_mnist("train"), folder, seed=seed, device=hardware.choose())
            for _ in commands.with_bar(run):
                pass
            distances.append(distance(run.denoiser, run.recipe, seed=0))
            seconds.append(round(run.seconds))
            print(f"demo model, training seed {seed}: {distances[-1]:.2f} after {run.seconds:.0f} s")
    return over_seeds(distances) | {"training_seconds": seconds, "hardware": hardware.describe(run.device)}


def shipped_model() -> dict:
    """Three sampling seeds of the shipped model, as `scripts/ship.py` measured them."""
    _, card = load_model("fashion")
    return card.metrics["frechet distance"]


def check() -> None:
    """Compare what is quick to measure with what is stored."""
    stored, wrong = metrics.calibration(), []
    for name, now in real_images().items():
        if abs(now["mean"] - stored[name]["mean"]) > 0.02 * stored[name]["mean"]:
            wrong.append(f"{name}: stored {stored[name]['mean']}, now {now['mean']}")
    denoiser, card = load_model("fashion", hardware.choose())
    now, before = distance(denoiser, card.recipe, seed=0), stored["shipped model"]["values"][0]
    if abs(now - before) > 0.1 * before:
        wrong.append(f"shipped model, seed 0: stored {before}, now {now:.3f}")
    if wrong:
        sys.exit("calibration differs from what is stored:\n  " + "\n  ".join(wrong))
    print(f"PASS calibration: real images and the shipped model (seed 0: {now:.2f}) score what is stored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the quick part with what is stored")
    parser.add_argument("--keep-demo", action="store_true", help="keep the stored figures of the demo's trainings")
    args = parser.parse_args()
    if args.check:
        check()
        return
    save_file(metrics.moments(metrics.features(fashion_mnist("train").images)), metrics.REFERENCE)
    metrics.reference.cache_clear()
    demo = metrics.calibration()["demo"] if args.keep_demo else demo_model()
    result = {"samples": N, "reference": "the 10,000 shipped training images"} | real_images()
    result |= {"demo": demo, "shipped model": shipped_model()}
    STORE.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
