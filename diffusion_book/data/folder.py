"""A folder of your own images as an ImageSet."""

import warnings
from pathlib import Path

import numpy as np
import torch

from diffusion_book.data.images import ImageSet
from diffusion_book.errors import BookError

# Files that lie beside images for other reasons; anything else that is no image is named in the list of skipped files.
OTHER_SUFFIXES = {
    ".txt", ".md", ".rst", ".pdf", ".doc", ".docx", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".xml", ".html",
    ".ini", ".db", ".log", ".py", ".ipynb", ".sh", ".bat", ".zip", ".gz", ".tar", ".7z", ".rar", ".npy", ".npz", ".pt",
    ".pth", ".safetensors", ".mp3", ".wav", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".aae", ".xmp",
}  # fmt: skip


def image_folder(path: str | Path, size: int, channels: int = 3) -> tuple[ImageSet, list[tuple[str, str]]]:
    """Every image below `path` as an ImageSet (N, channels, size, size), and the skipped files as (name, reason).

    Any size and format that Pillow opens, in the order of the names: turned as its EXIF tag says, laid over white where
    transparent, cropped to the central square, resized with antialiasing; of an animation, the first frame. Where every
    image lies in a direct sub-folder, and there are at least two of these, their names become the classes.
    Hidden files and files like .txt or .mp4 are passed over. channels is 3 (colour) or 1 (grey).
    Raises BookError if the folder does not exist or holds no usable image, or for another size or channels.
    """
    from tqdm import tqdm

    root = Path(path).expanduser()
    if channels not in (1, 3) or size < 1:
        raise BookError(f"size = {size} and channels = {channels} were asked for; expected size >= 1, channels 1 or 3.")
    if not root.is_dir():
        raise BookError(f"{root} is {'a file' if root.exists() else 'not there'}; expected a folder of images.")
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if is_candidate(p.relative_to(root), p))
    images = torch.empty(len(names), channels, size, size, dtype=torch.uint8)
    kept, skipped = [], []
    for name in tqdm(names, desc="reading images", unit="file", disable=len(names) < 100):
        try:
            images[len(kept)] = torch.from_numpy(read_image(root / name, size, channels))
            kept.append(name)
        except Exception as error:  # one broken file must not cost the reader the others
            skipped.append((name, reason(error)))
    if not kept:
        raise BookError(f"{found_nothing(root, skipped)} Put images in it (.jpg, .png, ...), or name another folder.")
    return ImageSet(images[: len(kept)], *classes(kept)), skipped


def is_candidate(relative: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return not hidden and path.suffix.lower() not in OTHER_SUFFIXES and path.is_file()


def read_image(path: Path, size: int, channels: int) -> np.ndarray:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata in a file that can be read
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at 1/2, 1/4 or 1/8: several times faster
            image = over_white(ImageOps.exif_transpose(image))
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)  # centre crop; the filter widens as it shrinks
    pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def over_white(image):
    """The image in 8 bits, RGB, with white behind whatever is transparent."""
    from PIL import Image

    if image.mode[0] in "IF":  # more than 8 bits a pixel; Pillow's own conversion would clip instead of scale
        values = np.array(image)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
            raise BookError(f"pixels of type {values.dtype} have no known white; convert it to 8 or 16 bits")
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image, or in a format that Pillow does not know"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"more than {Image.MAX_IMAGE_PIXELS // 10**6} million pixels: make it smaller first"
    if isinstance(error, BookError):
        return str(error)
    return f"broken file ({error or type(error).__name__})"


def found_nothing(root: Path, skipped: list[tuple[str, str]]) -> str:
    if not skipped:
        return f"no image was found in {root} or its sub-folders."
    first = "; ".join(f"{name}: {why}" for name, why in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"none of the files in {root} could be used ({first}{more})."


def classes(names: list[str]) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    folders = [name.split("/")[:-1] for name in names]
    found = sorted({folder[0] for folder in folders if folder})
    if len(found) < 2 or any(len(folder) != 1 for folder in folders):
        return None, ()
    index = {name: i for i, name in enumerate(found)}
    return torch.tensor([index[folder[0]] for folder in folders]), tuple(found)
