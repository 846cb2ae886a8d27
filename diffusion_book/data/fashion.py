"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): grey 28x28 photographs of clothes in ten classes."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch

from diffusion_book.data.download import cache_folder, fetch
from diffusion_book.data.images import ImageSet, read_shipped
from diffusion_book.errors import BookError

NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PREFIX = {"train": "train", "test": "t10k"}

# Debian compressed the same bytes again, so each route is judged by the sha256 of what comes out of the .gz file.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# The md5 sums of the official .gz files, as published beside them.
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}


def fashion_mnist(split: str = "train", full: bool = False) -> ImageSet:
    """Fashion-MNIST as an ImageSet: images (N, 1, 28, 28), white clothes on black, ten classes of equal size.

    The shipped subset holds 10,000 train and 2,000 test images (the first 1,000 and 200 of each class) in an order in
    which every ten images show every class once. `full=True` gives all 60,000 or 10,000 in their official order, from
    the Debian package dataset-fashion-mnist, the user's cache, or the official address, whichever works first.
    Raises BookError for another split, or when no route gives the full set.
    """
    if split not in PREFIX:
        raise BookError(f"Fashion-MNIST has no split {split!r}; expected 'train' or 'test'.")
    if full:
        images, labels = (read_full(f"{PREFIX[split]}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    else:
        arrays = read_shipped("fashion_mnist.npz")
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return ImageSet(torch.from_numpy(images)[:, None], torch.from_numpy(labels).long(), NAMES)


def read_full(name: str) -> np.ndarray:
    """One official file, as an array, by the first route whose bytes have the right hash."""
    cache = cache_folder() / "fashion-mnist"
    reasons = []
    for route in (lambda: DEBIAN, lambda: cache, lambda: fetch(f"{ADDRESS}{name}.gz", MD5[name], cache).parent):
        try:
            return parse_idx(read_checked(route() / f"{name}.gz", SHA256[name]))
        except BookError as error:
            reasons.append(str(error).rstrip("."))
    raise BookError(
        f"the full Fashion-MNIST set was not found: {'; '.join(reasons)}. What to do: on Debian or Ubuntu, "
        f"`sudo apt install dataset-fashion-mnist`; or copy the four official .gz files into {cache}; "
        "or use the shipped subset, full=False."
    )


def read_checked(path: Path, sha256: str) -> bytes:
    """The decompressed bytes of a .gz file. Raises BookError if it is missing, damaged, or has other bytes inside."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise BookError(f"{path} is not there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise BookError(f"{path} cannot be read ({error})") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise BookError(f"{path} holds other bytes than the official file (sha256 {found[:9]}..., not {sha256[:9]}...)")
    return raw


def parse_idx(raw: bytes) -> np.ndarray:
    """The array in an idx file of bytes: 0, 0, 8 (unsigned byte), the number of axes, their big-endian lengths, data.

    Raises BookError for another kind of file, or for one that is too short or too long.
    """
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or raw[3] == 0:
        start = raw[:4].hex(" ") or "nothing"
        raise BookError(f"not an idx file of bytes: it begins with {start}; expected 00 00 08 and the number of axes.")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise BookError(f"the idx file ends inside its header: {len(raw)} bytes of {start}.")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
    expected = start + int(np.prod(shape, dtype=object))  # object: Python integers, which cannot overflow
    if len(raw) != expected:
        raise BookError(f"the idx file says shape {shape}, which takes {expected} bytes, but it has {len(raw)}.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()  # a copy, because bytes are read-only
