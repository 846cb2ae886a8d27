"""A student's folder and its checks: what is copied, kept and refused, what is said of each answer, what a wheel holds."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from diffusion_book import checks, course, examiner
from diffusion_book.cli import main
from diffusion_book.errors import BookError

ROOT = Path(__file__).resolve().parents[1]
BOOK = checks.exercises()
FIRST = [number for number, exercise in BOOK.items() if exercise.chapter == 1]


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
    for name in names:
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
    assert (here / "chapters/01_one.ipynb").read_bytes() == notebook("x = 3")


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
    for status in ("unfinished", "wrong", "wrong", "passed", "unfinished", "wrong"):
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


def test_hints_come_one_at_a_time_and_are_remembered(here, capsys):
    course.start(here, 1)
    count = len(BOOK["1.1"].hints)
    shown = []
    for _ in range(count + 1):
        assert run("check", "1.1", "--hint") == 0
        shown.append(re.findall(r"^Hint (\d) of (\d)", capsys.readouterr().out, re.MULTILINE))
    assert shown == [[(str(i + 1), str(count))] for i in range(count)] + [
        [(str(i + 1), str(count)) for i in range(count)]
    ]
    assert course.read_state(here)["hints"] == {"1.1": count}
    assert course.read_state(here)["progress"] == {}


def test_a_hint_belongs_to_one_exercise(here, capsys):
    course.start(here, 1)
    for what in ([], ["1"], ["1.1", "1.2"]):
        assert "check 1.3 --hint" in refused(capsys, "check", *what, "--hint")
    assert "there is no exercise 1.99" in refused(capsys, "check", "1.99", "--hint")


# ---------------------------------------------------------------------------------------- check


def solutions(chapter=1) -> str:
    return next((ROOT / "solutions").glob(f"ch{chapter:02d}_*.py")).read_text(encoding="utf-8")


def own_file() -> Path:
    return next(Path("exercises").glob("ch01_*.py"))


def test_every_kind_of_answer_gets_its_own_message_and_none_holds_up_the_rest(here, capsys):
    """Right, wrong, not written, endless, the end of the process, and right again, in one file."""
    course.start(here, 5)
    right, wrong, stub, endless, gone, *rest = FIRST
    bodies = {
        wrong: "return 123456.0",
        stub: "raise NotImplementedError",
        endless: "import time; time.sleep(600)",  # cannot be interrupted from within: it must be killed
        gone: "raise SystemExit(3)",
    }
    overrides = "".join(
        f"def {BOOK[number].function}(*arguments):\n    {body}\n\n\n" for number, body in bodies.items()
    )
    own_file().write_text(solutions() + "\n\n" + overrides, encoding="utf-8")
    began = time.monotonic()
    assert run("check", "1", "--limit", "1") == 1
    assert time.monotonic() - began < 60
    printed = capsys.readouterr().out
    blocks = dict(re.findall(r"^. Exercise ([\d.]+), [^\n]*\n((?:    [^\n]*\n)*)", printed, re.MULTILINE))
    assert f"PASS {right}" in blocks[right]
    assert "123456" in blocks[wrong] or "shape" in blocks[wrong] or "expected" in blocks[wrong]
    assert stub not in blocks  # the table says it
    assert f"stopped after {1 + examiner.GRACE:g} s" in blocks[endless]
    assert "ended with code 3" in blocks[gone]
    for number in rest:
        assert f"PASS {number}" in blocks[number]
    table = dict(re.findall(r"^(.) (1\.\d+)  ", printed, re.MULTILINE))
    assert {number: sign for sign, number in re.findall(r"^(.) (1\.\d+)  ", printed, re.MULTILINE)} == {
        number: "○" if number == stub else "✗" if number in (wrong, endless, gone) else "✓" for number in FIRST
    }, table
    assert f"{1 + len(rest)} of the book's {len(BOOK)} exercises passed" in printed
    assert f"check {wrong} --hint" in printed
    progress = course.read_state(here)["progress"]
    assert {number: (entry["status"], entry["tried"]) for number, entry in progress.items()} == {
        number: ("wrong" if number in bodies else "passed", 1) for number in FIRST if number != stub
    }
    assert "Traceback" not in printed


def test_a_file_with_a_syntax_error_is_named_with_its_line(here, capfd):
    course.start(here, 5)
    own_file().write_text(own_file().read_text(encoding="utf-8") + "\n\ndef g(:\n", encoding="utf-8")
    line = own_file().read_text(encoding="utf-8").count("\n")
    assert run("check", "1") == 2
    printed = capfd.readouterr()
    assert printed.out.count("is not Python yet") == 1
    assert f"{own_file().name} is not Python yet: invalid syntax\n    in line {line}: def g(:" in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert course.read_state(here)["progress"] == {}


def test_another_folder_can_be_checked_and_is_not_counted(here, capsys):
    course.start(here, 5)
    assert run("check", "1.1", "--impl", ROOT / "solutions") == 0
    printed = capsys.readouterr().out
    assert "PASS 1.1" in printed
    assert "1 of 1 passed" in printed
    assert course.read_state(here)["progress"] == {}


def test_a_function_that_is_not_there_is_said_and_is_no_try(here, capsys):
    course.start(here, 5)
    own_file().write_text("", encoding="utf-8")
    assert run("check", "1.1") == 1
    name = BOOK["1.1"].function
    assert (
        f"Exercise 1.1, {BOOK['1.1'].title}: there is no function {name} in {own_file().name}"
        in capsys.readouterr().out
    )
    assert course.read_state(here)["progress"] == {}


def test_what_cannot_be_checked_is_said_in_one_line(here, capsys):
    assert "diffusion-book start my-course" in refused(capsys, "check")
    assert "--impl wants a folder" in refused(capsys, "check", "--impl", "nowhere")
    course.start(here / "mine", 5)
    os.chdir("mine")
    assert "--limit 0" in refused(capsys, "check", "--limit", "0")
    shutil.rmtree("exercises")
    assert "--update" in refused(capsys, "check")
    Path("exercises").mkdir()
    assert "--update` brings what is missing" in refused(capsys, "check")


@pytest.mark.parametrize(
    "words, expected",
    [
        (("1.2",), ["1.2"]),
        (("1.3", "1.1", "1.3"), ["1.1", "1.3"]),
        (("1",), FIRST),
        (("01", "1.2"), FIRST),
        ((), FIRST),  # the folder holds this chapter only
    ],
)
def test_numbers_name_exercises_and_chapters(here, words, expected):
    Path("ch01_mine.py").touch()
    assert examiner.chosen(words, here) == expected


@pytest.mark.parametrize(
    "word, near",
    [
        ("1.77", "did you mean 1."),
        ("99", "did you mean"),
        ("one", "they run from"),
        ("1.1.1", "1.1"),
        ("-1", "no exercise"),
    ],
)
def test_unknown_numbers_offer_the_nearest(here, word, near):
    Path("ch01_mine.py").touch()
    with pytest.raises(BookError, match=re.escape(near)):
        examiner.chosen((word,), here)


def test_the_file_with_the_books_name_is_taken_and_a_doubt_is_said(here):
    real = next(iter((ROOT / "exercises").glob("ch01_*.py"))).name
    for name in ("ch01_a_copy.py", real, "ch01_z.py"):
        (here / name).touch()
    assert examiner.file_of(here, 1).name == real
    (here / real).unlink()
    with pytest.raises(BookError, match="ch01_a_copy.py, ch01_z.py"):
        examiner.file_of(here, 1)


@pytest.mark.parametrize(
    "text, words",
    [
        ("import nonsense_module", ["No module named 'nonsense_module'", "in line 1: import nonsense_module"]),
        ("\n\nx = 1 / 0", ["ZeroDivisionError", "in line 3: x = 1 / 0"]),
        ("def f():\nreturn 1", ["expected an indented block", "in line 2: return 1"]),
        ("x = '\\0'\0", ["ch01_x.py is not Python yet"]),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why_and_where(here, text, words):
    (here / "ch01_x.py").write_text(text)
    said = examiner._load(here / "ch01_x.py")
    for word in words:
        assert word in said


def test_help_and_start_do_not_wait_for_torch():
    code = (
        "import sys\nfrom diffusion_book import cli, course_commands\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


# ---------------------------------------------------------------------------------------- the wheel


@dataclass
class Built:
    wheel: Path
    site: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    """A wheel made from a source distribution, as an index would serve them, installed into a folder of its own."""
    home = tmp_path_factory.mktemp("built")
    (home / "source").mkdir()
    for name in (
        "pyproject.toml",
        "setup.py",
        "MANIFEST.in",
        "README.md",
        "LICENSE",
        "THIRD_PARTY.md",
        "constraints.txt",
    ):
        shutil.copy(ROOT / name, home / "source" / name)
    for name in ("diffusion_book", "chapters", "exercises", "solutions", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "golden")
        shutil.copytree(ROOT / name, home / "source" / name, ignore=ignored)
    stale = home / "source/build/lib/diffusion_book/course/chapters/99_withdrawn.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier build")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    make = "import setuptools.build_meta as b; print(b.build_sdist('..'))"
    made = subprocess.run([sys.executable, "-c", make], cwd=home / "source", check=True, capture_output=True, text=True)
    sdist = home / made.stdout.split()[-1]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(home)]
    subprocess.run([*build, str(sdist)], check=True, capture_output=True)
    (wheel,) = home.glob("*.whl")
    subprocess.run(
        [*pip, "install", *offline, "--target", str(home / "site"), str(wheel)], check=True, capture_output=True
    )
    return Built(wheel, home / "site")


@pytest.mark.slow
def test_a_wheel_holds_the_course_and_neither_solutions_nor_tests(built):
    names = zipfile.ZipFile(built.wheel).namelist()
    packed = {
        name.removeprefix("diffusion_book/course/") for name in names if name.startswith("diffusion_book/course/")
    }
    assert packed == {name for name in course.course_files() if name != "README.md"}
    assert any(name.startswith("exercises/ch01_") for name in packed)
    assert "diffusion_book/workspace.md" in names
    assert not [name for name in names if "solution" in name or "test_" in name or "planted" in name]
    assert not [
        name for name in names if "BEGIN SOLUTION" in zipfile.ZipFile(built.wheel).read(name).decode(errors="replace")
    ]


@pytest.mark.slow
def test_a_course_is_started_and_checked_from_the_wheel(built, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(built.site)}

    def call(*args, cwd=tmp_path):
        command = [sys.executable, "-m", "diffusion_book.cli", *args]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
        )

    where = "import diffusion_book.course as c; print(c.__file__); print(c.course_root())"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.splitlines() == [
        str(built.site / "diffusion_book/course.py"),
        str(built.site / "diffusion_book/course"),
    ]
    assert call("start", "mine").returncode == 0
    mine = tmp_path / "mine"
    assert {name for name in held(mine)} == {*course.course_files(), course.MARKER}
    stubs = call("check", "1.1", cwd=mine)
    assert (stubs.returncode, stubs.stderr) == (1, "")
    assert "not written yet" in stubs.stdout
    next((mine / "exercises").glob("ch01_*.py")).write_text(solutions(), encoding="utf-8")
    solved = call("check", "1.1", cwd=mine)
    assert (solved.returncode, solved.stderr) == (0, "")
    assert course.read_state(mine)["progress"]["1.1"]["tried"] == 1
