"""The data: what is shipped is what its card says, and what is read from elsewhere is read right or refused."""

import functools
import gzip
import hashlib
import http.server
import importlib
import importlib.util
import io
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion_book.data import (
    POINT_SETS,
    ImageSet,
    cifar10,
    digits,
    fashion,
    fashion_mnist,
    image_folder,
    images,
    points,
    to_bytes,
    to_unit,
)
from diffusion_book.errors import BookError

cifar_module = importlib.import_module("diffusion_book.data.cifar10")  # the package's attribute is the function
DEBIAN_FILES = sorted(fashion.DEBIAN.glob("*.gz"))
needs_debian = pytest.mark.skipif(len(DEBIAN_FILES) != 4, reason="the Debian package dataset-fashion-mnist is not here")


@pytest.fixture(scope="module")
def fashion_train():
    return fashion_mnist("train")


@pytest.fixture(scope="module")
def build_data():
    path = Path(__file__).parents[1] / "scripts" / "build_data.py"
    spec = importlib.util.spec_from_file_location("build_data", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of downloads, in the test's own folder."""
    monkeypatch.setenv("DIFFUSION_BOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A folder that is served over HTTP on this machine: (folder, address, list of the paths asked for)."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    root = tmp_path / "server"
    root.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield root, f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


# Shipped sets


@pytest.mark.parametrize(
    "name, key, sha256",
    [
        ("fashion_mnist", "x_train", "b6048e123e79578c7547b39d27fba8cc3f9a95c0b01ac8fb18c8e49355990444"),
        ("fashion_mnist", "y_train", "e7b985a829aca7298294289959cbd996638e332abdb663a2fc79cc36e6ac4a15"),
        ("fashion_mnist", "x_test", "3430298818dbfc181fe34b3758ccde788989cdfba1ca81c2a8dcaf112676d753"),
        ("fashion_mnist", "y_test", "556056726ca07f50452081cd1b6eede87c9ceb3591ea93b13c9ba2c6e9217bfe"),
        ("digits", "x", "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"),
        ("digits", "y", "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"),
    ],
)
def test_shipped_arrays_are_those_of_their_card(name, key, sha256):
    array = images.read_shipped(f"{name}.npz")[key]
    assert array.dtype == np.uint8
    assert hashlib.sha256(array.tobytes()).hexdigest() == sha256
    card = (images.SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    assert sha256 in card
    assert hashlib.sha256((images.SHIPPED / f"{name}.npz").read_bytes()).hexdigest() in card


def test_shipped_files_stay_small():
    assert sum(path.stat().st_size for path in images.SHIPPED.iterdir()) <= 6e6


@pytest.mark.parametrize("split, per_class", [("train", 1000), ("test", 200)])
def test_fashion_subset_is_balanced_in_every_round_of_ten(split, per_class):
    data = fashion_mnist(split)
    assert (len(data), data.classes, data.channels, data.size) == (10 * per_class, 10, 1, 28)
    rounds = data.labels.reshape(-1, 10)
    assert torch.equal(rounds.sort(1).values, torch.arange(10).expand(per_class, 10))
    assert len(rounds.unique(dim=0)) > 0.99 * per_class  # shuffled: hardly two rounds have their classes in one order


@needs_debian
@pytest.mark.parametrize("split, per_class", [pytest.param("train", 1000, marks=pytest.mark.slow), ("test", 200)])
def test_fashion_subset_is_the_first_images_of_each_class(split, per_class):
    subset, full = fashion_mnist(split), fashion_mnist(split, full=True)
    assert len(full) == {"train": 60000, "test": 10000}[split]
    for c in range(10):
        assert torch.equal(subset.images[subset.labels == c], full.images[full.labels == c][:per_class])


@needs_debian
def test_debian_files_hold_the_streams_of_the_official_files():
    """Debian's gzip header lacks the official one's date and file name; put back, the published md5 must come out."""
    dates = {"train": 1504176606, "t10k": 1504176627}
    for path in DEBIAN_FILES:
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", dates[path.name.split("-")[0]]) + b"\x00\x03"
        official = header + path.stem.encode() + b"\0" + path.read_bytes()[10:]
        assert hashlib.md5(official).hexdigest() == fashion.MD5[path.stem]


def test_fashion_names_belong_to_their_images(fashion_train):
    """The official order of the names; and the classes that a mean image tells apart are where it says."""
    order = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
    assert ", ".join(fashion_train.names) == order
    mean = torch.stack([fashion_train.images[fashion_train.labels == c, 0].double().mean(0) for c in range(10)])
    named = dict(zip(fashion_train.names, mean, strict=True))
    assert named["Sneaker"][:8].mean() < 3 < 9 < min(named[k][:8].mean() for k in named if k != "Sneaker")  # lies low
    assert named["Sandal"].mean() < 40 < min(named[k].mean() for k in named if k != "Sandal")  # little of it
    gap = {k: m[22:26, 10].mean() / m[22:26, 13:15].mean() for k, m in named.items()}
    assert max(gap, key=gap.get) == "Trouser"  # darker between the legs


def test_digits_are_scaled_from_16_to_255():
    data = digits()
    assert (len(data), data.classes, data.channels, data.size) == (1797, 10, 1, 8)
    levels = " ".join(str(level) for level in data.images.unique().tolist())
    assert levels == "0 16 32 48 64 80 96 112 128 143 159 175 191 207 223 239 255"
    assert data.labels[:10].tolist() == list(range(10))
    assert data.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    zeros = data.images[data.labels == 0].double().mean(0)[0]
    assert zeros[3:5, 3:5].max() < 40 < 160 < zeros[3:5, 2].min()  # a hole with a stroke beside it


def test_damaged_shipped_file_is_named(tmp_path, monkeypatch):
    raw = (images.SHIPPED / "digits.npz").read_bytes()
    monkeypatch.setattr(images, "SHIPPED", tmp_path)
    with pytest.raises(BookError, match="digits.npz cannot be read.*build_data.py"):
        digits()
    (tmp_path / "digits.npz").write_bytes(raw[:20000])
    with pytest.raises(BookError, match="digits.npz cannot be read.*build_data.py"):
        digits()


def test_built_files_are_reproducible(build_data, tmp_path, monkeypatch):
    arrays = {"x": np.arange(200, dtype=np.uint8).reshape(2, 10, 10).transpose(0, 2, 1), "y": np.uint8([3, 4])}
    build_data.write_npz(tmp_path / "a.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 1.8e9)
    build_data.write_npz(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as back:
        assert all(np.array_equal(back[key], arrays[key]) for key in ("x", "y"))


@pytest.mark.slow
@needs_debian
def test_fashion_subset_can_be_built_again(build_data):
    arrays, _, _ = build_data.build_fashion()
    shipped = images.read_shipped("fashion_mnist.npz")
    assert all(np.array_equal(arrays[key], shipped[key]) for key in shipped)


@pytest.mark.slow
def test_importing_data_imports_no_rarely_needed_library():
    code = "import sys, diffusion_book.data; print([m for m in ('pooch', 'PIL', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# Bytes, units and the container


def test_units_and_bytes_are_inverse_on_every_grey_level():
    levels = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(levels)
    assert unit.dtype == torch.float32
    assert unit[[0, 51, 204, 255]].tolist() == pytest.approx([-1, -0.6, 0.6, 1], abs=1e-7)
    assert unit.diff().tolist() == pytest.approx([2 / 255] * 255, abs=1e-7)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(to_bytes(unit.to(dtype)), levels)


def test_to_bytes_rounds_to_nearest_and_clamps():
    steps = torch.tensor([-0.49, 0.49]) * 2 / 255
    assert to_bytes(to_unit(torch.tensor([100, 100], dtype=torch.uint8)) + steps).tolist() == [100, 100]
    assert to_bytes(to_unit(torch.tensor([100, 100], dtype=torch.uint8)) + steps * 51 / 49).tolist() == [99, 101]
    assert to_bytes(torch.tensor([-1.5, -1.01, 1.01, 7.0])).tolist() == [0, 0, 255, 255]
    halves = torch.linspace(0.1, 1, 999).bfloat16()
    assert torch.equal(to_bytes(halves), to_bytes(halves.double()))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: to_unit(torch.rand(3)), "torch.float32; expected torch.uint8"),
        (lambda: to_bytes(torch.ones(3, dtype=torch.uint8)), "torch.uint8; expected floats"),
        (lambda: to_bytes(torch.tensor([0.0, math.nan])), "NaN"),
        (lambda: to_bytes(torch.tensor([math.inf])), "infinite"),
        (lambda: ImageSet(torch.zeros(2, 1, 4, 4)), "torch.float32 of shape"),
        (lambda: ImageSet(torch.zeros(2, 1, 4, 5, dtype=torch.uint8)), "square"),
        (lambda: ImageSet(torch.zeros(0, 1, 4, 4, dtype=torch.uint8)), "at least one"),
        (lambda: ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3).long(), ("a",)), r"shape \(3,\)"),
        (lambda: ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 2]), ("a", "b")), "from 0 to 2"),
        (lambda: ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, -1]), ("a", "b")), "from -1"),
        (lambda: fashion_mnist("valid"), "no split 'valid'"),
        (lambda: cifar10("valid"), "no split 'valid'"),
        (lambda: points.moons(0), "n = 0 points"),
    ],
)
def test_bad_input_is_refused_with_a_reason(call, message):
    with pytest.raises(BookError, match=message):
        call()


