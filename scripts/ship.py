"""Turn a finished training run into a shipped model: half-precision weights, measured, its scores in its own card.

python scripts/ship.py runs/fashion-long fashion
"""

import sys

import torch
from calibrate import N, distance, over_seeds  # the same measurement as `make calibrate`

from diffusion_book import hardware
from diffusion_book.checkpoints import SHIPPED, load_model, save_model


def main(folder: str, name: str) -> None:
    denoiser, card = load_model(folder, hardware.choose())
    target = SHIPPED / f"{name}.safetensors"
    # measured as it is shipped: after the weights were rounded to half precision
    save_model(target, denoiser.net, card, torch.float16)
    denoiser, card = load_model(name, hardware.choose())
    scores = over_seeds([distance(denoiser, card.recipe, seed) for seed in range(3)])
    card.metrics = {"frechet distance": scores | {"samples": N, "steps": card.recipe.steps}}
    save_model(target, denoiser.net, card, torch.float16)
    print(
        f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB): {card.images:,} images, {card.seconds:.0f} s, {scores}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
