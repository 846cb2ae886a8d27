"""Examining a student's files in a process of its own, which may hang, crash or end itself without harm.

This process only keeps the clock: it runs no line of the student's and does not even import torch. The other one says before
each piece of work how long it may take; when it is overdue it is killed, and a new one goes on with the rest.
"""

import contextlib
import multiprocessing
import re
import sys
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from diffusion_book.errors import BookError

START, LOAD = 120.0, 30.0  # seconds for the imports of the new process, and for loading a student's file
GRACE = 5.0  # seconds beyond what `guard` gives an answer: for its cases, and for an answer that heeds the interrupt


@dataclass(frozen=True)
class Plan:
    """The titles of all exercises by number, and the numbers of those that are examined now, in order."""

    titles: dict[str, str]
    asked: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came out for one exercise. status: passed, unfinished, wrong, or broken (its file cannot be loaded)."""

    number: str
    status: str
    text: str


def examine_files(
    words: tuple[str, ...], folder: Path, seed: int = 0, limit: float | None = None
) -> Iterator[Plan | Outcome]:
    """The plan, then an outcome for each exercise. words: numbers of exercises ("1.3") and chapters ("1"); none means all.

    folder: where the files chNN_*.py are. limit: seconds for each exercise, in place of its own. Raises BookError for
    words that name no exercise, and for a folder without their files.
    """
    plan, done = None, set()
    while plan is None or len(done) < len(plan.asked):
        rest = words if plan is None else tuple(number for number in plan.asked if number not in done)
        for message in _process(rest, Path(folder), seed, limit):
            if isinstance(message, Plan):
                if plan is None:
                    plan = message
                    yield plan
            else:
                done.add(message.number)
                yield message


def _process(words, folder, seed, limit) -> Iterator[Plan | Outcome]:
    """What one process says; if it hangs or dies, the outcome of what it was about to do comes last."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, words, folder, seed, limit))
    process.start()
    theirs.close()
    busy, file, patience = (
        None,
        None,
        START,
    )  # the exercises the other one is at, the file it is loading, seconds it has
    try:
        while True:
            if not ours.poll(patience):
                fate = f"stopped after {patience:g} s: is there a loop that does not end?"
                break
            kind, content, patience = ours.recv()
            if kind == "done":
                return
            if kind == "refused":
                raise BookError(content)
            if kind == "at":
                busy, file = content
            else:
                busy = () if kind == "outcome" else busy
                yield content
    except (EOFError, ConnectionError):
        process.join()
        how = f"by signal {-process.exitcode}" if process.exitcode < 0 else f"with code {process.exitcode}"
        fate = f"the whole process ended {how}: is there an exit() in it, or does it need too much memory?"
    finally:
        process.kill()
        process.join()
        ours.close()
    if busy is None:
        raise BookError(
            f"the examination could not begin ({fate}): try again, or run `python -c 'import diffusion_book.checks'`"
        )
    for number in busy:
        yield Outcome(number, "broken", f"{file} cannot be loaded: {fate}") if file else Outcome(number, "wrong", fate)


# ---------------------------------------------------------------------------------------- in the other process


def _work(connection, words, folder, seed, limit) -> None:
    def send(kind, content, seconds):
        connection.send((kind, content, seconds))

    with contextlib.suppress(
        KeyboardInterrupt, BrokenPipeError
    ):  # Ctrl-C reaches both processes, and the other one says so
        _examine_all(send, words, folder, seed, limit)