def test_a_set_moves_as_a_whole():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = ImageSet(torch.full((2, 3, 4, 4), 7, dtype=torch.uint8), torch.tensor([1, 0]), ("a", "b")).to(device)
    assert data.images.device.type == data.labels.device.type == device
    assert (data.labels.tolist(), data.names, data.images.unique().tolist()) == ([1, 0], ("a", "b"), [7])
    assert ImageSet(data.images, names=("a",)).to(device).classes == 0


# Fashion-MNIST's own format, and the routes to the full set


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def test_idx_files_are_parsed():
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    assert np.array_equal(fashion.parse_idx(idx(array)), array)
    assert np.array_equal(fashion.parse_idx(bytes.fromhex("00000801 00000003 070809")), [7, 8, 9])
    long = np.arange(300, dtype=np.uint16).astype(np.uint8)  # its length takes two bytes: the byte order shows
    assert np.array_equal(fashion.parse_idx(idx(long)), long)


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "begins with nothing"),
        (bytes.fromhex("00000d01 00000001 00000000"), "begins with 00 00 0d 01"),
        (bytes.fromhex("00000800"), "begins with 00 00 08 00"),
        (bytes.fromhex("00000803 00000001 0000"), "ends inside its header: 10 bytes of 16"),
        (bytes.fromhex("00000801 00000003 0708"), "takes 11 bytes, but it has 10"),
        (bytes.fromhex("00000801 00000001 0708"), "takes 9 bytes, but it has 10"),
        (bytes.fromhex("00000803 ffffffff ffffffff ffffffff"), "but it has 16"),
    ],
)
def test_wrong_idx_files_are_refused(raw, message):
    with pytest.raises(BookError, match=message):
        fashion.parse_idx(raw)


