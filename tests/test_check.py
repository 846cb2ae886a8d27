"""Checking a student's files: what is said of every kind of answer, and that none of them holds up or harms the rest."""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from diffusion_book import checks, course, examiner
from diffusion_book.checks import guard
from diffusion_book.cli import main
from diffusion_book.errors import BookError

ROOT = Path(__file__).resolve().parents[1]
BOOK = checks.exercises()
FIRST = [number for number, exercise in BOOK.items() if exercise.chapter == 1]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


# ---------------------------------------------------------------------------------------- hints


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
        gone: "import os; os._exit(3)",
    }
    overrides = "".join(
        f"def {BOOK[number].function}(*arguments):\n    {body}\n\n\n" for number, body in bodies.items()
    )
    own_file().write_text(solutions() + "\n\n" + overrides, encoding="utf-8")
    began = time.monotonic()
    assert run("check", "1", "--limit", "1") == 1
    assert time.monotonic() - began < 240
    printed = capsys.readouterr().out
    blocks = dict(re.findall(r"^. Exercise ([\d.]+), [^\n]*\n((?:    [^\n]*\n)*)", printed, re.MULTILINE))
    assert f"PASS {right}" in blocks[right]
    assert "123456" in blocks[wrong] or "shape" in blocks[wrong] or "expected" in blocks[wrong]
    assert stub not in blocks  # the table says it
    assert f"stopped after {guard.WAIT * 1 + examiner.GRACE:g} s" in blocks[endless]
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


def test_what_was_passed_in_the_notebook_stays_passed_beside_an_empty_stub(here, capsys):
    course.start(here, 5)
    course.note(here, "1.1", "passed", "notebook")
    assert run("check", "1.1") == 1  # nothing is in the file
    printed = capsys.readouterr().out
    assert re.search(r"^✓ 1\.1 .* passed +1 try .*, in the notebook$", printed, re.MULTILINE)
    assert f"1 of the book's {len(BOOK)} exercises passed" in printed
    assert course.read_state(here)["progress"]["1.1"]["status"] == "passed"


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


def test_a_function_that_was_renamed_after_a_try_is_to_do_again(here, capsys):
    course.start(here, 5)
    course.note(here, "1.1", "wrong")
    own_file().write_text("", encoding="utf-8")
    assert run("check", "1.1") == 1
    assert re.search(r"^○ 1\.1 .* to do +1 try  \S+ \S+$", capsys.readouterr().out, re.MULTILINE)


def test_what_a_function_prints_stands_under_its_name(here, capfd):
    """And what the file prints while it is loaded under the file's."""
    course.start(here, 5)
    first, second = (BOOK[number] for number in FIRST[:2])
    own_file().write_text(
        f"print('loaded')\ndef {first.function}(*x): print('one')\ndef {second.function}(*x): print('two')\n"
    )
    assert run("check", first.number, second.number) == 1
    printed = [line.strip() for line in capfd.readouterr().out.splitlines()]
    for head, line in (
        (f"{own_file().name} prints:", "loaded"),
        (f"{first.function} (exercise {first.number}) prints:", "one"),
        (f"{second.function} (exercise {second.number}) prints:", "two"),
    ):
        assert printed.count(head) == 1
        assert printed[printed.index(head) + 1] == line


def test_the_way_to_a_hint_is_one_that_the_shell_finds(here, capsys, monkeypatch):
    course.start(here, 5)
    own_file().write_text(f"def {BOOK['1.1'].function}(*x): return 0.0\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert run("check", "1.1") == 1
    printed = capsys.readouterr().out
    assert f"Stuck? `{Path(sys.executable).parent.absolute() / 'diffusion-book'} check 1.1 --hint` gives" in printed


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
        (("ch1",), FIRST),
        (("chapter01",), FIRST),
        ((), FIRST),  # the folder holds this chapter only
    ],
)
def test_numbers_name_exercises_and_chapters(here, words, expected):
    Path("ch01_mine.py").touch()
    assert examiner.chosen(words, here) == expected


@pytest.mark.parametrize(
    "word, near",
    [
        ("1.77", "no exercise 1.77: chapter 1's run from 1.1 to 1.8"),
        ("99", "there are no exercises of a chapter 99, only of 1, 2, 3"),
        ("one", "they run from"),
        ("1.1.1", "chapter 1's run from 1.1"),
        ("-1", "no exercise"),
    ],
)
def test_unknown_numbers_are_told_which_there_are(here, word, near):
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
