"""Random errors in the chapters themselves: `python scripts/chapter_mutants.py [CHAPTER ...] [--count 10] [--seed 0]`.

For each chapter, `count` numbers or operators that enter a formula are drawn, some from its code cells and some from its
solutions, and changed one at a time. A changed solution must be rejected by its check. A changed cell must turn the
chapter red: it, or a cell after it, raises or prints something else than what is stored. Figure sizes, colours, seeds,
counts and labels are no formulas.

The chapter runs once; before each drawn cell the process forks, and the child goes on with the error in it, so that a
mutant costs seconds. Needs a system that can fork. Exit code 1 if a mutant survives.
"""

import argparse
import ast
import contextlib
import io
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork after several threads have worked may hang

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
# arguments and calls that say how something looks or how much of it there is, not what is true
PRESENTATION = set(
    "alt alpha figsize dpi columns width height label title color linewidth lw ls s fontsize xlim ylim xlabel ylabel xy "
    "xytext rotation ha va loc ncol layout start seed dtype bins scale gutter markersize zorder height_ratios steps "
    "width_ratios n images batch generator rtol atol tolerance".split()
)
PRESENTING = set(
    "set annotate text legend grid Figure subplots subfigures set_xlim set_ylim set_xticks set_yticks tick_params savefig "
    "show frames axhline axvline manual_seed Noise title range randn rand randint arange linspace zip enumerate item "
    "sample fashion_mnist check dict round imshow hist mix Generator full ones zeros reshape unsqueeze view split "
    "replace Case isclose allclose assert_close geomspace logspace expand repeat flatten".split()
)


@dataclass(frozen=True)
class Place:
    """Where an error is planted: the source as it becomes, and what was done."""

    changed: str
    done: str


def places(source: str) -> list[Place]:
    """Every single change of a number or an operator that enters a formula."""
    tree = ast.parse(source)
    found: list[Place] = []

    def visit(node, formula: bool):
        """`formula`: inside arithmetic, where a number is part of a formula."""
        if isinstance(node, (ast.Assert, ast.Import, ast.ImportFrom, ast.Slice)):
            return
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            visit(node.func, formula)
            if name not in PRESENTING:
                for part in [*node.args, *(k.value for k in node.keywords if k.arg not in PRESENTATION)]:
                    visit(part, formula)
            return
        if isinstance(node, ast.Subscript):
            visit(node.value, formula)
            return
        if isinstance(node, ast.BinOp):
            swapped = SWAPPED.get(type(node.op))
            if swapped and not isinstance(node.left, (ast.List, ast.Tuple)):
                plant(node, "op", swapped())
            visit(node.left, True)
            visit(node.right, True)
            return
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and not isinstance(node.operand, ast.Constant)
        ):
            plant(node, "op", ast.UAdd())
        if isinstance(node, ast.Constant) and formula and type(node.value) in (int, float):
            plant(node, "value", node.value * 2 if node.value not in (0, 1) else node.value + 1)
        for child in ast.iter_child_nodes(node):
            visit(child, formula and isinstance(node, (ast.UnaryOp, ast.Tuple)))

    def plant(node, part, new):
        old, before = getattr(node, part), ast.unparse(node)
        setattr(node, part, new)
        found.append(Place(ast.unparse(tree), f"line {node.lineno}: {before}  ->  {ast.unparse(node)}"))
        setattr(node, part, old)

    for statement in tree.body:
        visit(statement, False)
    return found


# ---------------------------------------------------------------------------------------- solutions


def solution_mutants(chapter: int) -> list[tuple[str, Place]]:
    """(exercise number, place) for everything between the marks of the chapter's solutions."""
    import book

    found = []
    for path in book.SOLUTIONS.glob(f"ch{chapter:02d}_*.py"):
        head, blocks = book.split(path)
        for number, code in blocks.items():
            found += [
                (number, Place(head + place.changed, place.done)) for place in places(code) if inside(code, place)
            ]
    return found


def inside(code: str, place: Place) -> bool:
    """Whether the line lies between BEGIN SOLUTION and END SOLUTION."""
    line = int(place.done.split(":")[0].removeprefix("line "))
    before = code.splitlines()[: line - 1]
    return sum("BEGIN SOLUTION" in text for text in before) > sum("END SOLUTION" in text for text in before)


def survives_check(number: str, place: Place) -> bool:
    from diffusion_book import checks

    exercise, space = checks.find(number), {}
    exec(compile(place.changed, "solution", "exec"), space)
    return checks.examine(exercise, space[exercise.function]).passed


