"""A tiny run of every moving part (U-Net, dropout, bf16, flips, label drop): `python tests/tiny.py FOLDER [--resume]`."""

import sys
from dataclasses import replace

from diffusion_book.data import fashion_mnist
from diffusion_book.nets.unet import UNetConfig
from diffusion_book.recipes import FASHION
from diffusion_book.training import Run

NET = UNetConfig(channels=1, classes=10, patch=2, widths=(8, 16), blocks=1, attention=(), embedding=16, dropout=0.1)
TINY = replace(FASHION, net=NET, images=1600, batch=32, warmup=160, flip=True)


def tiny_run(folder, **options) -> Run:
    data = fashion_mnist("test")
    options = {"log_every": 64, "save_every": 256, "device": "cpu"} | options
    return Run(options.pop("recipe", TINY), data.images[:500], data.labels[:500], folder, names=data.names, **options)


if __name__ == "__main__":
    for _ in tiny_run(sys.argv[1], resume="--resume" in sys.argv):
        pass