@pytest.fixture
def tiny_fashion(monkeypatch, tmp_path, cache):
    """The four files with three images in them, and the hashes to match; neither Debian's folder nor a network."""
    content = {}
    for prefix in ("train", "t10k"):
        pictures = np.random.default_rng(len(prefix)).integers(0, 256, (3, 28, 28), dtype=np.uint8)
        content[f"{prefix}-images-idx3-ubyte"] = idx(pictures)
        content[f"{prefix}-labels-idx1-ubyte"] = idx(np.uint8([9, 0, 4]))
    packed = {name: gzip.compress(raw, mtime=0) for name, raw in content.items()}
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(fashion, "ADDRESS", "http://127.0.0.1:9/")
    monkeypatch.setattr(fashion, "SHA256", {name: hashlib.sha256(raw).hexdigest() for name, raw in content.items()})
    monkeypatch.setattr(fashion, "MD5", {name: hashlib.md5(raw).hexdigest() for name, raw in packed.items()})
    return content, packed


def put(where: Path, files: dict[str, bytes]):
    where.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (where / f"{name}.gz").write_bytes(raw)


def is_tiny(data: ImageSet, content: dict[str, bytes], prefix: str) -> bool:
    expected = torch.frombuffer(bytearray(content[f"{prefix}-images-idx3-ubyte"][16:]), dtype=torch.uint8)
    return torch.equal(data.images, expected.reshape(3, 1, 28, 28)) and data.labels.tolist() == [9, 0, 4]


@pytest.mark.parametrize("split, prefix", [("train", "train"), ("test", "t10k")])
def test_full_set_from_files_packed_by_someone_else(tiny_fashion, cache, tmp_path, split, prefix):
    content, _ = tiny_fashion
    repacked = {name: gzip.compress(raw, compresslevel=1, mtime=1) for name, raw in content.items()}
    for place in (tmp_path / "debian", cache / "fashion-mnist"):
        put(place, repacked)
        assert is_tiny(fashion_mnist(split, full=True), content, prefix)
        put(place, {name: raw[:-30] for name, raw in repacked.items()})  # damaged: the next route must be taken


