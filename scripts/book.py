"""The chapters as pairs of text and executed notebook, and the exercises made from the solutions.

python scripts/book.py run 01       execute chapter 1 from a fresh kernel, store its outputs, pair both files
python scripts/book.py exercises    make exercises/ and the chapters' exercise cells from solutions/
python scripts/book.py check        say what is out of step; exit 1 if anything is
"""

import hashlib
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat

from diffusion_book import checks, equations

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS, SOLUTIONS, EXERCISES = ROOT / "chapters", ROOT / "solutions", ROOT / "exercises"
MARK = re.compile(r"^# Exercise (\d+\.\d+)\n", re.MULTILINE)
SOLUTION = re.compile(r"^(?P<indent> *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION\n", re.MULTILINE | re.DOTALL)
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?P<options>(?::[^\n]*\n|\n)*)(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
CHECKED = re.compile(r"^check\(\"(?P<number>\d+\.\d+)\"", re.MULTILINE)


# ---------------------------------------------------------------------------------------- exercises from solutions


def stub(code: str, numbers: dict[str, str]) -> str:
    """Solution code without its solution, and with equations' numbers for their labels."""
    code = SOLUTION.sub(lambda match: f"{match['indent']}raise NotImplementedError\n", code)
    return re.sub(r"\((eq-[a-z0-9-]+)\)", lambda match: f"({numbers[match[1]]})", code)


def split(path: Path) -> tuple[str, dict[str, str]]:
    """The head of a solutions file, and the code of each exercise by its number."""
    head, *rest = MARK.split(path.read_text(encoding="utf-8"))
    return head, dict(zip(rest[::2], rest[1::2], strict=True))


def exercise_file(path: Path) -> str:
    """What exercises/ holds for a file of solutions/."""
    numbers = equations.numbers(ROOT)
    head, blocks = split(path)
    chapter = int(path.name[2:4])
    imports = head.split('"""', 2)[2]
    doc = f'"""Exercises of chapter {chapter}: write each body, then ask `diffusion-book check {chapter}`."""'
    parts = [doc + imports] + [f"# Exercise {number}\n{stub(code, numbers)}" for number, code in blocks.items()]
    return "".join(parts)


def with_exercise_cells(text: str) -> str:
    """A chapter's text with its exercise cells made anew from the solutions."""
    numbers = equations.numbers(ROOT)
    code = {}
    for path in sorted(SOLUTIONS.glob("ch*.py")):
        code |= split(path)[1]

    def anew(match):
        asked = CHECKED.search(match["body"])
        if "exercise" not in match["options"] or not asked:
            return match[0]
        number = asked["number"]
        body = f'{stub(code[number], numbers).strip()}\n\n\ncheck("{number}", {checks.find(number).function})\n'
        return match[0].replace(match["body"], body)

    return CELL.sub(anew, text)


def write_exercises() -> None:
    EXERCISES.mkdir(exist_ok=True)
    for path in sorted(SOLUTIONS.glob("ch*.py")):
        (EXERCISES / path.name).write_text(exercise_file(path), encoding="utf-8")
    for path in equations.chapters(ROOT):
        text = path.read_text(encoding="utf-8")
        path.write_text(with_exercise_cells(text), encoding="utf-8")


# ---------------------------------------------------------------------------------------- text and notebook


def notebook_of(text_path: Path) -> Path:
    return text_path.with_suffix(".ipynb")


def as_text(notebook) -> str:
    """A notebook as the MyST text of its pair. What a kernel would note of this machine is left out."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    }
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in ("tags", "mystnb")}
    return jupytext.writes(notebook, "md:myst")


def run(text_path: Path) -> float:
    """Execute a chapter in a fresh kernel and write both files; returns the seconds it took."""
    from nbclient import NotebookClient

    text_path.write_text(with_exercise_cells(text_path.read_text(encoding="utf-8")), encoding="utf-8")
    notebook = jupytext.read(text_path)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    start = time.perf_counter()
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(CHAPTERS)}}
    )
    client.record_timing = False
    client.execute()
    seconds = time.perf_counter() - start
    for i, cell in enumerate(notebook.cells):
        # the same id at every run, or every run would change every cell
        cell.id = hashlib.sha256(f"{text_path.name} {i}".encode()).hexdigest()[:8]
        merge_streams(cell)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    nbformat.write(notebook, notebook_of(text_path))
    text_path.write_text(as_text(notebook), encoding="utf-8")
    return seconds


def merge_streams(cell) -> None:
    """What a cell printed, as one output: how a kernel cuts it into pieces is chance. Progress bars (stderr) are dropped."""
    if cell.cell_type != "code":
        return
    kept = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if kept and output.output_type == "stream" and kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    cell.outputs = kept


def out_of_step() -> list[str]:
    """What does not match what it is made from."""
    found = []
    for path in sorted(SOLUTIONS.glob("ch*.py")):
        made = EXERCISES / path.name
        if not made.exists() or made.read_text(encoding="utf-8") != exercise_file(path):
            found.append(f"exercises/{path.name} is not what solutions/{path.name} gives: make exercises")
    for path in equations.chapters(ROOT):
        text, notebook = path.read_text(encoding="utf-8"), notebook_of(path)
        if with_exercise_cells(text) != text:
            found.append(f"chapters/{path.name}: an exercise cell is not what solutions/ gives: make exercises")
        if not notebook.exists():
            found.append(f"chapters/{path.name} has no notebook: make chapter N={path.name[:2]}")
        elif as_text(nbformat.read(notebook, as_version=4)) != text:
            found.append(f"chapters/{path.name} and its notebook differ: make chapter N={path.name[:2]}")
    return found


def main(words: list[str]) -> int:
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    match words:
        case ["exercises"]:
            write_exercises()
        case ["check"]:
            found = out_of_step()
            print("\n".join(found) or "PASS chapters, notebooks, exercises and solutions are in step")
            return 1 if found else 0
        case ["run", *which]:
            chosen = [path for path in equations.chapters(ROOT) if not which or path.name[:2] in which]
            if not chosen:
                print(
                    f"no chapter {' '.join(which)}: there are {', '.join(p.name[:2] for p in equations.chapters(ROOT))}"
                )
                return 2
            for path in chosen:
                print(f"{path.name}: {run(path):.0f} s")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