def _examine_all(send, words, folder, seed, limit) -> None:
    from diffusion_book import checks
    from diffusion_book.checks.guard import WAIT
    from diffusion_book.equations import numbered

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    try:
        asked = chosen(words, folder)
        files = {number: file_of(folder, checks.find(number).chapter) for number in asked}
    except BookError as error:
        send("refused", str(error), 0)
        return
    book = checks.exercises()
    send("plan", Plan({number: exercise.title for number, exercise in book.items()}, tuple(asked)), START)
    sys.path.insert(0, str(folder.resolve()))  # a student's file may import another
    loaded: dict[Path, types.ModuleType | str] = {}
    for number in asked:
        path, exercise = files[number], book[number]
        if path not in loaded:
            together = tuple(other for other in asked if files[other] == path)
            send("at", (together, path.name), LOAD)
            with _headed(f"{path.name} prints:"):
                loaded[path] = _load(path)
        module = loaded[path]
        if not isinstance(module, types.ModuleType):
            send("outcome", Outcome(number, "broken", module), START)
        elif not hasattr(module, exercise.function):
            text = f"there is no function {exercise.function} in {path.name}: was it renamed?"
            send("outcome", Outcome(number, "unfinished", text), START)
        else:
            exercise = exercise if limit is None else replace(exercise, limit=limit)
            send("at", ((number,), None), WAIT * exercise.limit + GRACE)
            with _headed(f"{exercise.function} (exercise {number}) prints:"):
                verdict = checks.examine(exercise, getattr(module, exercise.function), seed)
            send("outcome", Outcome(number, verdict.status, numbered(verdict.text)), START)
    send("done", None, START)


class _Headed:
    """A stream that writes a line of its own before whatever comes first."""

    def __init__(self, stream, head: str):
        self.stream, self.head = stream, head

    def write(self, text: str) -> int:
        if self.head and text:
            self.stream.write(f"{self.head}\n")
            self.head = ""
        return self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def _headed(head: str):
    return contextlib.redirect_stdout(_Headed(sys.stdout, head))


def chosen(words: tuple[str, ...], folder: Path) -> list[str]:
    """The numbers of the exercises that `words` name, in the book's order. Raises BookError for a word that names none."""
    from diffusion_book import checks

    book = checks.exercises()
    chapters = sorted({exercise.chapter for exercise in book.values()})
    if not words:
        present = [chapter for chapter in chapters if any(folder.glob(f"ch{chapter:02d}_*.py"))]
        if not present:
            raise BookError(f"{folder} holds no exercises (files such as ch01_*.py): {_remedy(folder)}")
        words = tuple(str(chapter) for chapter in present)
    wanted = set()
    for word in words:
        word = re.sub(r"^ch(apter)?(?=\d+$)", "", word)  # ch1 is chapter 1
        if word.isdecimal() and int(word) in chapters:
            wanted |= {number for number, exercise in book.items() if exercise.chapter == int(word)}
        elif word.isdecimal():
            raise BookError(f"there are no exercises of a chapter {word}, only of {', '.join(map(str, chapters))}")
        else:
            wanted.add(checks.find(word).number)
    return [number for number in book if number in wanted]


def file_of(folder: Path, chapter: int) -> Path:
    """The file of a chapter's exercises in a folder. Raises BookError if there is none, or several."""
    from diffusion_book.course import course_files

    found = sorted(folder.glob(f"ch{chapter:02d}_*.py"))
    ours = {Path(name).name for name in course_files()}
    named = [path for path in found if path.name in ours] or found
    if not named:
        raise BookError(f"{folder} holds no exercises of chapter {chapter} (ch{chapter:02d}_*.py): {_remedy(folder)}")
    if len(named) > 1:
        raise BookError(
            f"{folder} holds several files of chapter {chapter} ({', '.join(p.name for p in named)}): keep one"
        )
    return named[0]


def _remedy(folder: Path) -> str:
    from diffusion_book.course import MARKER

    if (folder.parent / MARKER).exists():
        return f"`diffusion-book start {folder.parent} --update` brings what is missing"
    return "`diffusion-book start my-course` makes a folder that holds them"


def _load(path: Path) -> types.ModuleType | str:
    """The module that a student's file holds, or a text that says why it holds none."""
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except SyntaxError as error:
        line = f"\nin line {error.lineno}: {(error.text or '').strip()}" if error.lineno else ""
        return f"{path.name} is not Python yet: {error.msg}{line}"
    except (ValueError, OSError) as error:
        return f"{path.name} is not Python yet: {error}"
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    try:
        exec(code, module.__dict__)
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"\nin line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
        return f"{path.name} cannot be loaded: {type(error).__name__}: {error}{where}"
    return module