def test_full_set_from_the_official_address(tiny_fashion, cache, serve, monkeypatch, tmp_path, capfd):
    content, packed = tiny_fashion
    root, address, asked = serve
    put(root, packed)
    put(tmp_path / "debian", {name: gzip.compress(b"other bytes") for name in packed})
    monkeypatch.setattr(fashion, "ADDRESS", address)
    assert is_tiny(fashion_mnist("test", full=True), content, "t10k")
    assert "100%" in capfd.readouterr().err  # the progress bar
    assert len(asked) == 2
    assert is_tiny(fashion_mnist("test", full=True), content, "t10k")
    assert len(asked) == 2  # from the cache, not asked for again
    put(root, {name: raw + b"\0" for name, raw in packed.items()})
    with pytest.raises(BookError, match="hash"):
        fashion_mnist("train", full=True)
    assert not (cache / "fashion-mnist" / "train-images-idx3-ubyte.gz").exists()


def test_full_set_without_any_route_says_what_to_do(tiny_fashion, cache, tmp_path):
    put(tmp_path / "debian", {name: gzip.compress(b"other bytes") for name in fashion.MD5})
    with pytest.raises(BookError) as caught:
        fashion_mnist(full=True)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("debian", "holds other bytes", "is not there", ":9", "be reached", "apt install", "full=False"):
        assert part in message


# CIFAR-10


class Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2 did, in which language the official batches were pickled."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)

    dispatch[bytes] = dispatch[str] = save_string


def python2_pickle(value) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"numpy._core", b"numpy.core")


def cifar_batch(labels: list, data: np.ndarray) -> bytes:
    return python2_pickle({b"batch_label": b"one of six", b"labels": labels, b"data": data})


def write_cifar(path: Path, batches: dict[str, bytes]):
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in batches.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))


@pytest.fixture
def tiny_cifar():
    """Six batches of two images, in the order of the official archive; each batch, channel and image has its values."""
    batches = {}
    for name in ("data_batch_4", "test_batch", "data_batch_3", "data_batch_2", "data_batch_5", "data_batch_1"):
        b = 0 if name == "test_batch" else int(name[-1])
        picture = 10 * b + np.array([[[0]], [[100]], [[180]]]) + np.zeros((3, 32, 32), int)
        picture[:, 1, 2] += 7
        data = np.stack([picture.ravel(), picture.ravel() + 1]).astype(np.uint8)
        batches[name] = cifar_batch([b, 9 - b], np.asfortranarray(data) if b == 2 else data)
    return batches


def check_tiny_cifar(train: ImageSet, test: ImageSet):
    assert train.labels.tolist() == [1, 8, 2, 7, 3, 6, 4, 5, 5, 4]
    assert test.labels.tolist() == [0, 9]
    assert train.images[:, 0, 0, 0].tolist() == [10, 11, 20, 21, 30, 31, 40, 41, 50, 51]
    assert test.images[0, :, 0, 0].tolist() == [0, 100, 180]
    assert test.images[1, :, 1, 2].tolist() == [8, 108, 188]
    assert test.images[1, :, 2, 1].tolist() == [1, 101, 181]


def test_cifar_batches_are_read_in_order(tiny_cifar, tmp_path):
    write_cifar(tmp_path / "cifar.tar.gz", tiny_cifar)
    check_tiny_cifar(*(cifar_module.read_archive(tmp_path / "cifar.tar.gz", split) for split in ("train", "test")))
    assert ", ".join(cifar_module.NAMES) == "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"


def test_cifar_is_downloaded_once_and_checked(tiny_cifar, tmp_path, cache, serve, monkeypatch):
    root, address, asked = serve
    path = root / "cifar-10-python.tar.gz"
    write_cifar(path, tiny_cifar)
    monkeypatch.setattr(cifar_module, "ADDRESS", f"{address}{path.name}")
    with pytest.raises(BookError, match="hash.*copy cifar-10-python.tar.gz into"):
        cifar10()  # the official hash is not that of this archive
    assert not list(cache.glob("cifar*"))
    monkeypatch.setattr(cifar_module, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    check_tiny_cifar(cifar10("train"), cifar10("test"))
    assert len(asked) == 2


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, eval, np.load, pickle.loads, getattr])
def test_a_pickle_that_calls_anything_is_refused_unrun(tiny_cifar, tmp_path, function):
    marker = tmp_path / "ran"
    argument = f"__import__('os').mkdir({str(marker)!r})" if function is eval else str(marker)
    evil = python2_pickle({b"labels": [0], b"data": Call(function, argument)})
    write_cifar(tmp_path / "cifar.tar.gz", tiny_cifar | {"test_batch": evil})
    with pytest.raises(BookError, match=rf"asks to run .*{function.__name__}, .*Nothing was run"):
        cifar_module.read_archive(tmp_path / "cifar.tar.gz", "test")
    assert not marker.exists()


