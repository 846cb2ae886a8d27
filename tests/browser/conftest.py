"""The built site on a local server, and a real browser; both made once for all tests of this folder."""

import os
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import serve  # noqa: E402

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def build(folder: Path, *options: str) -> Path:
    """Build the site into a folder; warnings are errors. Returns the folder of the pages."""
    if not all(map(find_spec, ("sphinx", "myst_nb", "sphinx_book_theme", "sphinxcontrib.bibtex"))):
        pytest.skip('the site is built with Sphinx: pip install -c constraints.txt -e ".[site]"')
    words = ["-W", "--keep-going", "-q", "-c", "book", "-d", str(folder / "doctrees"), *options]
    words = [sys.executable, "-m", "sphinx", *words, ".", str(folder / "html")]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder of the built site."""
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served, with a slash at its end."""
    server = serve.server(site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def browser():
    """A real browser without a window. Tests that want one are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as p:
        program = program or p.chromium.executable_path
        if not Path(program).exists():
            pytest.skip("there is no Chromium here: install it, or name it in the environment variable CHROMIUM")
        browser = p.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
