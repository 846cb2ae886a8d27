"""The numbered equations of the book: where they stand, which function computes each, which tests can falsify it.

In a chapter's text a numbered equation ends with `$$ (eq-label)`, and the comment line after it,
`% computed by package.function`, names its function. A test carries its label as `@pytest.mark.equation("eq-label")`.
"""

import ast
import importlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

EQUATION = re.compile(
    r"^\$\$[^\S\n]*\n(?P<tex>(?:(?!^\$\$).)*?)^\$\$ \((?P<label>eq-[a-z0-9-]+)\)[^\S\n]*\n"
    r"(?:\s*^% computed by (?P<function>[\w.]+)[^\S\n]*$)?",
    re.MULTILINE | re.DOTALL,
)
REFERENCE = re.compile(r"\((eq-[a-z0-9-]+)\)")


@dataclass(frozen=True)
class Equation:
    """One numbered equation: number "1.4", the name of what computes it, and its line in the chapter's text."""

    label: str
    number: str
    function: str | None
    tex: str
    line: int
    chapter: Path


@dataclass(frozen=True)
class Test:
    """A test that carries an equation's label."""

    file: Path
    name: str
    line: int


def of_chapter(path: Path) -> list[Equation]:
    """The numbered equations of a chapter's MyST text, in order: the n-th of chapter 1 is (1.n)."""
    text = Path(path).read_text(encoding="utf-8")
    chapter = int(Path(path).name.split("_")[0])
    return [
        Equation(
            match["label"],
            f"{chapter}.{i}",
            match["function"],
            match["tex"].strip(),
            text.count("\n", 0, match.start("label")) + 1,
            Path(path),
        )
        for i, match in enumerate(EQUATION.finditer(text), 1)
    ]


def chapters(root: Path) -> list[Path]:
    """The chapters' texts, in order."""
    return sorted((Path(root) / "chapters").glob("[0-9][0-9]_*.md"))


def tests(root: Path) -> dict[str, list[Test]]:
    """Label -> the tests under `root`/tests that carry it. Nothing is imported."""
    found: dict[str, list[Test]] = {}
    for file in sorted((Path(root) / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.equation":
                    for label in mark.args:
                        found.setdefault(label.value, []).append(Test(file, node.name, node.lineno))
    return found


def resolve(name: str):
    """The object of a dotted name such as diffusion_book.schedules.VP.curves. Raises LookupError if there is none."""
    head, _, rest = name.partition(".")
    found = importlib.import_module(head)
    while rest:
        part, _, rest = rest.partition(".")
        try:
            found = getattr(found, part)
        except AttributeError:
            head = f"{head}.{part}"
            try:
                found = importlib.import_module(head)
            except ImportError as error:
                raise LookupError(f"there is no {name}") from error
        else:
            head = f"{head}.{part}"
    return found


@lru_cache(maxsize=1)
def numbers(root: Path | None = None) -> dict[str, str]:
    """Label -> number for all chapters that are at hand."""
    if root is None:
        from diffusion_book.course import course_root

        root = course_root()
    return {equation.label: equation.number for path in chapters(root) for equation in of_chapter(path)}


def numbered(text: str) -> str:
    """The text with every (eq-label) replaced by its number, such as (1.4)."""
    return REFERENCE.sub(lambda match: f"({numbers().get(match[1], match[1])})", text)