@pytest.mark.parametrize(
    "batch, message",
    [
        (b"no pickle", "test_batch is not a CIFAR-10 batch"),
        (python2_pickle({b"labels": [1]}), "is not a CIFAR-10 batch"),
        (python2_pickle({b"labels": [1], b"data": [0] * 3072}), "is not a CIFAR-10 batch"),
        (cifar_batch([1], np.zeros((1, 3071), np.uint8)), r"shape \(1, 3071\).*labels of type int64 and shape \(1,\)"),
        (cifar_batch([1], np.zeros((2, 3072), np.uint8)), r"shape \(2, 3072\)"),
        (cifar_batch([1.5], np.zeros((1, 3072), np.uint8)), "labels of type float64"),
        (cifar_batch([1], np.zeros((1, 3072), np.int8)), "type b'i1'"),
        (cifar_batch([1], np.zeros((1, 3072), np.uint8)).replace(b"M\x00\x0c", b"M\x01\x0c"), r"shape \(1, 3073\)"),
        (cifar_batch([1], np.zeros((1, 3072), np.uint8)).replace(b"T\0\x0c\0\0\0", b"T\xff\x0b\0\0"), "all of them"),
        (cifar_batch([10], np.zeros((1, 3072), np.uint8)), "labels run from 10 to 10"),
    ],
)
def test_wrong_cifar_batches_are_refused(tmp_path, batch, message):
    write_cifar(tmp_path / "cifar.tar.gz", {"test_batch": batch})
    with pytest.raises(BookError, match=message):
        cifar_module.read_archive(tmp_path / "cifar.tar.gz", "test")


def test_wrong_cifar_archives_are_refused(tiny_cifar, tmp_path):
    path = tmp_path / "cifar.tar.gz"
    del tiny_cifar["data_batch_3"]
    write_cifar(path, tiny_cifar)
    with pytest.raises(BookError, match="holds no data_batch_3"):
        cifar_module.read_archive(path, "train")
    for raw in (path.read_bytes()[:-500], b"text", b""):
        path.write_bytes(raw)
        with pytest.raises(BookError, match="cannot be read"):
            cifar_module.read_archive(path, "train")
    with pytest.raises(BookError, match="cannot be read"):
        cifar_module.read_archive(tmp_path / "nothing.tar.gz", "train")


# A folder of images


def save(path: Path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(array, np.uint8)) if mode is None else array.convert(mode)
    picture.save(path, **options)


def read_one(path: Path, size: int, channels: int = 3) -> torch.Tensor:
    data, skipped = image_folder(path, size, channels)
    assert skipped == []
    assert len(data) == 1
    return data.images[0]


def corners() -> np.ndarray:
    """6 wide and 4 high; the four quarters of the central square are red, green (top), blue, white (bottom)."""
    array = np.zeros((4, 6, 3), np.uint8)
    array[:2, 1:3], array[:2, 3:5], array[2:, 1:3], array[2:, 3:5] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    return array


RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]


def quarters(image: torch.Tensor) -> list[list[int]]:
    edge = image.shape[-1] - 1
    return [image[:, i, j].tolist() for i, j in ((0, 0), (0, edge), (edge, 0), (edge, edge))]


def test_the_centre_is_cropped_without_distortion(tmp_path):
    save(tmp_path / "wide.png", corners())
    assert torch.equal(read_one(tmp_path, 4), torch.from_numpy(corners()[:, 1:5]).permute(2, 0, 1))
    save(tmp_path / "wide.png", corners().transpose(1, 0, 2))  # now higher than wide
    assert quarters(read_one(tmp_path, 4)) == [RED, BLUE, GREEN, WHITE]


