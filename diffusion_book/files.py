"""Writing files so that what bears the right name is always whole."""

import os
from pathlib import Path

from diffusion_book.errors import BookError


def replace_file(path: Path, data: bytes) -> None:
    """Write under another name, then rename. Raises BookError if the disk refuses; the old file is then untouched."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        before = "the one saved before it is untouched" if path.exists() else "nothing was written"
        raise BookError(
            f"could not save {path} ({error.strerror}, {len(data) / 1e6:.1f} MB wanted); {before}. Make room and go on"
        ) from error