# ---------------------------------------------------------------------------------------- code cells


class Runner:
    """A chapter in this process: its cells one after the other, each held against what is stored."""

    def __init__(self, path: Path):
        from IPython.core.interactiveshell import InteractiveShell

        self.cells = [c for c in nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells if c.cell_type == "code"]
        self.shell = InteractiveShell.instance()
        self.shell.display_pub.publish = lambda *_, **__: None
        self.shell.displayhook.write_format_data = lambda *_, **__: None
        os.chdir(ROOT / "chapters")

    def run(self, i: int, source: str | None = None) -> str | None:
        """Run cell i, with other source if given. What went wrong, or None."""
        cell, out = self.cells[i], io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            result = self.shell.run_cell(cell.source if source is None else source, store_history=False)
        if not result.success:
            return f"raised {type(result.error_in_exec or result.error_before_exec).__name__}"
        if "nbval-check-output" in cell.metadata.get("tags", []):
            stored = "".join(o.text for o in cell.outputs if o.output_type == "stream")
            if stored and stored.strip() != out.getvalue().strip():
                return "printed something else"
        return None

    def verdict(self, i: int, source: str, limit: float) -> str | None:
        """In a child: cell i with other source, then the rest of the chapter. What turned red, or None."""
        with tempfile.TemporaryFile("w+") as told:
            child = os.fork()
            if child == 0:
                problem = None
                for j in range(i, len(self.cells)):
                    problem = self.run(j, source if j == i else None)
                    if problem:
                        problem = f"cell {j + 1} {problem}"
                        break
                told.write(problem or "")
                told.flush()
                os._exit(0)
            start = time.monotonic()
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() - start > limit:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    return f"ran longer than {limit:.0f} s"
                time.sleep(0.02)
            told.seek(0)
            return told.read() or None


def main() -> int:
    from diffusion_book import equations

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="01, 02, ...; all if left out")
    parser.add_argument("--count", type=int, default=10, help="mutants a chapter")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--abreast", type=int, default=2, help="chapters at a time")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that the rest of a chapter may take")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT / "scripts"))
    waiting = [path for path in equations.chapters(ROOT) if not args.chapters or path.name[:2] in args.chapters]
    running, survived = 0, 0
    while waiting or running:
        if waiting and running < args.abreast:
            # each chapter in a child of its own: they define the same names
            path, running = waiting.pop(0), running + 1
            if os.fork() == 0:
                os._exit(min(one_chapter(path, args), 255))
        else:
            survived, running = survived + os.waitstatus_to_exitcode(os.wait()[1]), running - 1
    print("PASS every planted error of the chapters turned something red" if not survived else f"{survived} survived")
    return 1 if survived else 0


def one_chapter(path: Path, args) -> int:
    """The number of mutants that survive in a chapter."""
    import torch

    torch.set_num_threads(1)
    chance = random.Random(f"{args.seed} {path.name}")
    in_solutions = solution_mutants(int(path.name[:2]))
    runner, survived = Runner(path), 0
    in_cells = [
        (i, place)
        for i, cell in enumerate(runner.cells)
        if "exercise" not in cell.metadata.get("tags", [])
        if "except ImportError" not in cell.source  # compares with a peer, where there is one
        for place in places(cell.source)
    ]
    from_solutions = chance.sample(in_solutions, min(args.count // 2, len(in_solutions)))
    from_cells = chance.sample(in_cells, min(args.count - len(from_solutions), len(in_cells)))
    print(f"{path.stem}: {len(in_cells)} places in cells, {len(in_solutions)} in solutions", flush=True)
    for number, place in from_solutions:
        passed = survives_check(number, place)
        survived += passed
        print(f"{'MISSED' if passed else 'caught'}  solution {number}, {place.done}", flush=True)
    for i in range(len(runner.cells)):
        for _, place in [entry for entry in from_cells if entry[0] == i]:
            red = runner.verdict(i, place.changed, args.limit)
            survived += red is None
            print(
                f"{'caught' if red else 'MISSED'}  chapter {path.name[:2]}, cell {i + 1}, {place.done}  [{red}]",
                flush=True,
            )
        problem = runner.run(i)
        if problem:
            print(f"chapter {path.name[:2]}, cell {i + 1} {problem} without any mutant: run the chapter anew first")
            print(runner.cells[i].source)
            return survived + 1
    return survived


if __name__ == "__main__":
    sys.exit(main())
