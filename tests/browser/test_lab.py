"""Chapter 1 as a student meets it: in JupyterLab, run from the top, its slider moved, its text file opened as a notebook."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest
from conftest import ROOT

from diffusion_book import course, equations

pytestmark = pytest.mark.slow

CHAPTER = next(iter(sorted((ROOT / "chapters").glob("01_*.ipynb"))), None)
RUN_SECONDS = 300


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab over the chapters of a new course, its settings and files all in tmp_path."""
    if CHAPTER is None:
        pytest.skip("chapter 1 has no notebook: make chapter N=01")
    if not all(map(find_spec, ("jupyterlab", "jupytext", "jupyterlab_myst"))):
        pytest.skip('JupyterLab is not here: pip install -c constraints.txt -e ".[lab]"')
    course.start(tmp_path / "course", 1)
    viewers = tmp_path / "settings" / "@jupyterlab" / "docmanager-extension"
    viewers.mkdir(parents=True)
    # what `jupytext-config set-default-viewer` sets: a click on the .md opens it as a notebook
    (viewers / "plugin.jupyterlab-settings").write_text(
        json.dumps({"defaultViewers": {"markdown": "Jupytext Notebook", "myst": "Jupytext Notebook"}})
    )
    port = free_port()
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0"]
    words += [
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        f"--ServerApp.root_dir={tmp_path / 'course' / 'chapters'}",
    ]
    words += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = tmp_path / "lab.log"
    with log.open("w") as file:
        process = subprocess.Popen(words, env=os.environ | folders, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
        try:
            address, end = f"http://127.0.0.1:{port}/lab", time.monotonic() + 120
            while not answers(address):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, f"JupyterLab did not start: {log.read_text()}"
                time.sleep(0.5)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def opened(browser, address: str, name: str):
    """A page of JupyterLab with one file open and its kernel idle. Tried a second time if the first does not get there."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    try:
        for attempt in (1, 2):
            page = context.new_page()
            try:
                page.goto(f"{address}/tree/{name}?reset", wait_until="domcontentloaded")
                page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
                wait_until_idle(page, 90)
                break
            except Exception:
                if attempt == 2:
                    raise
                page.close()
        yield page
    finally:
        context.close()


def wait_until_idle(page, seconds: float) -> None:
    """The kernel says idle, and says so twice with a while between."""
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=seconds * 1000, state="attached"
    )
    page.wait_for_timeout(1000)
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=seconds * 1000, state="attached"
    )


def run_all(page, seconds: float) -> None:
    page.click("text=Run >> nth=0")
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.wait_for_timeout(1500)
    wait_until_idle(page, seconds)


def bring(page, selector: str):
    """The first element of a long notebook that fits, standing still in the window; JupyterLab builds cells as one scrolls."""
    notebook = page.locator(".jp-WindowedPanel-outer, .jp-Notebook").first
    box = notebook.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(300):
        if page.locator(selector).count():
            break
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(80)
    found, last = page.locator(selector).first, None
    for _ in range(40):
        found.evaluate("element => element.scrollIntoView({block: 'center'})")
        page.wait_for_timeout(400)
        now = found.bounding_box()
        if now and now == last and box["y"] < now["y"] < box["y"] + box["height"] - 40:
            return found
        last = now
    raise AssertionError(f"{selector} cannot be brought into the window")


def test_a_chapter_runs_from_the_top_and_its_slider_moves(lab, browser):
    with opened(browser, lab, CHAPTER.name) as page:
        run_all(page, RUN_SECONDS)
        saved = save_and_read(page, lab, CHAPTER.name)
        code = [cell for cell in saved["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        assert [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"] == []
        slider = bring(page, ".book-frames input")
        figure = page.locator(".book-frames").first
        picture, value = figure.locator("img"), figure.locator("output")

        def seen():
            return picture.get_attribute("src"), value.inner_text()

        box = slider.bounding_box()
        states = [seen()]
        page.mouse.click(box["x"] + 4, box["y"] + box["height"] / 2)
        states.append(seen())
        page.keyboard.press("ArrowRight")
        states.append(seen())
        assert len({picture for picture, _ in states}) == 3
        assert len({value for _, value in states}) == 3
        hint = bring(page, "details.book-hint > summary")
        hint.focus()
        page.keyboard.press("Enter")
        assert page.locator("details.book-hint").first.evaluate("element => element.open")


def save_and_read(page, lab: str, name: str) -> dict:
    """Save with Ctrl+S, and read the file from the server; again until its last cell has been run."""
    end = time.monotonic() + RUN_SECONDS
    while True:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
        with urllib.request.urlopen(f"{lab.removesuffix('/lab')}/api/contents/{name}?content=1", timeout=30) as reply:
            notebook = json.load(reply)["content"]
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        if all(cell["execution_count"] for cell in code) and page.locator(".jp-mod-dirty").count() == 0:
            return notebook
        assert time.monotonic() < end, "the notebook was not saved"


@pytest.mark.parametrize("ending", [".md", ".ipynb"])
def test_equations_and_exercises_have_the_numbers_of_the_book_and_papers_their_names(lab, browser, ending):
    """The messages of the checks name them so. The text opens as a notebook, too."""
    text = CHAPTER.with_suffix(".md")
    numbers = {equation.label: equation.number for equation in equations.of_chapter(text)}
    exercise = re.findall(r"^:label: (ex-1-\d+)$", text.read_text(encoding="utf-8"), re.MULTILINE)[1]
    with opened(browser, lab, CHAPTER.with_suffix(ending).name) as page:
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        seen = page.locator(".myst").all_inner_texts()
        for label in list(numbers)[:4]:
            block = bring(page, f".myst [id='{label}']")
            assert block.locator(".katex").count()
            assert f"({numbers[label]})" in block.inner_text()
            seen += page.locator(".myst").all_inner_texts()  # JupyterLab holds what is near the window
        assert "Exercise 1.2" in bring(page, f".myst [id='{exercise}']").inner_text()
        seen = " ".join(seen)
        assert set(re.findall(r"\(\d+(?:\.\d+)?\)", seen)) >= {"(1.1)", "(1.2)"}
        assert not re.search(r"\(\d\)", seen), "a display without a label has a number"
        assert "Ho et al. (2020)" in seen
        assert "Theorem 1.1" in seen
        assert "Proof" in seen
        assert not re.search(r"Proof\s*\d", seen), "proofs are numbered, and not like their theorems"
        for raw in ("% computed by", "{eq}", "{math}", "numbering:", "enumerat", "ho2020ddpm"):
            assert raw not in seen
