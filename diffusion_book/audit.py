"""What each chapter holds and what it lacks: `diffusion-book audit`. It reads the repository and changes nothing."""

import importlib.util
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from diffusion_book import checks, equations
from diffusion_book.course import course_root
from diffusion_book.errors import BookError

EXERCISES, PLANTED, SECONDS = 5, 3, 120.0  # at least, at least of each exercise, at most

FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})\{code-cell\}.*?^(?P=fence)[^\S\n]*$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
BIB_KEY = re.compile(r"^@\w+\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
REFERRED = re.compile(r"\{(eq|prf:ref|numref|ref)\}`(?:[^`<]*<)?([^`<>]+)>?`")
LABEL = re.compile(r"^(?::(?:label|name):[^\S\n]*(\S+)|\(([\w-]+)\)=|\$\$ \(([\w-]+)\))[^\S\n]*$", re.MULTILINE)
FILE_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")


@dataclass
class Report:
    """One chapter in numbers, and what is wrong with it, a line each. seconds: None if it was not run."""

    number: int
    words: int = 0
    equations: int = 0
    tested: int = 0
    exercises: int = 0
    planted: int = 0
    named: int = 0
    figures: int = 0
    interactive: int = 0
    compared: int = 0
    references: int = 0
    seconds: float | None = None
    findings: list[str] = field(default_factory=list)


def audit(args) -> int:
    """Print the table and the findings. Returns the exit code: 0 if there are no findings, otherwise 1."""
    root = repository()
    paths = equations.chapters(root)
    chosen = [path for path in paths if not args.chapters or number_of(path) in args.chapters]
    unknown = sorted(set(args.chapters) - {number_of(path) for path in paths})
    if unknown or not chosen:
        listed = ", ".join(str(number_of(path)) for path in paths) or "none"
        raise BookError(f"there is no chapter {', '.join(map(str, unknown)) or 'yet'}: there are {listed}")
    reports = [report(root, path, run=not args.quick) for path in chosen]
    print(table(reports))
    steps = [] if args.chapters else out_of_step(root)
    findings = [f"chapter {one.number}: {finding}" for one in reports for finding in one.findings] + steps
    print("\n" + ("\n".join(findings) or "PASS: nothing is missing"))
    return 1 if findings else 0


def repository() -> Path:
    """The root of the repository. Raises BookError in an installation that is none."""
    root = course_root()
    if not (root / "scripts" / "book.py").is_file() or not (root / "tests").is_dir():
        raise BookError("an audit needs the repository: clone it and install it with `pip install -e .`")
    return root


def report(root: Path, path: Path, run: bool = True) -> Report:
    """All that can be counted of a chapter and measured on it."""
    text = path.read_text(encoding="utf-8")
    one = Report(number_of(path))
    prose = FENCE.sub("", HEAD.sub("", text))
    one.words = words(prose)
    _equations(one, root, path)
    _references(one, root, prose, path)
    exercises = [exercise for exercise in checks.exercises().values() if exercise.chapter == one.number]
    _exercises(one, exercises, planted(root, one.number))
    notebook = path.with_suffix(".ipynb")
    if notebook.exists():
        _notebook(one, nbformat.read(notebook, as_version=4), path.parent if run else None)
    else:
        one.findings.append(f"there is no notebook: make chapter N={path.name[:2]}")
    return one


def number_of(path: Path) -> int:
    return int(path.name.split("_")[0])


def words(prose: str) -> int:
    """Words that are read: without comments, display equations, and the lines that open or set up a directive."""
    prose = re.sub(r"^\$\$.*?\$\$[^\n]*$", "", prose, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\{[\w:]+\}`[^`]*`", "reference", prose)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)  # a link's words, not its address
    lines = [line for line in prose.splitlines() if not re.match(r"\s*(%|```|~~~|:[\w-]+:|\(\S+\)=)", line)]
    return len(re.findall(r"\$[^$\n]+\$|[^\W\d_][\w'’-]*", "\n".join(lines)))


def _equations(one: Report, root: Path, path: Path) -> None:
    tests = equations.tests(root)
    for equation in equations.of_chapter(path):
        one.equations += 1
        one.tested += equation.label in tests
        where = f"equation ({equation.number}) {equation.label}, line {equation.line}"
        if equation.label not in tests:
            one.findings.append(f"{where}: no test carries its label")
        if equation.function is None:
            one.findings.append(f"{where}: no `% computed by` after it")
        else:
            try:
                equations.resolve(equation.function)
            except LookupError as error:
                one.findings.append(f"{where}: {error}")