@pytest.mark.parametrize(
    "orientation, expected",
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (6, [BLUE, RED, WHITE, GREEN]),  # held upright: to be turned by a quarter to the right
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation_is_honoured(tmp_path, orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "photo.png", corners(), exif=exif)
    assert quarters(read_one(tmp_path, 4)) == expected


def test_large_jpegs_keep_their_orientation_and_values(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "photo.jpg", corners().repeat(80, 0).repeat(80, 1), exif=exif, quality=95, subsampling=0)
    inner = read_one(tmp_path, 16)[:, 4:-4, 4:-4]  # the outermost pixels mix with what was cropped away
    assert (torch.tensor(quarters(inner)) - torch.tensor([BLUE, RED, WHITE, GREEN])).abs().max() <= 3
    left, right = read_one(tmp_path, 80)[0, 20, [39, 40]].tolist()  # blue beside red: a sharp edge
    assert left < 30
    assert right > 220


def test_odd_metadata_costs_no_image(tmp_path):
    cut = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01"  # Pillow warns of it
    save(tmp_path / "photo.jpg", np.full((8, 8), 90), exif=cut)
    assert read_one(tmp_path, 8, 1).unique().tolist() == [90]


def test_shrinking_averages(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    save(tmp_path / "stripes.png", stripes)
    inner = read_one(tmp_path, 8, 1)[0, 1:-1, 1:-1].int()
    assert (inner - 127.5).abs().max() <= 2  # without antialiasing all would be 0 or 255


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.zeros((2, 2, 4), np.uint8)
    alpha[..., 0] = 200
    alpha[0, 1, 3], alpha[1, 0, 3], alpha[1, 1, 3] = 255, 51, 153
    save(tmp_path / "rgba.png", alpha)
    assert read_one(tmp_path, 2).tolist() == [[[255, 200], [244, 222]], [[255, 0], [204, 102]], [[255, 0], [204, 102]]]


def test_grey_with_alpha_and_palettes(tmp_path):
    save(tmp_path / "a.png", np.dstack([np.full((2, 2), 100), [[0, 255], [255, 51]]]))  # grey and alpha
    colours = Image.fromarray(np.uint8([[RED, GREEN], [BLUE, WHITE]])).convert("P", palette=Image.Palette.ADAPTIVE)
    colours.save(tmp_path / "b.png")
    colours.save(tmp_path / "c.png", transparency=colours.getpixel((0, 0)))  # red is transparent
    colours.save(tmp_path / "d.png", transparency=bytes([255] * 4))  # one byte for each colour
    data, skipped = image_folder(tmp_path, 2)
    assert skipped == []
    assert data.images[0].tolist() == [[[255, 100], [100, 224]]] * 3
    assert quarters(data.images[1]) == [RED, GREEN, BLUE, WHITE]
    assert quarters(data.images[2]) == [WHITE, GREEN, BLUE, WHITE]
    assert quarters(data.images[3]) == [RED, GREEN, BLUE, WHITE]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 257 * 10], [257 * 100, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels).save(tmp_path / "b.tif")
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "c.tif")  # floats: no known white
    Image.fromarray(levels.astype(np.int32) * 2).save(tmp_path / "d.tif")  # nor here
    data, skipped = image_folder(tmp_path, 2, channels=1)
    assert data.images.tolist() == [[[[0, 10], [100, 255]]]] * 2
    assert [(name, why[:22]) for name, why in skipped] == [
        ("c.tif", "pixels of type float32"),
        ("d.tif", "pixels of type int32 h"),
    ]


def test_grey_is_repeated_in_colour_and_colour_weighed_in_grey(tmp_path):
    save(tmp_path / "a.png", np.full((2, 2), 77))
    assert (read_one(tmp_path, 2) == 77).all()
    save(tmp_path / "a.png", np.uint8([[RED, GREEN], [BLUE, WHITE]]))
    assert read_one(tmp_path, 2, 1).tolist() == [[[76, 150], [29, 255]]]  # 0.299, 0.587, 0.114 of 255
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    (tmp_path / "a.png").unlink()
    assert read_one(tmp_path, 2)[0].min() > 230


