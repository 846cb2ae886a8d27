"""Beside each numbered equation, the function that computes it and the tests that can falsify it.

At the start of a build, book/proofs/ is written: one page a chapter with the source of both. Where the tests of an
equation have planted errors to catch, those are shown too. With `repository` set in conf.py the marks lead to the
repository's lines instead.
"""

import ast
import inspect
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

from diffusion_book import equations

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a piece of code stands: file, first and last line."""

    file: Path
    first: int
    last: int

    def inside(self, root: Path) -> str:
        return self.file.relative_to(root).as_posix()


@dataclass(frozen=True)
class Proof:
    """An equation with the code that computes it and the tests that watch it."""

    equation: equations.Equation
    code: Source | None
    tests: list[tuple[str, Source]]
    planted: list[dict]

    @property
    def page(self) -> str:
        return f"book/proofs/{self.equation.chapter.stem}"

    @property
    def anchor(self) -> str:
        return f"proof-{self.equation.label}"


def source_of(name: str) -> Source:
    """Where the object of a dotted name is written. Raises LookupError if there is none."""
    found = equations.resolve(name)
    found = getattr(found, "fget", None) or getattr(found, "func", None) or found
    found = inspect.unwrap(found) if callable(found) else found
    try:
        lines, first = inspect.getsourcelines(found)
        return Source(Path(inspect.getsourcefile(found)).resolve(), first, first + len(lines) - 1)
    except TypeError:
        return _assigned(name)


def _assigned(name: str) -> Source:
    """Where a module's constant (a `Prediction`, say) is written."""
    module, _, constant = name.rpartition(".")
    module = sys.modules.get(module)
    if module is not None and getattr(module, "__file__", None):
        file = Path(module.__file__).resolve()
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [n.id for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)]
            if constant in names:
                return Source(file, node.lineno, node.end_lineno)
    raise LookupError(f"there is no source of {name}")


