"""Rebuild diffusion_book/data/shipped from the source packages, byte for byte.

Needs the four official Fashion-MNIST files where the Debian package dataset-fashion-mnist puts them (apt install
dataset-fashion-mnist), and scikit-learn for the digits (pip install scikit-learn), which the package does not need.
"""

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from diffusion_book.data import fashion
from diffusion_book.data.images import SHIPPED

MIT = """
The MIT License (MIT) Copyright © 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the “Software”), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

FASHION_CARD = """
# Fashion-MNIST, a balanced subset

- **Source**: https://github.com/zalandoresearch/fashion-mnist, commit 55506a9 (23 May 2020), as packaged by Debian in
  `dataset-fashion-mnist` 0.0~git20200523.55506a9-1. Each file's decompressed bytes are checked before use.
- **Content**: 10,000 train and 2,000 test images, grey, 28x28, uint8 (0 black, 255 white), ten classes of equal size.
- **Licence**: MIT, Copyright (c) 2017 Zalando SE; the text is below.
- **Attribution**: Han Xiao, Kashif Rasul and Roland Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking
  Machine Learning Algorithms*, arXiv:1708.07747 (2017).
- **How it was built**: `python scripts/build_data.py fashion_mnist`. The first 1,000 images of each class of the
  official train file and the first 200 of each class of the official test file, unchanged. Rows 10 r to 10 r + 9 hold
  the r-th image of every class, so every prefix is balanced; the ten classes stand in the order of
  sha256("r,class").
"""

DIGITS_CARD = """
# Digits

- **Source**: *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository,
  https://doi.org/10.24432/C50P49, its test part, as carried by scikit-learn {version} (`sklearn.datasets.load_digits`).
- **Content**: 1,797 images, 8x8, uint8, values 0 (white paper) to 16 (ink), with their classes 0 to 9, in their
  original order. The loader scales 16 to 255.
- **Licence**: Creative Commons Attribution 4.0 International, https://creativecommons.org/licenses/by/4.0/.
- **Attribution**: E. Alpaydin and C. Kaynak (1998), *Optical Recognition of Handwritten Digits* [data set], UCI Machine
  Learning Repository. Changes: stored as uint8 in one compressed file; no value was altered.
- **How it was built**: `python scripts/build_data.py digits`.
"""

HASHES = """
| what | sha256 |
|---|---|
{table}

An array's row hashes its uint8 values in C order. The file's row holds for zlib's own compression; another deflate
library may pack the same arrays into other bytes.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="fashion_mnist, digits; both if none is named")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the folder to write to")
    options = parser.parse_args()
    builders = {"fashion_mnist": build_fashion, "digits": build_digits}
    if unknown := set(options.sets) - set(builders):
        parser.error(f"unknown set {', '.join(sorted(unknown))}; expected {' or '.join(builders)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets or builders:
        arrays, card, licence = builders[name]()
        path = options.out / f"{name}.npz"
        write_npz(path, arrays)
        path.with_suffix(".md").write_text(card.lstrip() + hashes(path, arrays) + licence, encoding="utf-8")
        print(f"{path}: {path.stat().st_size:,} bytes")


def build_fashion():
    arrays = {}
    for split, per_class in (("train", 1000), ("test", 200)):
        images, labels = (
            fashion.parse_idx(fashion.read_checked(fashion.DEBIAN / f"{file}.gz", fashion.SHA256[file]))
            for file in (f"{fashion.PREFIX[split]}-images-idx3-ubyte", f"{fashion.PREFIX[split]}-labels-idx1-ubyte")
        )
        rows = balanced_rows(labels, per_class)
        arrays |= {f"x_{split}": images[rows], f"y_{split}": labels[rows]}
    return arrays, FASHION_CARD, "\n## Licence text\n" + MIT


def balanced_rows(labels: np.ndarray, per_class: int) -> np.ndarray:
    """The first `per_class` rows of each class, in rounds of one row per class, the classes of a round in hash order.

    A hash, because the streams of random generators may change between versions of their libraries.
    """
    first = [np.flatnonzero(labels == c)[:per_class] for c in range(10)]
    if short := [c for c in range(10) if len(first[c]) < per_class]:
        raise SystemExit(f"classes {short} have fewer than {per_class} images")
    return np.array([first[c][r] for r in range(per_class) for c in class_order(r)])


def class_order(r: int) -> list[int]:
    return sorted(range(10), key=lambda c: hashlib.sha256(f"{r},{c}".encode()).digest())


def build_digits():
    import sklearn
    from sklearn.datasets import load_digits

    source = load_digits()
    arrays = {"x": source.images.astype(np.uint8), "y": source.target.astype(np.uint8)}
    if not np.array_equal(arrays["x"], source.images):
        raise SystemExit("the digits are no longer whole numbers; look at what scikit-learn changed")
    return arrays, DIGITS_CARD.format(version=sklearn.__version__), ""


def write_npz(path: Path, arrays: dict[str, np.ndarray]):
    """np.savez_compressed with a fixed date and system, so that the same arrays always give the same file."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def hashes(path: Path, arrays: dict[str, np.ndarray]) -> str:
    rows = {f"`{key}` {array.shape}": array.tobytes() for key, array in arrays.items()}
    rows[f"`{path.name}` (file)"] = path.read_bytes()
    table = [f"| {what} | `{hashlib.sha256(raw).hexdigest()}` |" for what, raw in rows.items()]
    return HASHES.format(table="\n".join(table))


if __name__ == "__main__":
    main()
