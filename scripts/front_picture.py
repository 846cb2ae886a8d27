"""Make the picture on the site's first page: clothes coming out of noise, under a slider. Writes book/front.html.

python scripts/front_picture.py
"""

from pathlib import Path

import torch

from diffusion_book import grids, plots, samplers, widgets
from diffusion_book.checkpoints import load_model
from diffusion_book.data.images import to_bytes
from diffusion_book.noise import Noise

OUT = Path(__file__).resolve().parents[1] / "book" / "front.html"
ALT = "Thirty small grey pictures at time t = VALUE, on their way from pure noise to photographs of clothes"
STEPS, COLUMNS, ROWS = 15, 10, 3


def main() -> None:
    denoiser, card = load_model("fashion")
    count = COLUMNS * ROWS
    noise = Noise(seed=1, shape=(count, *card.recipe.shape))
    denoiser = denoiser.given(torch.arange(count) % card.recipe.net.classes)
    x = samplers.prior(denoiser.schedule, noise)
    film = [(1.0, x)]
    for t, x_t, _ in samplers.trajectory(denoiser, x, grids.uniform(STEPS), samplers.dpmpp_2m):
        film.append((float(t), x_t))
    pictures = [plots.to_image(plots.grid(to_bytes(x_t), COLUMNS)) for _, x_t in film]
    frames = widgets.frames(
        pictures, [f"t = {t:.2f}" for t, _ in film], label="from noise to picture", alt=ALT.replace("t = ", ""), start=8
    )
    OUT.write_text(f'<div class="front-picture">{frames._repr_html_()}</div>\n', encoding="utf-8")
    print(f"wrote {OUT} ({OUT.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
