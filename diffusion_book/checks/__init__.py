"""The exercise checks: `check("1.3", f)` in a notebook, `diffusion-book check` at the command line, pytest for graders.

All three call one implementation, `exercise.examine`. The exercises of a chapter stand in `chNN.py`.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import lru_cache

from diffusion_book.checks.card import Card
from diffusion_book.checks.exercise import Case, Condition, Exercise, Mistake, Verdict, examine
from diffusion_book.errors import BookError

__all__ = ["Card", "Case", "Condition", "Exercise", "Mistake", "Verdict", "check", "examine", "exercises", "find"]


class Unclear(BookError):
    """A question that `check` cannot answer. A notebook shows the message alone: where check was called is no riddle."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@lru_cache(maxsize=1)
def exercises() -> dict[str, Exercise]:
    """Every exercise of the book by its number, in order."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("ch"))
    found = [e for name in modules for e in importlib.import_module(f"{__name__}.{name}").EXERCISES]
    return {exercise.number: exercise for exercise in found}


def find(number: str) -> Exercise:
    """The exercise of this number. Raises BookError with the numbers that its chapter, or the book, has."""
    book = exercises()
    if str(number) in book:
        return book[str(number)]
    chapter = str(number).partition(".")[0]
    there = [known for known in book if known.partition(".")[0] == chapter]
    where, numbers = (f"chapter {chapter}'s", there) if there else ("they", list(book))
    raise Unclear(f"there is no exercise {number}: {where} run from {numbers[0]} to {numbers[-1]}")


def check(number: str, function: Callable | None = None, seed: int | None = None) -> Card:
    """Examine a function and show what is right or wrong with it, with the exercise's hints folded under it.

    The random cases come from `seed`; left out, it is the workspace's own, and 0 outside one. Raises BookError for a
    number that there is not, and for a question without a function.
    """
    from diffusion_book import course

    if callable(number) or function is None:
        name = getattr(number, "__name__", "first_step") if callable(number) else find(number).function
        which = "1.1" if callable(number) else number
        raise Unclear(f'check wants the number, and then the function: check("{which}", {name})')

    exercise = find(number)
    verdict = examine(exercise, function, course.seed() if seed is None else seed)
    course.record(verdict)
    return Card(verdict)
