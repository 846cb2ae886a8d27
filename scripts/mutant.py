"""What a planted error is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One replacement in the package, and the test file that must turn red; with `equation`, a test that carries its label."""

    file: str  # in the package
    old: str
    new: str
    tests: str  # the file in tests/ that must turn red
    mistake: str
    equation: str = ""