def test_broken_files_are_named_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    rng = np.random.default_rng(0)
    save(tmp_path / "b good.png", rng.integers(0, 256, (60, 60, 3)))
    (tmp_path / "a text.png").write_text("these are words")
    (tmp_path / "c empty.jpg").touch()
    (tmp_path / "d cut.png").write_bytes((tmp_path / "b good.png").read_bytes()[:-2000])
    save(tmp_path / "e bomb.png", np.zeros((160, 120)))  # Pillow warns of this one
    save(tmp_path / "f bomb.png", np.zeros((160, 160)))  # and stops at this one
    save(tmp_path / ".hidden.png", np.zeros((2, 2)))
    save(tmp_path / ".cache" / "thumb.png", np.zeros((2, 2)))
    (tmp_path / "notes.TXT").write_text("about the photographs")
    data, skipped = image_folder(tmp_path, 60)
    assert torch.equal(data.images[0], torch.from_numpy(np.array(Image.open(tmp_path / "b good.png"))).permute(2, 0, 1))
    assert len(data) == 1
    assert [name for name, _ in skipped] == ["a text.png", "c empty.jpg", "d cut.png", "e bomb.png", "f bomb.png"]
    reasons = [why for _, why in skipped]
    assert reasons[0].startswith("not an image")
    assert "broken file" in reasons[2]
    assert reasons[3] == reasons[4]
    assert "million pixels" in reasons[3]


def test_sub_folders_become_classes(tmp_path):
    for i, name in enumerate(["dog/b.png", "dog/a.png", "cat/c.png", "dog/.trash/d.png"]):
        save(tmp_path / name, np.full((2, 2), i))
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("two classes")
    data, _ = image_folder(tmp_path, 2, channels=1)
    assert (data.names, data.classes) == (("cat", "dog"), 2)
    assert data.labels.tolist() == [0, 1, 1]
    assert data.images[:, 0, 0, 0].tolist() == [2, 1, 0]  # by name, whatever order they were written in


@pytest.mark.parametrize("extra", ["c.png", "cat/deep/c.png"])
def test_anything_else_has_no_classes(tmp_path, extra):
    for name in ("cat/a.png", "dog/b.png", extra):
        save(tmp_path / name, np.zeros((2, 2)))
    data, _ = image_folder(str(tmp_path), 2)
    assert (len(data), data.labels, data.names) == (3, None, ())
    assert image_folder(tmp_path / "dog", 2)[0].labels is None
    for path in (tmp_path / "cat").rglob("*.png"):
        path.unlink()
    assert image_folder(tmp_path, 2)[0].labels is None  # one sub-folder is no classes


def test_folders_without_a_usable_image_say_what_to_do(tmp_path):
    with pytest.raises(BookError, match="no image was found in .*Put images in it"):
        image_folder(tmp_path, 8)
    for i in range(5):
        (tmp_path / f"{i}.png").write_text("words")
    with pytest.raises(BookError, match=r"none of the files in .*0\.png: not an image.*and 2 more.*Put images"):
        image_folder(tmp_path, 8)
    with pytest.raises(BookError, match="is not there; expected a folder"):
        image_folder(tmp_path / "nowhere", 8)
    with pytest.raises(BookError, match="is a file; expected a folder"):
        image_folder(tmp_path / "0.png", 8)
    for size, channels in ((0, 3), (8, 4)):
        with pytest.raises(BookError, match="expected size >= 1, channels 1 or 3"):
            image_folder(tmp_path, size, channels)


def test_progress_is_shown_on_many_files(tmp_path, capfd):
    for i in range(100):
        save(tmp_path / f"{i:03}.png", np.full((1, 1), i))
    data, _ = image_folder(tmp_path, 1, 1)
    assert "100/100" in capfd.readouterr().err
    assert data.images.flatten().tolist() == list(range(100))


# Points in the plane


@pytest.mark.parametrize("name", POINT_SETS)
def test_points_have_mean_zero_and_unit_variance(name):
    n, noise = 200_000, {"checkerboard": 0, "mixture": 0}.get(name, 0.05)
    x = POINT_SETS[name](n, seed=1).double()
    assert x.shape == (n, 2)
    assert (x.mean(0).abs() < 4 / math.sqrt(n)).all()
    spread = (x**2).std(0) / math.sqrt(n)
    assert ((x.var(0) - 1 - noise**2).abs() < 4 * spread).all()
    assert spread.max() < 0.003  # so that a variance half a percent off would show


