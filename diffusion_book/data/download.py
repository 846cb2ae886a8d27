"""Where downloaded data sets are kept, and how they are fetched: never without a checked hash."""

import os
from pathlib import Path

from diffusion_book.errors import BookError


def cache_folder() -> Path:
    """The folder of downloaded data: $DIFFUSION_BOOK_CACHE, or the user's cache folder of the operating system."""
    import pooch  # imported here: it takes 0.1 s, and most runs use shipped data only

    return Path(os.environ.get("DIFFUSION_BOOK_CACHE") or pooch.os_cache("diffusion-book"))


def fetch(url: str, md5: str, folder: Path) -> Path:
    """Download `url` into `folder` with a progress bar, unless the same file is there; returns its path.

    Raises BookError if the address cannot be reached, the folder cannot be written, or the hash is wrong. The file is
    written beside its place and moved when complete, so that an interrupted download is never mistaken for a file.
    """
    import pooch
    import requests

    name = url.rsplit("/", 1)[-1]
    try:
        return Path(pooch.retrieve(url, known_hash=f"md5:{md5}", fname=name, path=folder, progressbar=True))
    except requests.ConnectionError as error:
        raise BookError(f"{url} cannot be reached (is there a network connection?).") from error
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        reason = " ".join(str(error).split())
        raise BookError(f"{url} could not be downloaded to {folder} ({type(error).__name__}: {reason}).") from error
