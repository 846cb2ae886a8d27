"""CIFAR-10 (Krizhevsky 2009): 60,000 colour photographs of 32x32 pixels in ten classes, downloaded when asked for."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import torch

from diffusion_book.data.download import cache_folder, fetch
from diffusion_book.data.images import ImageSet
from diffusion_book.errors import BookError

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def cifar10(split: str = "train") -> ImageSet:
    """CIFAR-10 as an ImageSet: images (50000, 3, 32, 32) for 'train', (10000, 3, 32, 32) for 'test', red-green-blue.

    Reads the official archive (170 MB) from the user's cache, or downloads it there with a checked hash.
    Raises BookError for another split, when the archive can be neither found nor downloaded, or is damaged.
    """
    if split not in BATCHES:
        raise BookError(f"CIFAR-10 has no split {split!r}; expected 'train' or 'test'.")
    cache = cache_folder()
    try:
        path = fetch(ADDRESS, MD5, cache)
    except BookError as error:
        raise BookError(
            f"{error} What to do: try again with a network connection, or copy cifar-10-python.tar.gz into {cache}."
        ) from error
    return read_archive(path, split)


def read_archive(path: Path, split: str) -> ImageSet:
    """The images and labels of one split of an archive in CIFAR-10's "python version", in the order of its batches."""
    found = {}
    try:
        with tarfile.open(path, "r|gz") as archive:  # as a stream: going back in a .gz file means starting over
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name in BATCHES[split] and member.isfile():
                    found[name] = read_batch(archive.extractfile(member).read(), name)
    except (OSError, tarfile.TarError) as error:
        raise BookError(f"{path} cannot be read as a .tar.gz archive ({error}). Delete it and try again.") from error
    if missing := [name for name in BATCHES[split] if name not in found]:
        raise BookError(f"{path} holds no {', '.join(missing)}; expected the python version of CIFAR-10.")
    images, labels = zip(*(found[name] for name in BATCHES[split]), strict=True)
    return ImageSet(torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels)), NAMES)


def read_batch(raw: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) int64 of one pickled batch."""
    try:
        batch = PlainUnpickler(io.BytesIO(raw), encoding="bytes").load()
        labels = np.array(batch[b"labels"])
        _, shape, dtype, by_columns, pixels = batch[b"data"].state
        kind = dtype.arguments[0]
    except BookError:
        raise
    except Exception as error:  # damaged pickles fail in every way there is
        raise BookError(f"{name} is not a CIFAR-10 batch ({type(error).__name__}: {error}).") from error
    n = len(labels) if labels.ndim == 1 and labels.dtype.kind == "i" else 0
    if n == 0 or kind != b"u1" or shape != (n, 3072) or len(pixels) != n * 3072:
        raise BookError(
            f"{name} holds pixels of type {kind!r} and shape {shape!r}, with labels of type {labels.dtype} and shape "
            f"{labels.shape}; expected bytes (b'u1') of shape (n, 3072), all of them, and n whole numbers."
        )
    rows = np.frombuffer(pixels, np.uint8).reshape(shape, order="F" if by_columns else "C")
    return rows.reshape(n, 3, 32, 32), labels.astype(np.int64)  # a row: the red plane, then green, then blue


class Pickled:
    """Stands for any of numpy's objects in a pickle: keeps what it would be made from, and makes nothing."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.state = state


class PlainUnpickler(pickle.Unpickler):
    """Reads plain Python values, and numpy arrays as `Pickled`.

    The batches are pickles, and a pickle is a small program: it may name any function for the reader to call. Here
    even numpy's own are not called, because with arguments made for the purpose they can crash the interpreter.
    """

    STANDS_FOR = {("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "_reconstruct")}

    def find_class(self, module, name):
        if (module, name) in self.STANDS_FOR:
            return Pickled
        raise BookError(
            f"the archive asks to run {module}.{name}, which no data file needs: it is not the official CIFAR-10. "
            "Nothing was run. Delete it and download it again."
        )
