"""What `diffusion-book start` and `diffusion-book check` do. What needs torch runs in a process of its own."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from diffusion_book import course
from diffusion_book.errors import BookError
from diffusion_book.examiner import Outcome, examine_files
from diffusion_book.shell import command

SIGN = {"passed": "✓", "unfinished": "○", "wrong": "✗", "broken": "✗"}

# ---------------------------------------------------------------------------------------- start


def start(args) -> None:
    """Make a course folder, or bring one up to date."""
    folder = args.folder
    try:
        changes = course.update(folder, args.seed) if args.update else course.start(folder, args.seed)
    except OSError as error:
        raise BookError(f"{folder} could not be filled ({error.strerror}: {error.filename})") from error
    if args.update:
        _say_changes(folder, changes)
    else:
        _say_next_steps(folder, changes)


def _say_changes(folder: Path, changes: course.Changes) -> None:
    for words, names in (
        ("new", changes.added),
        ("newer version", changes.renewed),
        ("yours kept, the book has another version (rename yours and update again to get it)", changes.kept),
    ):
        for name in names:
            print(f"{name}: {words}")
    if not (changes.added or changes.renewed or changes.kept):
        print(f"{folder} is up to date")


def _say_next_steps(folder: Path, changes: course.Changes) -> None:
    notebooks = [name for name in changes.added if name.endswith(".ipynb")]
    exercises = [name for name in changes.added if name.startswith("exercises/")]
    print(f"{folder}: {_count(len(notebooks), 'chapter')} and {_count(len(exercises), 'file')} of exercises")
    print("\nNow")
    print(f"  cd {shlex.quote(str(folder))}")
    if notebooks:
        if find_spec("jupyterlab") is None:
            python = shlex.quote(sys.executable)
            print(f"  {python} -m pip install jupyterlab jupytext jupyterlab-myst ipywidgets")
        print(f"  {command('jupyter')} lab --notebook-dir=. {notebooks[0]}")
    print(
        "\nand run the cells from the top with Shift+Enter. Exercises are checked in their cells, or, if you write them"
    )
    print("in exercises/, with")
    print(f"  {command('diffusion-book')} check 1.1")
    print("\nREADME.md in that folder says the rest: hints, progress, and what to do when you are lost.")


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


# ---------------------------------------------------------------------------------------- check


def check(args) -> int:
    """Check exercises and print what is wrong with them. Returns 0 (all passed), 1, or 2 (a file cannot be loaded)."""
    workspace = course.find_workspace()
    if args.limit is not None and not 0 < args.limit <= 86_400:
        raise BookError(f"a limit is a number of seconds above 0, a day at most, but got --limit {args.limit:g}")
    folder = _exercises(workspace, args.impl)
    own = workspace is not None and folder.resolve() == (workspace / "exercises").resolve()
    if args.hint:
        return _hint(args.what, workspace)
    if not own:
        print(f"Checking the exercises in {folder}")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a console that has no tick shows a question mark
    seed = args.seed if args.seed is not None else (course.read_state(workspace)["seed"] if workspace else 0)
    examination = examine_files(tuple(args.what), folder, seed, args.limit)
    plan = next(examination)
    outcomes, saved = [], own
    for outcome in examination:
        outcomes.append(outcome)
        if outcome.status == "broken":
            if outcome.text not in (before.text for before in outcomes[:-1]):  # once for the whole file
                print(f"{SIGN['broken']} {outcome.text}".replace("\n", "\n    "), flush=True)
            continue
        stub = outcome.text.startswith("not written yet")
        if not stub or len(plan.asked) == 1:  # of many that are to do, the table says it
            print(_block(outcome, plan.titles[outcome.number]), flush=True)
        if saved:
            saved = _saved(workspace, outcome)
    print("\n" + _table(plan, outcomes, course.read_state(workspace)["progress"] if own else None))
    wrong = [outcome.number for outcome in outcomes if outcome.status == "wrong"]
    if wrong:
        print(f"\nStuck? `{command('diffusion-book')} check {wrong[0]} --hint` gives a hint, one at a time.")
    if any(outcome.status == "broken" for outcome in outcomes):
        return 2
    return 0 if all(outcome.status == "passed" for outcome in outcomes) else 1


def _exercises(workspace: Path | None, impl: Path | None) -> Path:
    """The folder whose files are checked. Raises BookError where there is none."""
    if impl is not None:
        if not impl.is_dir():
            raise BookError(f"--impl wants a folder that holds files such as ch01_*.py, but {impl} is none")
        return impl
    if workspace is not None:
        if not (workspace / "exercises").is_dir():
            raise BookError(
                f"{workspace} has no folder exercises: `diffusion-book start {workspace} --update` brings it back"
            )
        return workspace / "exercises"
    here = Path.cwd()
    for parent in (here, *here.parents):
        if any((parent / "exercises").glob("ch[0-9][0-9]_*.py")):
            return parent / "exercises"
    raise BookError(
        "there are no exercises here: go into your course folder, or make one with `diffusion-book start my-course`"
    )


def _saved(workspace: Path, outcome: Outcome) -> bool:
    try:
        course.note(workspace, outcome.number, outcome.status)
    except (BookError, OSError):
        print(f"note: {workspace / course.MARKER} cannot be written, so the progress is not kept", file=sys.stderr)
        return False
    return True


def _block(outcome: Outcome, title: str) -> str:
    head = f"{SIGN[outcome.status]} Exercise {outcome.number}, {title}"
    if outcome.status == "unfinished":
        return f"{head}: {outcome.text}"
    return "\n".join([head] + [f"    {line}" for line in outcome.text.splitlines()])


def _table(plan, outcomes: list[Outcome], progress: dict | None) -> str:
    """A line for each exercise of the chapters asked for, and one for the book. progress: None outside a workspace."""
    status = {outcome.number: outcome.status for outcome in outcomes}
    shown = {number.split(".")[0] for number in status}
    rows = []
    for number, title in plan.titles.items():
        if number.split(".")[0] not in shown or (progress is None and number not in status):
            continue
        entry = (progress or {}).get(number, {})
        now = status.get(number, "unfinished")
        # not checked now, or written in the notebook and not in exercises/
        elsewhere = "status" in entry and (
            number not in status or now == "unfinished" and entry.get("where", "notebook") == "notebook"
        )
        now = entry["status"] if elsewhere else now
        word = {"passed": "passed", "unfinished": "to do", "wrong": "not yet", "broken": "not yet"}[now]
        tries = _count(entry["tried"], "try").replace("trys", "tries") if entry.get("tried") else ""
        when = entry["when"][:16].replace("T", " ") if entry.get("when") else ""
        if now != "passed" and entry.get("passed"):
            when += f", passed before on {entry['passed'][:10]}"
        if elsewhere and number in status:
            when += ", in the notebook"
        rows.append(f"{SIGN[now]} {number:<5} {title:<44.44} {word:<8} {tries:>8}  {when}".rstrip())
    passed = {number for number, outcome in status.items() if outcome == "passed"}
    if progress is None:
        return "\n".join(rows + [f"{len(passed)} of {len(status)} passed"])
    ever = {number for number, entry in progress.items() if entry.get("passed") and number in plan.titles}
    return "\n".join(rows + [f"{len(ever)} of the book's {len(plan.titles)} exercises passed"])


def _hint(what: tuple[str, ...], workspace: Path | None) -> int:
    """Print the next hint of one exercise; outside a workspace, where nothing is remembered, all of them."""
    if len(what) != 1 or "." not in what[0]:
        raise BookError("a hint belongs to one exercise: diffusion-book check 1.3 --hint")
    from diffusion_book import checks
    from diffusion_book.equations import numbered

    exercise = checks.find(what[0])
    count = len(exercise.hints)
    if not count:
        print(f"Exercise {exercise.number} has no hints. Read again: {exercise.read}")
        return 0
    shown = range(count) if workspace is None else course.next_hints(workspace, exercise.number, count)
    for i in shown:
        print(f"Hint {i + 1} of {count}: {numbered(exercise.hints[i])}")
    if shown[-1] == count - 1:
        print(f"There are no more. Read again: {numbered(exercise.read)}")
    return 0
