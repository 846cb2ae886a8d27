"""The book as a whole: pairs in step, every number watched, every numbered equation computed, tested and referred to."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

from diffusion_book import checks, equations

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = equations.chapters(ROOT)
EQUATIONS = [equation for path in CHAPTERS for equation in equations.of_chapter(path)]
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def book_script():
    spec = importlib.util.spec_from_file_location("book", ROOT / "scripts" / "book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(path):
    cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def printed(cell) -> str:
    """What a cell printed or answered as text, without figures and cards."""
    texts = [output.text for output in cell.outputs if output.output_type == "stream"]
    answers = [output.data for output in cell.outputs if output.output_type == "execute_result"]
    # what has HTML is a card, or pictures under a slider
    texts += [data["text/plain"] for data in answers if "text/html" not in data]
    return "".join(texts)


def test_text_notebooks_exercises_and_solutions_are_in_step():
    assert book_script().out_of_step() == []


def test_a_changed_solution_and_a_changed_text_are_noticed(tmp_path):
    """The check above can fail: the same files with one character changed are out of step."""
    book = book_script()
    for name in ("chapters", "solutions", "exercises"):
        (tmp_path / name).mkdir()
        for file in (ROOT / name).glob("*.*"):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    book.ROOT, book.CHAPTERS = tmp_path, tmp_path / "chapters"
    book.SOLUTIONS, book.EXERCISES = tmp_path / "solutions", tmp_path / "exercises"
    assert book.out_of_step() == []
    text = book.CHAPTERS / CHAPTERS[0].name
    text.write_text(text.read_text().replace("## Summary", "## In short"))
    stubs = next(iter(sorted(book.EXERCISES.glob("ch01*"))))
    stubs.write_text(stubs.read_text().replace("NotImplementedError", "ValueError", 1))
    found = book.out_of_step()
    assert len(found) == 2
    assert "notebook differ" in found[1]
    assert "exercises/ch01" in found[0]


@each_chapter
def test_every_cell_that_yields_text_is_compared_or_asserts(path):
    unwatched = [
        cell.source
        for cell in code_cells(path)
        if re.sub(r"\[interactive figure: .*\]", "", printed(cell)).strip()
        and not {"exercise", "nbval-check-output", "nbval-ignore-output"} & set(tags(cell))
        and "assert" not in cell.source
    ]
    assert not unwatched, f"tag nbval-check-output, or assert and print nothing:\n{unwatched[0]}"


@each_chapter
def test_compared_outputs_hold_elsewhere(path):
    """No timings and no long digits in outputs that other machines must reproduce."""
    for cell in code_cells(path):
        if "nbval-check-output" in tags(cell):
            assert not re.search(r"\d\.\d{7,}", printed(cell)), f"round what is printed:\n{cell.source}"
            assert not re.search(r"\d s\b", printed(cell)), f"a time is different elsewhere:\n{cell.source}"


@each_chapter
def test_every_exercise_of_the_checks_stands_in_the_chapter(path):
    text, number = path.read_text(), int(path.name[:2])
    wanted = [n for n, exercise in checks.exercises().items() if exercise.chapter == number]
    assert re.findall(r'^check\("([\d.]+)"', text, re.MULTILINE) == wanted
    assert re.findall(r"^:label: ex-(\d+)-(\d+)$", text, re.MULTILINE) == [tuple(n.split(".")) for n in wanted]


@each_chapter
def test_figures_are_numbered_in_order_and_described(path):
    shown = [
        output for cell in code_cells(path) for output in cell.outputs if "image/png" in getattr(output, "data", {})
    ]
    assert all(output.metadata.get("image/png", {}).get("alt", "").strip() for output in shown)
    captions = re.findall(r"^\*\*Figure (\d+)\.(\d+)(?: \(interactive\))?\.\*\*", path.read_text(), re.MULTILINE)
    number = str(int(path.name[:2]))
    assert captions == [(number, str(i)) for i in range(1, len(captions) + 1)]
    assert len(captions) >= len(shown)


def test_labels_are_unique():
    labels = [equation.label for equation in EQUATIONS]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.label)
def test_a_numbered_equation_names_the_function_that_computes_it_and_a_test_that_can_falsify_it(equation):
    assert equation.function, f"{equation.chapter.name}:{equation.line}: no `% computed by` after {equation.label}"
    found = equations.resolve(equation.function)
    assert callable(found) or isinstance(found, property)
    assert equation.label in equations.tests(ROOT), f"no test carries {equation.label}"


def test_no_test_carries_the_label_of_an_equation_that_is_not_there():
    assert set(equations.tests(ROOT)) <= {equation.label for equation in EQUATIONS}


def test_the_parser_reads_labels_functions_and_numbers(tmp_path):
    chapter = tmp_path / "04_x.md"
    chapter.write_text("$$\na\n$$\n\ntext\n\n$$\nb\n$$ (eq-b)\n\n% computed by math.sin\n\n$$\nc\n$$ (eq-c)\n\nend\n")
    b, c = equations.of_chapter(chapter)
    assert (b.label, b.number, b.function, b.tex, b.line) == ("eq-b", "4.1", "math.sin", "b", 9)
    assert (c.label, c.number, c.function, c.line) == ("eq-c", "4.2", None, 15)
    with pytest.raises(LookupError, match=r"diffusion_book\.schedules\.VP\.nothing"):
        equations.resolve("diffusion_book.schedules.VP.nothing")
