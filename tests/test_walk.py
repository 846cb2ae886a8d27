"""A student's way through a chapter: every exercise left open, then wrong, then right, in the notebook and offline."""

import importlib
import re
import sys
from pathlib import Path

import nbformat
import pytest
from test_book import book_script

from diffusion_book import checks, course, equations

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = equations.chapters(ROOT)
EXERCISES = ROOT / "tests" / "exercises"

# runs before the chapter's first cell: the planted answers can be imported, and no other computer can be asked
OFFLINE = """
import socket, sys
sys.path.insert(0, {folder!r})

def refuse(*asked, **options):
    raise OSError(f"the chapter wants the internet: {{asked[-2:]}}")

socket.socket.connect = socket.getaddrinfo = refuse
"""


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_wrong_first_then_right_without_a_traceback_and_without_the_internet(tmp_path, chapter):
    from nbclient import NotebookClient

    folder = tmp_path / "my-course"
    course.start(folder, 3)
    number = int(chapter.name[:2])
    sys.path.insert(0, str(EXERCISES))
    planted = importlib.import_module(f"planted_ch{number:02d}")
    _, solutions = book_script().split(next((ROOT / "solutions").glob(f"ch{number:02d}_*.py")))

    notebook = nbformat.read(folder / "chapters" / chapter.with_suffix(".ipynb").name, as_version=4)
    tries = {}
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            asked = re.search(r'^check\("([\d.]+)", \w+\)$', cell.source, re.MULTILINE)[1]
            wrong = [p.function.__name__ for p in planted.PLANTED if p.number == asked and p.mistake][:3]
            lines = [cell.source.replace("\ncheck(", "\n_cards = [check(") + "]"]
            lines += [f"import {planted.__name__} as _planted"]
            lines += [f'_cards.append(check("{asked}", _planted.{name}))' for name in wrong]
            lines += [solutions[asked], f'_cards.append(check("{asked}", {checks.find(asked).function}))']
            lines += ["for _card in _cards:\n    display(_card)"]
            cell.source = "\n".join(lines)
            tries[asked] = cell
    assert list(tries) == [n for n, exercise in checks.exercises().items() if exercise.chapter == number]
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE.format(folder=str(EXERCISES))))
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder / "chapters")}}
    ).execute()  # raises where a cell does

    for asked, cell in tries.items():
        shown = [output.data["text/html"] for output in cell.outputs if output.output_type == "display_data"]
        marks = [re.search("book-(unfinished|wrong|passed)", card)[1] for card in shown]
        assert marks == ["unfinished", "wrong", "wrong", "wrong", "passed"], asked
        assert all("Read again" in card for card in shown[1:4]), asked
    assert "Traceback" not in nbformat.writes(notebook)
    progress = course.read_state(folder)["progress"]
    assert {n: progress[n]["status"] for n in tries} == dict.fromkeys(tries, "passed")
    assert {n: progress[n]["tried"] for n in tries} == dict.fromkeys(tries, 4)  # an open exercise is no try
