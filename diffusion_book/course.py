"""Where the book's chapters and exercises are, and a student's own folder: what is copied into it, and what it remembers.

A workspace is a folder with the file `diffusion-book.json`: the student's seed, a hash of every file as it was given out,
and the progress. Nothing here imports torch.
"""

import contextlib
import hashlib
import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import diffusion_book
from diffusion_book.errors import BookError
from diffusion_book.files import replace_file
from diffusion_book.lab import for_lab, read_references

MARKER = "diffusion-book.json"
KINDS = {"chapters": (".md", ".ipynb", ".toml"), "exercises": (".py",)}  # setup.py packs the same
REFERENCES = Path("book/references.bib")  # and this

# ---------------------------------------------------------------------------------------- the book's own copy


def course_root() -> Path:
    """The folder that holds chapters/ and exercises/: the package's own copy, or the repository.

    Raises BookError where there is neither.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "course", package.parent):
        if (root / "chapters").is_dir() and (root / "exercises").is_dir():
            return root
    raise BookError(
        "this installation of diffusion-book holds no chapters: install it again from its wheel or its repository"
    )


def course_files() -> dict[str, Path]:
    """What a student gets: "exercises/ch01_name.py" -> the book's own file."""
    root = course_root()
    found = {
        f"{kind}/{file.name}": file
        for kind, endings in KINDS.items()
        for file in sorted((root / kind).iterdir())
        if file.suffix in endings and file.is_file()
    }
    return {"README.md": Path(__file__).with_name("workspace.md")} | found


# ---------------------------------------------------------------------------------------- the workspace


def find_workspace(start: Path | None = None) -> Path | None:
    """The nearest folder with a marker file, from `start` (the current folder) upward."""
    here = (Path.cwd() if start is None else Path(start)).resolve()
    return next((folder for folder in (here, *here.parents) if (folder / MARKER).is_file()), None)


def read_state(folder: Path) -> dict:
    """What a workspace remembers. Raises BookError for a file that cannot be understood."""
    path = Path(folder) / MARKER
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        state = {"files": {}, "progress": {}, "hints": {}} | state
        counts = [state["seed"], *state["hints"].values(), *(entry["tried"] for entry in state["progress"].values())]
        if not isinstance(state["files"], dict) or not all(isinstance(count, int) for count in counts):
            raise ValueError("it holds something else than expected")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BookError(
            f"{path} cannot be read ({error}): mend it, or rename it and run `diffusion-book start {folder} --update`, "
            "which makes a new one and touches none of your work"
        ) from error
    return state


def write_state(folder: Path, state: dict) -> None:
    """Store it, whole or not at all. Raises BookError if the disk refuses."""
    replace_file(Path(folder) / MARKER, (json.dumps(state, indent=1) + "\n").encode())


def seed() -> int:
    """The workspace's own seed, 0 outside one."""
    try:
        folder = find_workspace()
        return 0 if folder is None else read_state(folder)["seed"]
    except (BookError, OSError):
        return 0


def record(verdict) -> None:
    """Note a verdict in the progress of the workspace we are in; outside one, and where it may not be written, nothing."""
    with contextlib.suppress(BookError, OSError):  # a folder that cannot be written must not keep anyone from learning
        folder = find_workspace()
        if folder is not None:
            note(folder, verdict.exercise.number, verdict.status, "notebook")


def note(folder: Path, number: str, status: str, where: str = "exercises") -> None:
    """Note the outcome of one check, and where the function stands: "notebook" or "exercises".

    A stub that is not written yet is no attempt and changes nothing: the answer may stand in the other of the two places.
    What was passed once stays passed.

    Raises BookError where the progress cannot be read or written.
    """
    if status == "unfinished":
        return
    state, now = read_state(folder), datetime.now().astimezone().isoformat(timespec="minutes")
    entry = state["progress"].get(number, {"tried": 0, "passed": None})
    entry |= {"status": status, "when": now, "where": where, "tried": entry["tried"] + 1}
    if status == "passed":
        entry["passed"] = entry.get("passed") or now
    state["progress"][number] = entry
    write_state(folder, state)


