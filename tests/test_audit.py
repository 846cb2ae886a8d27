"""The audit finds what a chapter lacks, names it in one line, and finds nothing where nothing is missing."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

from diffusion_book import audit, checks
from diffusion_book.cli import main

ROOT = Path(__file__).resolve().parents[1]

TEXT = """---
kernelspec:
  name: python3
---

# Three words here

One two {cite:t}`ho2020ddpm`, see {eq}`eq-a` and {prf:ref}`thm-one` and {ref}`that section <there>`. The length $x^2 + y$ is 1.
[A file](other.md), [the place](there), [a page](https://example.org), [a place](#here).

(there)=

$$
x = words that are not read
$$ (eq-a)

% computed by diffusion_book.predictions.combine

```{prf:theorem} Title
:label: thm-one

Two words.
```

```{code-cell} ipython3
:tags: [nbval-check-output]

print("{cite}`in_a_cell`")
```
"""


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("chapters", "book", "tests/exercises", "scripts"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "chapters/90_x.md").write_text(TEXT)
    (tmp_path / "chapters/other.md").write_text("")
    (tmp_path / "book/references.bib").write_text("@inproceedings{ho2020ddpm,\n  year = 2020\n}\n")
    (tmp_path / "tests/test_x.py").write_text('@pytest.mark.equation("eq-a")\ndef test_a():\n    pass\n')
    shutil.copy(ROOT / "tests/exercises/planted.py", tmp_path / "tests/exercises")
    write_notebook(tmp_path)
    return tmp_path


def write_notebook(root, source="print(1)", html='<div class="book-frames">'):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["nbval-check-output"]})
    cell.outputs = [
        nbformat.v4.new_output("display_data", {"image/png": ""}),
        nbformat.v4.new_output("execute_result", {"text/html": html}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), root / "chapters/90_x.ipynb")


def change(file: Path, old: str, new: str):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def look(root, run=False) -> audit.Report:
    return audit.report(root, root / "chapters/90_x.md", run=run)


NO_EXERCISES = ["0 exercises, at least 5 are wanted"]


def test_a_sound_chapter_is_counted_and_has_no_other_findings(root):
    one = look(root)
    assert one.findings == NO_EXERCISES
    # heading | One two REF, see REF and REF and REF | The length MATH is | four links | Two words
    assert one.words == 3 + 9 + 4 + 8 + 2
    assert (one.equations, one.tested, one.references, one.figures, one.interactive, one.compared) == (1, 1, 6, 1, 1, 1)
    assert one.seconds is None


@pytest.mark.parametrize(
    "file, old, new, finding",
    [
        ("chapters/90_x.md", "{cite:t}`ho2020ddpm`", "{cite:p}`ho2020ddpm, no2021`", "no2021 is cited and not in"),
        ("book/references.bib", "{ho2020ddpm", "{ho2020", "ho2020ddpm is cited and not in book/references.bib"),
        ("chapters/90_x.md", "{eq}`eq-a`", "{eq}`eq-b`", "{eq}`eq-b` leads nowhere"),
        ("chapters/90_x.md", ":label: thm-one", ":label: thm-two", "{prf:ref}`thm-one` leads nowhere"),
        ("chapters/90_x.md", "<there>`", "<where>`", "{ref}`where` leads nowhere"),
        ("chapters/90_x.md", "(there), ", "(nowhere), ", "the link to nowhere leads nowhere"),
        ("chapters/90_x.md", "(other.md)", "(another.md#part)", "the link to another.md leads nowhere"),
        ("tests/test_x.py", "eq-a", "eq-c", "equation (90.1) eq-a, line 15: no test carries its label"),
        (
            "chapters/90_x.md",
            "% computed by",
            "% made by",
            "equation (90.1) eq-a, line 15: no `% computed by` after it",
        ),
        (
            "chapters/90_x.md",
            "predictions.combine",
            "predictions.combined",
            "there is no diffusion_book.predictions.combined",
        ),
    ],
)
def test_each_fault_is_one_finding(root, file, old, new, finding):
    change(root / file, old, new)
    found = [line for line in look(root).findings if line not in NO_EXERCISES]
    assert len(found) == 1, found
    assert finding in found[0]


def test_an_equation_is_tested_only_by_a_test_that_carries_its_label(root):
    change(root / "tests/test_x.py", "eq-a", "eq-c")
    one = look(root)
    assert (one.equations, one.tested) == (1, 0)


def test_no_interactive_figure_and_no_notebook(root):
    write_notebook(root, html="<div>")
    assert look(root).findings == [*NO_EXERCISES, "no interactive figure"]
    (root / "chapters/90_x.ipynb").unlink()
    assert look(root).findings == [*NO_EXERCISES, "there is no notebook: make chapter N=90"]


def test_a_chapter_is_run_and_timed(root, monkeypatch):
    write_notebook(root, "raise ValueError('three\\nlines')")
    monkeypatch.setattr(audit, "SECONDS", 0.0)
    one = look(root, run=True)
    assert 0 < one.seconds < 120
    assert one.findings[1] == "a cell fails: ValueError: three"
    assert one.findings[2].endswith("at most 0 s are wanted")
    assert len(one.findings) == 3


# ---------------------------------------------------------------------------------------- exercises

EXERCISE = checks.Exercise(
    "90.1",
    "Double",
    "double",
    cases=lambda generator: [checks.Case(lambda x=x: (x,)) for x in torch.rand(3, generator=generator).tolist()],
    truth=lambda x: 2 * x,
    read="",
    mistakes=[
        checks.Mistake("half", lambda x: x / 2, ""),
        checks.Mistake("square", lambda x: x**2, ""),
        checks.Mistake("same", lambda x: x, ""),
    ],
)


def answer(name, function):
    return SimpleNamespace(number="90.1", function=function, mistake=name)


def findings(*planted, exercises=5):
    one = audit.Report(90)
    audit._exercises(one, [EXERCISE] + [replace(EXERCISE, number=f"90.{i}") for i in range(2, exercises + 1)], planted)
    return one, [line for line in one.findings if "90.1" in line or "wanted" in line and "exercises," in line]


HALF, SQUARE, SAME = answer("half", lambda x: 0.5 * x), answer("square", lambda x: x * x), answer("same", lambda x: x)


def test_three_planted_and_named_are_enough():
    one, found = findings(HALF, SQUARE, SAME, answer(None, lambda x: x + 5))
    assert (one.exercises, one.planted, one.named, found) == (5, 3, 3, [])


def test_words_between_equations_of_one_line_are_read():
    assert audit.words("one\n\n$$x = 1,$$\n\ntwo three $a$\n\n$$\ny\n$$ (eq-y)\n\nfour\n\n$$z$$\n") == 5


@pytest.mark.parametrize(
    "planted, words",
    [
        ((HALF, SQUARE), "2 different mistakes"),
        ((HALF, SQUARE, HALF), "2 different mistakes"),
        ((HALF, SQUARE, SAME, answer("half", lambda x: x)), "the mistake 'half' is called 'same'"),
        ((HALF, SQUARE, SAME, answer("half", lambda x: x / 3)), "the mistake 'half' is not recognised"),
        ((HALF, SQUARE, SAME, answer("half", lambda x: x + x)), "is wrong, and passes"),
    ],
)
def test_planted_answers_that_are_not_caught_are_findings(planted, words):
    _, found = findings(*planted)
    assert len(found) == 1
    assert words in found[0]


def test_four_exercises_are_too_few():
    assert findings(HALF, SQUARE, SAME, exercises=4)[1] == ["4 exercises, at least 5 are wanted"]


# ---------------------------------------------------------------------------------------- the command


def ended(*args) -> int:
    with pytest.raises(SystemExit) as exit:
        main(list(args))
    return exit.value.code


def test_the_exit_code_and_what_is_printed(root, monkeypatch, capsys):
    (root / "scripts/book.py").write_text("def out_of_step():\n    return ['exercises/x.py is out of step']\n")
    monkeypatch.setattr(audit, "course_root", lambda: root)
    assert ended("audit", "--quick") == 1
    printed = capsys.readouterr().out
    assert f"chapter 90: {NO_EXERCISES[0]}\nexercises/x.py is out of step\n" in printed
    assert "not run" in printed
    monkeypatch.setattr(audit, "EXERCISES", 0)
    assert ended("audit", "90", "--quick") == 0
    assert "PASS" in capsys.readouterr().out
    assert ended("audit", "7") == 2
    assert "there is no chapter 7: there are 90" in capsys.readouterr().err
    (root / "scripts/book.py").unlink()
    assert ended("audit") == 2
    assert "needs the repository" in capsys.readouterr().err
