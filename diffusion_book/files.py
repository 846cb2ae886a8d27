"""Writing files so that what bears the right name is always whole."""

import errno
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
        before = "what was there before is untouched" if path.exists() else "nothing was written"
        raise BookError(
            f"could not save {path} ({error.strerror}, {len(data) / 1e6:.1f} MB wanted); {before}. {way_out(error)}"
        ) from error


def way_out(error: OSError) -> str:
    """What to do where the disk refused."""
    full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    return "Make room and go on" if full else "Choose another place"


def make_place(path: Path) -> None:
    """Make the folder of a file that is to be written later. Raises BookError if it could not be written there."""
    if path.is_dir():
        raise BookError(f"{path} is a folder: give the name of a file")
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise BookError(f"{folder} is a file, so nothing can be written into it: choose another place with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BookError(f"could not make the folder {path.parent} ({error.strerror}). {way_out(error)}") from error
    if not os.access(path.parent, os.W_OK):
        raise BookError(f"the folder {path.parent} may not be written to: choose another place with --out")