@pytest.mark.parametrize("name", POINT_SETS)
def test_points_depend_on_the_seed_and_on_nothing_else(name):
    state = torch.get_rng_state()
    first = POINT_SETS[name](50, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(POINT_SETS[name](50, seed=3), first)
    assert not torch.isclose(POINT_SETS[name](50, seed=4), first).any()
    assert first.dtype == torch.float32


def exact(monkeypatch, make, mean, variance, n=3000) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y without noise, in the units of the formula."""
    noisy = make(n, seed=2).double()
    monkeypatch.setattr(points, "NOISE", 0)
    clean = make(n, seed=2).double()
    assert (noisy - clean).std() == pytest.approx(0.05, abs=4 * 0.05 / math.sqrt(4 * n))
    return (clean * torch.tensor(variance, dtype=torch.float64).sqrt() + torch.tensor(mean)).T


def test_moons_are_half_circles(monkeypatch):
    x, y = exact(monkeypatch, points.moons, (0.5, 0.25), (0.75, 0.2441901138))
    upper = ((x**2 + y**2 - 1).abs() < 1e-5) & (y > -1e-5)
    lower = (((x - 1) ** 2 + (y - 0.5) ** 2 - 1).abs() < 1e-5) & (y < 0.5 + 1e-5)
    assert (upper ^ lower).all()
    assert upper.double().mean() == pytest.approx(0.5, abs=0.04)
    assert (x[upper] > 0).double().mean() == pytest.approx(0.5, abs=0.06)


def test_spirals_have_two_arms(monkeypatch):
    end = 3 * math.pi
    x, y = exact(monkeypatch, points.spirals, (0.0, 0.0), (end**2 / 4 + 0.75, end**2 / 4 - 0.75))
    radius = torch.hypot(x, y)
    half_turns = (radius - torch.atan2(y, x)) / math.pi
    assert ((half_turns - half_turns.round()).abs() * radius < 1e-4).all()
    assert (half_turns.round() % 2).mean() == pytest.approx(0.5, abs=0.04)
    assert 0.99 * end < radius.max() < end + 1e-4
    assert (radius < end / 2).double().mean() == pytest.approx(0.25, abs=0.035)


def test_swiss_roll_is_one_arm(monkeypatch):
    square = 4.875 * math.pi**2
    mean = 2.0, 2 / (3 * math.pi)
    x, y = exact(monkeypatch, points.swiss_roll, mean, (square - 4.25, square + 0.25 - mean[1] ** 2))
    radius = torch.hypot(x, y)
    turns = (radius - torch.atan2(y, x)) / (2 * math.pi)
    assert ((turns - turns.round()).abs() < 1e-5).all()
    assert radius.min() == pytest.approx(1.5 * math.pi, abs=0.02)
    assert radius.max() == pytest.approx(4.5 * math.pi, abs=0.02)


def test_checkerboard_fills_the_black_squares_only():
    scaled = points.checkerboard(8000, seed=2).double() / (math.sqrt(3) / 2)
    assert scaled.abs().max() < 2
    column, row = scaled.floor().long().T
    assert ((column + row) % 2 == 0).all()
    counts = torch.bincount(4 * (column + 2) + row + 2, minlength=16)
    assert sorted(counts.tolist())[:8] == [0] * 8
    assert (counts[counts > 0] - 1000).abs().max() < 4 * math.sqrt(1000 * 7 / 8)
    inside = scaled - scaled.floor()
    assert (inside.mean(0) - 0.5).abs().max() < 4 * math.sqrt(1 / 12 / 8000)


def test_rings_have_their_radii(monkeypatch):
    x, y = exact(monkeypatch, points.rings, (0.0, 0.0), (3.0, 3.0))
    radius = torch.hypot(x, y)
    assert ((radius - radius.round()).abs() < 1e-5).all()
    counts = radius.round().long().bincount().tolist()
    assert counts[0] == 0
    for r in (1, 2, 3):
        assert counts[r] == pytest.approx(3000 * r / 6, abs=4 * math.sqrt(3000 * r / 6))


def test_mixture_has_eight_equal_gaussians():
    x, means = points.mixture(16_000, seed=2).double(), points.mixture_means()
    assert torch.allclose(means.norm(dim=1), torch.tensor(1.398213, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(means.std(0, correction=0) ** 2 + 0.15**2, torch.ones(2, dtype=torch.float64))
    distance, nearest = torch.cdist(x, means).min(1)
    assert (nearest.bincount(minlength=8) - 2000).abs().max() < 4 * math.sqrt(2000 * 7 / 8)
    assert (distance**2).mean() == pytest.approx(2 * 0.15**2, rel=4 / math.sqrt(16_000))


def test_the_errors_are_value_errors_with_one_line():
    assert issubclass(BookError, ValueError)
    assert json.dumps(str(BookError("a line"))) == '"a line"'
