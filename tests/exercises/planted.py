"""A planted wrong answer: a function as somebody might have written it, and the mistake that its check must name."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """mistake: the name of the `Mistake` or `Condition` that must be recognised; None where the check must not guess."""

    number: str
    function: Callable
    mistake: str | None