def _references(one: Report, root: Path, prose: str, path: Path) -> None:
    bib = root / "book" / "references.bib"
    keys = set(BIB_KEY.findall(bib.read_text(encoding="utf-8"))) if bib.exists() else set()
    pages = [*equations.chapters(root), *(root / "book").glob("*.md")]
    labels = {
        label for page in pages for found in LABEL.findall(page.read_text(encoding="utf-8")) for label in found if label
    }
    for key in [key.strip() for keys_cited in CITED.findall(prose) for key in keys_cited.split(",")]:
        one.references += 1
        if key not in keys:
            one.findings.append(f"{key} is cited and not in book/references.bib")
    for role, label in REFERRED.findall(prose):
        one.references += 1
        if label.strip() not in labels:
            one.findings.append(f"{{{role}}}`{label}` leads nowhere")
    for target in FILE_LINK.findall(prose):
        one.references += 1
        if target not in labels and not (path.parent / target).exists():  # in MyST a link may lead to a label, too
            one.findings.append(f"the link to {target} leads nowhere")


def planted(root: Path, chapter: int) -> list:
    """The planted wrong answers of a chapter."""
    file = root / "tests" / "exercises" / f"planted_ch{chapter:02d}.py"
    if not file.exists():
        return []
    sys.path.insert(0, str(file.parent))  # it imports `planted` from beside it
    try:
        return load(file).PLANTED
    finally:
        sys.path.remove(str(file.parent))


def load(file: Path):
    """The module in a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(f"audited_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _exercises(one: Report, exercises: list, wrong: list) -> None:
    one.exercises = len(exercises)
    if len(exercises) < EXERCISES:
        one.findings.append(f"{len(exercises)} exercises, at least {EXERCISES} are wanted")
    for exercise in exercises:
        recognised = set()
        for answer in (answer for answer in wrong if answer.number == exercise.number and answer.mistake):
            one.planted += 1
            verdict = checks.examine(exercise, answer.function)
            if verdict.passed:
                one.findings.append(f"exercise {exercise.number}: {answer.function.__name__} is wrong, and passes")
            elif verdict.mistake != answer.mistake:
                said = f"is called {verdict.mistake!r}" if verdict.mistake else "is not recognised"
                one.findings.append(f"exercise {exercise.number}: the mistake {answer.mistake!r} {said}")
            else:
                one.named += 1
                recognised.add(answer.mistake)
        if len(recognised) < PLANTED:
            few = f"{len(recognised)} different mistakes are planted, rejected and named, at least {PLANTED} are wanted"
            one.findings.append(f"exercise {exercise.number}: {few}")


def _notebook(one: Report, notebook, folder: Path | None) -> None:
    """Count what the notebook shows, and run it in `folder` if one is given."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [getattr(output, "data", {}) for cell in cells for output in cell.outputs]
    one.figures = sum("image/png" in data for data in outputs)
    one.interactive = sum('class="book-frames"' in "".join(data.get("text/html", "")) for data in outputs)
    one.compared = sum("nbval-check-output" in cell.metadata.get("tags", []) for cell in cells)
    if not one.interactive:
        one.findings.append("no interactive figure")
    if folder is None:
        return
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    start = time.perf_counter()
    try:
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    except CellExecutionError as error:
        one.findings.append(f"a cell fails: {error.ename}: {error.evalue}".splitlines()[0])
    except (TimeoutError, RuntimeError) as error:
        one.findings.append(f"it does not run to its end: {error}".splitlines()[0])
    one.seconds = time.perf_counter() - start
    if one.seconds > SECONDS:
        one.findings.append(f"it ran {one.seconds:.0f} s, at most {SECONDS:.0f} s are wanted")


def out_of_step(root: Path) -> list[str]:
    """Texts, notebooks, exercises and solutions that do not match each other."""
    return load(root / "scripts" / "book.py").out_of_step()


def table(reports: list[Report]) -> str:
    """One line a chapter."""
    head = "chapter   words  equations  exercises  planted  figures  moving  compared  references  seconds  findings"
    head += "\n                    tested                named"
    rows = [
        f"{one.number:>7}{one.words:>8,}{f'{one.tested}/{one.equations}':>11}{one.exercises:>11}"
        f"{f'{one.named}/{one.planted}':>9}{one.figures:>9}{one.interactive:>8}{one.compared:>10}{one.references:>12}"
        f"{'not run' if one.seconds is None else f'{one.seconds:.0f}':>9}{len(one.findings):>10}"
        for one in reports
    ]
    return "\n".join([head, *rows])
