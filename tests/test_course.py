"""A student's own folder: what is copied, kept and refused, and what is remembered of the checks."""

import json
import os
import re
from pathlib import Path

import pytest

from diffusion_book import checks, course
from diffusion_book.cli import main
from diffusion_book.errors import BookError


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notebook(*sources, output="") -> bytes:
    cells = [{"cell_type": "code", "source": [source], "outputs": [output]} for source in sources]
    return json.dumps({"cells": cells}).encode()


@pytest.fixture
def book(tmp_path_factory, monkeypatch) -> Path:
    """A small book in place of the real one."""
    root = tmp_path_factory.mktemp("book")
    for name, data in {
        "chapters/01_one.md": b"---\nhead: 1\n---\ntext",
        "chapters/01_one.ipynb": notebook("x = 1", output="1"),
        "chapters/jupytext.toml": b'formats = "ipynb,md:myst"',
        "chapters/notes.txt": b"not for students",
        "exercises/ch01_one.py": b"def f(x):\n    raise NotImplementedError\n",
        "solutions/ch01_one.py": b"def f(x):\n    return x\n",
        "book/references.bib": b"",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    monkeypatch.setattr(course, "course_root", lambda: root)
    return root


def held(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder).as_posix()): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def run(*args) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    return ended.value.code


def refused(capsys, *args) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    assert run(*args) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(r"error: .*\n", printed.err), printed.err
    assert printed.out == ""
    return printed.err


# ---------------------------------------------------------------------------------------- start


def test_start_copies_chapters_and_exercises_and_says_what_to_do(book, here, capsys):
    main(["start", "mine", "--seed", "42"])
    got = held(here / "mine")
    names = ["chapters/01_one.ipynb", "chapters/01_one.md", "chapters/jupytext.toml", "exercises/ch01_one.py"]
    assert sorted(got) == sorted([*names, "README.md", course.MARKER])
    for name in names[2:]:
        assert got[name] == (book / name).read_bytes()
    assert json.loads(got[course.MARKER])["seed"] == 42
    printed = capsys.readouterr().out
    for words in (
        "cd mine",
        "lab --notebook-dir=. chapters/01_one.ipynb",
        "check 1.1",
        "1 chapter and 1 file of exercises",
    ):
        assert words in printed
    for words in ("jupyter lab", "diffusion-book check 1.3 --hint", "exercises/chNN_name.py", "lost", "--update"):
        assert words in got["README.md"].decode()


def test_the_two_files_of_a_chapter_are_equally_old(book, here):
    """jupytext refuses to open a notebook that is more than a second newer than its text."""
    course.start(here / "mine")
    ages = [(here / "mine/chapters/01_one").with_suffix(end).stat().st_mtime for end in (".md", ".ipynb")]
    assert ages[0] == ages[1]


def test_every_student_has_a_seed_of_their_own(book, here):
    seeds = set()
    for i in range(5):
        course.start(here / str(i))
        seeds.add(course.read_state(here / str(i))["seed"])
    assert len(seeds) == 5


@pytest.mark.parametrize("what, words", [("file", "is a file"), ("full", "is not empty"), ("course", "--update")])
def test_start_touches_nothing_that_is_there(book, here, capsys, what, words):
    if what == "file":
        Path("mine").write_text("a letter")
    elif what == "full":
        Path("mine").mkdir()
        Path("mine/thesis.txt").write_text("years of work")
    else:
        course.start(Path("mine"), 1)
    before = held(here)
    assert words in refused(capsys, "start", "mine")
    assert held(here) == before


def test_start_in_an_empty_folder(book, here):
    course.start(Path("."))
    assert (here / course.MARKER).exists()


def test_negative_seeds_are_refused(book, here, capsys):
    assert "--seed -1" in refused(capsys, "start", "mine", "--seed", "-1")
    assert held(here) == {}


# ---------------------------------------------------------------------------------------- update