def _test_source(test: equations.Test) -> Source:
    for node in ast.walk(ast.parse(test.file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (node.name, node.lineno) == (test.name, test.line):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            return Source(test.file.resolve(), first, node.end_lineno)
    raise LookupError(f"there is no {test.name} in line {test.line} of {test.file}")


def planted(root: Path) -> dict[str, list[dict]]:
    """Label -> the planted errors bound to it, as scripts/mutants_chNN.py writes them. Nothing is imported."""
    names = ("file", "old", "new", "tests", "mistake", "equation")
    found: dict[str, list[dict]] = {}
    for file in sorted((root / "scripts").glob("mutants_ch*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "Mutant"):
                continue
            given = dict(zip(names, call.args, strict=False)) | {word.arg: word.value for word in call.keywords}
            try:
                mutant = {name: ast.literal_eval(value) for name, value in given.items()}
            except ValueError:
                continue  # built by an expression: it is run all the same, only not shown
            if mutant.get("equation"):
                found.setdefault(mutant["equation"], []).append(mutant)
    return found


def executed(root: Path) -> list[Path]:
    """The texts of the chapters that have a notebook: those that the site shows."""
    return [path for path in equations.chapters(root) if path.with_suffix(".ipynb").exists()]


def collect(root: Path) -> dict[str, Proof]:
    """Label -> proof, for every numbered equation of the chapters under `root`."""
    tests, mutants, found = equations.tests(root), planted(root), {}
    for chapter in executed(root):
        for equation in equations.of_chapter(chapter):
            try:
                code = source_of(equation.function) if equation.function else None
            except LookupError as error:
                logger.warning("equation %s: %s", equation.label, error, location=f"{chapter}:{equation.line}")
                code = None
            watching = [(test.name, _test_source(test)) for test in tests.get(equation.label, [])]
            found[equation.label] = Proof(equation, code, watching, mutants.get(equation.label, []))
    return found


# ------------------------------------------------------------------------------------------------ the pages


def page(chapter: Path, proofs: list[Proof], root: Path) -> str:
    """The page of a chapter's proofs, as MyST text."""
    number = int(chapter.name.split("_")[0])
    text = (
        f"# Checks of chapter {number}\n\n"
        f"Every numbered equation of [chapter {number}](/chapters/{chapter.stem}.ipynb), the function of the package that "
        "computes it, and the tests that would turn red if it were wrong. The tests run with `make test`; one "
        "equation's alone with\n\n```sh\n.venv/bin/python -m pytest --equation eq-label\n```\n\n"
    )
    return text + "\n".join(_entry(proof, root) for proof in proofs)


def _entry(proof: Proof, root: Path) -> str:
    equation = proof.equation
    parts = [
        f"({proof.anchor})=\n## Equation ({equation.number})\n\n$$\n{equation.tex}\n$$\n",
        f"It stands in the chapter as {{eq}}`{equation.label}` (`{equation.label}`).\n",
    ]
    if proof.code:
        parts.append(f"**Computed by** `{equation.function}`\n\n{_show(proof.code, root)}")
    else:
        parts.append("**Computed by** no function of the package.\n")
    parts.append(f"({proof.anchor}-tests)=\n**Tested by** {_count(len(proof.tests), 'test')}\n")
    parts += [_show(source, root) for _, source in proof.tests]
    if proof.planted:
        mistakes = "\n".join(f"- {_planted(mutant)}" for mutant in proof.planted)
        parts.append(f"**Planted errors** that turn such a test red (`make mutants`):\n\n{mistakes}\n")
    return "\n".join(parts)


def _planted(mutant: dict) -> str:
    old, new = (" ".join(mutant[name].split()) for name in ("old", "new"))
    return f"{mutant['mistake']}: `` {old} `` becomes `` {new} ``"


def _count(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"


def _show(source: Source, root: Path) -> str:
    file = source.inside(root)
    lines = source.file.read_text(encoding="utf-8").splitlines()[source.first - 1 : source.last]
    code = "\n".join(lines)
    fence = "`" * 8  # more than any docstring has
    return (
        f"{fence}{{code-block}} python\n:lineno-start: {source.first}\n:caption: {file}, line {source.first}\n"
        f":class: proof-source\n:dedent:\n\n{code}\n{fence}\n"
    )


def write_pages(app) -> None:
    """Write book/proofs/, and remove pages whose chapter is gone."""
    root = Path(app.srcdir)
    app.proofs = collect(root)
    folder = root / "book" / "proofs"
    folder.mkdir(exist_ok=True)
    pages = {}
    for chapter in executed(root):
        mine = [proof for proof in app.proofs.values() if proof.equation.chapter == chapter]
        pages[folder / f"{chapter.stem}.md"] = page(chapter, mine, root)
    for old in set(folder.glob("*.md")) - set(pages):
        old.unlink()
    for file, text in pages.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:  # an unchanged page is not read again
            file.write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------------------ the marks


def mark(app, proof: Proof, docname: str) -> str:
    """The mark beside an equation, as HTML."""
    number = proof.equation.number
    function = (proof.equation.function or "").removeprefix("diffusion_book.")
    code = _address(app, proof, proof.code, docname, "")
    tests = _address(app, proof, proof.tests[0][1] if proof.tests else None, docname, "-tests")
    parts = []
    if proof.code:
        parts.append(
            f'<a href="{code}" aria-label="{escape(function)}, which computes equation {number}">{escape(function)}</a>'
        )
    if proof.tests:
        count = _count(len(proof.tests), "test")
        parts.append(f'<a href="{tests}" aria-label="✓ {count} of equation {number}">✓ {count}</a>')
    else:
        parts.append("<span>no test yet</span>")
    return f'<div class="equation-mark">{" · ".join(parts)}</div>'


def _address(app, proof: Proof, source: Source | None, docname: str, suffix: str) -> str:
    repository = app.config.repository.rstrip("/")
    if repository and source:
        file = source.inside(Path(app.srcdir))
        return escape(f"{repository}/blob/{app.config.branch}/{file}#L{source.first}-L{source.last}", quote=True)
    here, there = (app.builder.get_target_uri(name) for name in (docname, proof.page))
    return f"{relative_uri(here, there)}#{proof.anchor}{suffix}"


def add_marks(app, doctree, docname) -> None:
    """Put the marks after the equations of a chapter."""
    if app.builder.format != "html":
        return
    for block in list(doctree.findall(nodes.math_block)):
        proof = app.proofs.get(block.get("label"))
        if proof and docname == f"chapters/{proof.equation.chapter.stem}":
            block.parent.insert(block.parent.index(block) + 1, nodes.raw("", mark(app, proof, docname), format="html"))


def changed(app, env, added, changed, removed) -> list[str]:
    """Chapters whose marks differ from those of the last build are written anew."""
    now = {label: mark(app, proof, f"chapters/{proof.equation.chapter.stem}") for label, proof in app.proofs.items()}
    before, env.equation_marks = getattr(env, "equation_marks", {}), now
    moved = {app.proofs[label].equation.chapter.stem for label in now if now[label] != before.get(label)}
    return [f"chapters/{stem}" for stem in moved if f"chapters/{stem}" in env.found_docs]


def setup(app):
    app.add_config_value("repository", "", "html")
    app.add_config_value("branch", "main", "html")
    app.connect("builder-inited", write_pages)
    app.connect("env-get-outdated", changed)
    app.connect("doctree-resolved", add_marks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