def next_hints(folder: Path, number: str, hints: int) -> range:
    """Which of an exercise's `hints` are shown now: the one after those seen before, and all again when there is no more."""
    state = read_state(folder)
    seen = state["hints"].get(number, 0)
    if seen >= hints:
        return range(hints)
    state["hints"][number] = seen + 1
    write_state(folder, state)
    return range(seen, seen + 1)


# ---------------------------------------------------------------------------------------- giving it out


@dataclass
class Changes:
    """What `update` did: names of files that are new, that were replaced by a newer version, and that the student keeps."""

    added: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def start(folder: Path, seed: int | None = None) -> Changes:
    """Make a workspace in a new or empty folder. Raises BookError for any other."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BookError(f"{folder} is a file: choose another name for your course folder")
    if folder.is_dir() and any(folder.iterdir()):
        course = (folder / MARKER).exists()
        held = "holds a course already: bring it up to date with --update, or" if course else "is not empty:"
        raise BookError(f"{folder} {held} choose another folder: diffusion-book start my-course")
    course_root()  # nothing is made if there is nothing to put into it
    return _fill(folder, _fresh(seed))


def update(folder: Path, seed: int | None = None) -> Changes:
    """Bring what is new in the book into a workspace. What the student has changed stays as it is.

    Raises BookError for a folder that is none.
    """
    folder = Path(folder)
    if (folder / MARKER).exists():
        if seed is not None:
            raise BookError(f"{folder} has its seed already: leave --seed out")
        return _fill(folder, read_state(folder))
    if not any((folder / kind).is_dir() for kind in KINDS):
        raise BookError(f"{folder} is no course folder: make one with `diffusion-book start {folder}`")
    return _fill(folder, _fresh(seed))


def _fresh(seed: int | None) -> dict:
    if seed is not None and seed < 0:
        raise BookError(f"a seed is 0 or more, but got --seed {seed}")
    seed = random.SystemRandom().randrange(1, 10**6) if seed is None else seed
    return {"seed": seed, "book": diffusion_book.__version__, "files": {}, "progress": {}, "hints": {}}


def _fill(folder: Path, state: dict) -> Changes:
    """Write every file that is missing or that the student has not touched since it was given out."""
    changes, given, files = Changes(), state["files"], course_files()
    write_state(folder, state)  # first: whatever interrupts the copying, --update can go on
    moment = time.time()
    pairs: dict[
        str, list[str]
    ] = {}  # a chapter's text and its notebook are one thing: if one was changed, both are kept
    for name in files:
        pairs.setdefault(name.rsplit(".", 1)[0] if name.startswith("chapters/") else name, []).append(name)
    for names in pairs.values():
        new = {name: given_out(name, files[name]) for name in names}
        marks = {name: fingerprint(name, data) for name, data in new.items()}
        here = {name: fingerprint(name, (folder / name).read_bytes()) for name in names if (folder / name).exists()}
        if any(mark not in (given.get(name), marks[name]) for name, mark in here.items()):
            changes.kept += [name for name in here if given.get(name) != marks[name]]
            continue
        for name in names:
            if here.get(name) != marks[name]:
                (changes.renewed if name in here else changes.added).append(name)
                replace_file(folder / name, new[name])
            # the two files of a pair equally old: jupytext believes the text, and complains if it is the older
            os.utime(folder / name, (moment, moment))
            given[name] = marks[name]
    write_state(folder, state | {"book": diffusion_book.__version__})
    return changes


def given_out(name: str, file: Path) -> bytes:
    """What a workspace holds of one of the book's files: of a chapter what JupyterLab shows right, else the file as it is."""
    if re.match(r"chapters/\d+_", name):
        return for_lab(file, read_references(course_root() / REFERENCES))
    return file.read_bytes()


def fingerprint(name: str, data: bytes) -> str:
    """A hash of what a person writes in a file: of a notebook its cells without their outputs, of a text all but its head."""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    if name.endswith(".ipynb"):
        with contextlib.suppress(
            ValueError, KeyError, TypeError
        ):  # if it is no notebook any more, it was certainly changed
            text = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in json.loads(text)["cells"]])
    elif name.startswith("chapters/") and text.startswith("---\n"):
        text = text.split("\n---\n", 1)[-1]  # where jupytext notes its own version
    return hashlib.sha256(text.encode()).hexdigest()[:16]