def test_update_brings_the_new_and_keeps_what_was_changed(book, here, capsys):
    course.start(here, 7)
    (here / "exercises/ch01_one.py").write_text("def f(x):\n    return x\n")
    (here / "README.md").unlink()
    (book / "exercises/ch01_one.py").write_text("def f(x):\n    # clearer\n    raise NotImplementedError\n")
    (book / "exercises/ch02_two.py").write_text("two")
    (book / "chapters/01_one.md").write_text("---\nhead: 1\n---\nbetter text")
    (book / "chapters/01_one.ipynb").write_bytes(notebook("x = 2"))
    course.note(here, "1.1", "passed")
    main(["start", ".", "--update"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line.endswith(": new")] == ["README.md", "exercises/ch02_two.py"]
    renewed = [line.split(":")[0] for line in lines if line.endswith("newer version")]
    assert renewed == ["chapters/01_one.ipynb", "chapters/01_one.md"]
    assert [line.split(":")[0] for line in lines if "yours kept" in line] == ["exercises/ch01_one.py"]
    assert (here / "exercises/ch01_one.py").read_text() == "def f(x):\n    return x\n"
    assert (here / "chapters/01_one.md").read_text().endswith("better text")
    state = course.read_state(here)
    assert state["seed"] == 7
    assert state["progress"]["1.1"]["status"] == "passed"
    main(["start", ".", "--update"])  # and again: nothing is new, and the kept file is still spoken of
    assert capsys.readouterr().out.splitlines() == [line for line in lines if "yours kept" in line]


def test_update_renews_a_notebook_that_was_only_run(book, here):
    course.start(here)
    (here / "chapters/01_one.ipynb").write_bytes(notebook("x = 1", output="ran on my machine"))
    assert course.update(here) == course.Changes()
    assert b"my machine" in (here / "chapters/01_one.ipynb").read_bytes()  # no news: the outputs stay
    (book / "chapters/01_one.ipynb").write_bytes(notebook("x = 3"))
    assert course.update(here).renewed == ["chapters/01_one.ipynb"]
    assert json.loads((here / "chapters/01_one.ipynb").read_bytes()) == json.loads(notebook("x = 3"))


@pytest.mark.parametrize("changed", ["chapters/01_one.md", "chapters/01_one.ipynb"])
def test_a_chapter_is_kept_or_renewed_as_a_pair(book, here, changed):
    """If only the notebook was changed, a new text beside it would win over it when it is opened."""
    course.start(here)
    (here / changed).write_bytes(notebook("x = 'mine'") if changed.endswith("ipynb") else b"---\nhead: 2\n---\nmine")
    before = held(here / "chapters")
    (book / "chapters/01_one.ipynb").write_bytes(notebook("x = 4"))
    (book / "chapters/01_one.md").write_text("---\nhead: 1\n---\nnew")
    changes = course.update(here)
    assert changes.kept == ["chapters/01_one.ipynb", "chapters/01_one.md"]
    assert held(here / "chapters") == before


def test_a_file_that_was_removed_comes_back_as_the_book_has_it(book, here):
    course.start(here)
    (here / "exercises/ch01_one.py").rename(here / "exercises/my_try.py")
    assert course.update(here).added == ["exercises/ch01_one.py"]
    assert (here / "exercises/my_try.py").exists()


def test_line_ends_of_another_system_are_no_change(book, here):
    course.start(here)
    windows = (here / "exercises/ch01_one.py").read_bytes().replace(b"\n", b"\r\n")
    (here / "exercises/ch01_one.py").write_bytes(windows)
    assert course.update(here) == course.Changes()


def test_without_its_marker_a_course_is_taken_up_again_and_nothing_is_lost(book, here, capsys):
    course.start(here, 7)
    (here / "exercises/ch01_one.py").write_text("mine")
    (here / course.MARKER).write_text("{broken")
    before = held(here)
    line = refused(capsys, "start", ".", "--update")
    assert "rename it" in line
    assert held(here) == before
    (here / course.MARKER).rename("old.json")
    assert course.update(here).kept == ["exercises/ch01_one.py"]
    assert (here / "exercises/ch01_one.py").read_text() == "mine"


def test_update_of_a_folder_that_is_no_course(book, here, capsys):
    (here / "photos").mkdir()
    assert "is no course folder" in refused(capsys, "start", "photos", "--update")
    assert held(here) == {}


# ---------------------------------------------------------------------------------------- progress


def verdict(number, status):
    return checks.Verdict(checks.Exercise(number, "", "f", None, None, ""), status, "")


def test_progress_counts_tries_and_remembers_what_was_passed(here, book):
    course.start(here / "mine", 1)
    os.chdir(here / "mine/chapters")  # where a notebook runs
    for status in ("unfinished", "wrong", "wrong", "passed", "wrong", "unfinished"):
        course.record(verdict("1.2", status))
    course.record(verdict("1.3", "unfinished"))
    progress = course.read_state(here / "mine")["progress"]
    assert progress.keys() == {"1.2"}  # a stub that was looked at is no try
    entry = progress["1.2"]
    assert (entry["tried"], entry["status"]) == (4, "wrong")
    assert entry["passed"] == entry["when"]  # the same minute
    assert not list((here / "mine").glob("*.partial"))


def test_seed_and_progress_outside_a_workspace(here):
    assert course.find_workspace() is None
    assert course.seed() == 0
    course.record(verdict("1.1", "passed"))
    assert held(here) == {}


def test_the_seed_is_that_of_the_nearest_workspace(book, here, monkeypatch):
    course.start(here / "outer", 11)
    course.start(here / "outer/inner", 22)
    monkeypatch.chdir(here / "outer/inner/exercises")
    assert course.seed() == 22
    monkeypatch.chdir(here / "outer/exercises")
    assert course.seed() == 11


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"seed": "x"}', '{"seed": 1, "progress": {"1.1": 3}}', '{"seed": 1, "hints": []}']
)
def test_a_broken_progress_file_stops_no_notebook(here, capsys, text):
    Path(course.MARKER).write_text(text)
    assert course.seed() == 0
    course.record(verdict("1.1", "passed"))
    assert Path(course.MARKER).read_text() == text
    with pytest.raises(BookError, match="cannot be read"):
        course.read_state(here)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_stops_no_notebook(here, book):
    course.start(here / "mine", 1)
    os.chdir(here / "mine")
    before = Path(course.MARKER).read_bytes()
    (here / "mine").chmod(0o500)
    try:
        course.record(verdict("1.1", "passed"))
        assert Path(course.MARKER).read_bytes() == before
    finally:
        (here / "mine").chmod(0o700)


def test_a_full_disk_stops_no_notebook_and_loses_nothing(here, book, monkeypatch):
    course.start(here, 1)
    before = Path(course.MARKER).read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    course.record(verdict("1.1", "passed"))
    assert Path(course.MARKER).read_bytes() == before
    assert not list(here.glob("*.partial"))
