"""What an exercise is, and how a function that claims to solve it is examined.

The function is called on cases drawn at random; its values are held against the truth, and where they are wrong,
against those of known wrong formulas. Source code is never looked at, so every equivalent solution passes.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from diffusion_book.checks.guard import Interrupted, Stopwatch, call
from diffusion_book.errors import BookError

RTOL = 1e-6


@dataclass(frozen=True)
class Case:
    """One call. `make()` gives the arguments, anew and equal each time; `given` says in words what they are ("at k = 500")."""

    make: Callable[[], tuple]
    given: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong formula that people really write. Whoever's values equal `formula`'s on every case is told `message`."""

    name: str
    formula: Callable
    message: str


@dataclass(frozen=True)
class Condition:
    """Something that an answer must fulfil besides its values, or where no values are the only right ones.

    `holds(arguments, answer)`; `message(arguments, answer)` says what was measured and what was wanted. Without a name it
    is no diagnosis.
    """

    holds: Callable[[tuple, object], bool]
    message: Callable[[tuple, object], str]
    name: str | None = None


@dataclass(frozen=True)
class Exercise:
    """number: "1.3"; function: the name of what is to be written; read: where in the book to read again.

    cases(generator) yields the `Case`s; truth(*arguments) is the right answer, from the oracle or an independent derivation.
    `conditions` must hold besides, once the values are right, or decide alone where truth is None. In texts, "(eq-label)"
    stands for the equation's number. rtol is relative to the largest entry of the right answer. limit: seconds of
    work for all cases together.
    show(arguments, answer, truth), if given, puts a wrong value into words.
    """

    number: str
    title: str
    function: str
    cases: Callable[[torch.Generator], Iterable[Case]]
    truth: Callable | None
    read: str
    mistakes: Sequence[Mistake] = ()
    conditions: Sequence[Condition] = ()
    hints: Sequence[str] = ()
    rtol: float = RTOL
    limit: float = 10.0
    show: Callable[[tuple, object, object], str] | None = None
    reached: Callable[[tuple, object], str] | None = None

    @property
    def chapter(self) -> int:
        return int(self.number.split(".")[0])


@dataclass(frozen=True)
class Verdict:
    """The outcome of an examination. status: passed, unfinished, or wrong; mistake: its name, where one was recognised."""

    exercise: Exercise = field(repr=False)
    status: str
    text: str
    mistake: str | None = None

    @property
    def passed(self) -> bool:
        return self.status == "passed"


def examine(exercise: Exercise, function: Callable, seed: int = 0) -> Verdict:
    """Call `function` on the exercise's cases and say what is wrong with it, if anything is.

    Where it stops with an error, the cases before that are judged first.
    """

    def verdict(status, text, mistake=None):
        return Verdict(exercise, status, text, mistake)

    if not callable(function):
        return verdict(
            "wrong",
            f"check wants the function itself, not what it returned: check({exercise.number!r}, {exercise.function})",
        )
    cases = list(exercise.cases(torch.Generator().manual_seed(seed)))
    answers, stopped, watch = [], None, Stopwatch(exercise.limit)
    try:
        for case in cases:
            answers.append(_answer(exercise, case, function, watch))
    except Interrupted as reason:
        # wrong values before it say more: whoever indexes one too far is told so, and not only where the index ran out
        cases, stopped = cases[: len(answers)], reason
    truths = [None if exercise.truth is None else exercise.truth(*case.make()) for case in cases]
    problems = [_problem(exercise, *three) for three in zip(cases, answers, truths, strict=True)]
    if not any(problems):
        if stopped:
            return verdict("unfinished" if stopped.unfinished else "wrong", str(stopped))
        if exercise.reached:
            return verdict("passed", f"PASS {exercise.number}: {exercise.reached(cases[-1].make(), answers[-1])}")
        return verdict(
            "passed", f"PASS {exercise.number}: right on {len(cases)} random case{'s' if len(cases) > 1 else ''}"
        )
    first = next(i for i, problem in enumerate(problems) if problem)
    name, numbers = problems[first]
    recognised = name and next((c for c in exercise.conditions if c.name == name), None)
    if recognised:
        return verdict("wrong", f"{numbers}\nRead again: {exercise.read}", name)
    for mistake in exercise.mistakes:
        if _equals_on_all(exercise, mistake.formula, cases, answers):
            return verdict("wrong", f"{numbers}\n{mistake.message}\nRead again: {exercise.read}", mistake.name)
    return verdict("wrong", f"{numbers}\nRead again: {exercise.read}")


def _answer(exercise: Exercise, case: Case, function: Callable, watch: Stopwatch):
    """The function's answer while seconds are left. Raises `Interrupted` for everything that stops an answer from being one."""
    arguments = case.make()
    answer = call(function, arguments, watch, f"{exercise.function}{_signature(exercise)}")
    for position, (now, before) in enumerate(zip(arguments, case.make(), strict=True)):
        if isinstance(now, torch.Tensor) and not torch.equal(now.nan_to_num(), before.nan_to_num()):
            x = _parameter(function, position)
            raise Interrupted(
                f"your function changed its argument {x} in place, which the caller still needs: write `{x} = {x} - 1` "
                f"instead of `{x} -= 1`, and `{x}.clamp(...)` instead of `{x}.clamp_(...)`. What reshape, view and slices "
                f"give shares the memory of {x}"
            )
    if answer is None:
        raise Interrupted("your function returned nothing: is there a `return` at its end?")
    return answer


def _parameter(function: Callable, position: int) -> str:
    """What the function calls its argument at this position."""
    try:
        parameter = list(inspect.signature(function).parameters.values())[position]
        return "x" if parameter.kind is parameter.VAR_POSITIONAL else parameter.name
    except (ValueError, TypeError, IndexError):
        return "x"


def _signature(exercise: Exercise) -> str:
    return str(inspect.signature(exercise.truth)) if exercise.truth is not None else "(...)"


def parts(answer) -> list[torch.Tensor]:
    """An answer as tensors: a tensor, a number, or a tuple or list of them. Raises BookError for anything else."""
    if isinstance(answer, torch.Tensor):
        return [answer.detach()]
    if isinstance(answer, (tuple, list)):
        return [part for item in answer for part in parts(item)]
    try:
        return [torch.as_tensor(answer, dtype=torch.complex128 if isinstance(answer, complex) else torch.float64)]
    except (TypeError, ValueError, RuntimeError) as error:
        raise BookError(
            f"a tensor or a number was expected, but your function returned {type(answer).__name__}"
        ) from error


def close(answer: torch.Tensor, truth: torch.Tensor, rtol: float) -> bool:
    """|answer - truth| <= rtol * largest |truth| everywhere; infinities must agree, NaN is never close unless wanted."""
    answer, truth = answer.double(), truth.double()
    finite = truth[truth.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0.0
    return torch.allclose(answer, truth, rtol=0, atol=rtol * (scale or 1.0), equal_nan=True)


def _problem(exercise: Exercise, case: Case, answer, truth) -> tuple[str | None, str] | None:
    """None if the answer is right, otherwise (the name of the failed condition if it has one, what is wrong in numbers)."""
    given = f"{case.given}: " if case.given else ""
    problem = None if truth is None else _off(exercise, case, answer, truth)
    if problem:
        return None, given + problem
    for condition in exercise.conditions:
        arguments = case.make()
        if not condition.holds(arguments, answer):
            return condition.name, given + condition.message(arguments, answer)
    return None


def _off(exercise: Exercise, case: Case, answer, truth) -> str | None:
    """None if the answer is the truth, otherwise what is wrong in numbers."""
    wanted = parts(truth)
    try:
        got = parts(answer)
    except BookError:
        return f"{_expected(wanted)}, but your function returned {_a(type(answer).__name__)}"
    if len(got) != len(wanted):
        return _miscounted(answer, got, wanted)
    for position, (ours, right) in enumerate(zip(got, wanted, strict=True)):
        which = f"value {position + 1} of {len(wanted)}: " if len(wanted) > 1 else ""
        problem = _compare(ours, right, exercise.rtol, case.make())
        if problem:
            real = ours.shape == right.shape and not ours.is_complex() and bool(ours.isfinite().all())
            return exercise.show(case.make(), answer, truth) if exercise.show and real else which + problem
    return None


def _expected(wanted: list[torch.Tensor]) -> str:
    if len(wanted) > 1:
        count = "a pair was" if len(wanted) == 2 else f"{len(wanted)} values were"
        return f"{count} expected, `return {', '.join('abcdefgh'[: len(wanted)])}`"
    shape = tuple(wanted[0].shape)
    return f"a tensor of shape {shape} was expected" if shape else "a number was expected"


def _a(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def _miscounted(answer, got: list[torch.Tensor], wanted: list[torch.Tensor]) -> str:
    """What is said of an answer of more or fewer parts than the truth."""
    expected = _expected(wanted)
    if not isinstance(answer, (tuple, list)):
        returned = f"one {type(answer).__name__.lower()}" + (f" of shape {tuple(got[0].shape)}" if got[0].ndim else "")
        return f"{expected}, but your function returned {returned}"
    numbers = not any(isinstance(item, (torch.Tensor, tuple, list)) for item in answer)
    returned = f"a {type(answer).__name__} of {len(answer)} {'numbers' if numbers else 'values'}"
    remedy = ""
    if len(wanted) == 1 and wanted[0].ndim and wanted[0].numel() == sum(part.numel() for part in got):
        tensors = all(isinstance(item, torch.Tensor) for item in answer)
        remedy = (
            ": " + ("torch.stack(...)" if tensors else f"torch.tensor(..., dtype={wanted[0].dtype})") + " makes it one"
        )
    elif len(wanted) == 1 and all(part.shape == wanted[0].shape for part in got):
        remedy = ": is there a comma where a + or a * belongs?"
    return f"{expected}, but your function returned {returned}{remedy}"


def _compare(ours: torch.Tensor, right: torch.Tensor, rtol: float, arguments: tuple) -> str | None:
    if ours.device.type != right.device.type:
        return (
            f"the answer is on the device {ours.device}, the inputs are on {right.device}: keep new tensors on x.device"
        )
    if right.ndim == 0 and ours.ndim and ours.numel() == 1:
        return f"a number was expected, and this is a tensor of shape {tuple(ours.shape)} that holds one: x.item()"
    if ours.shape != right.shape:
        return f"the shape is {tuple(ours.shape)}, expected {tuple(right.shape)}"
    if ours.is_complex() and not right.is_complex():
        return "the answer is complex: a root or a power of a negative number was taken"
    if ours.is_floating_point() != right.is_floating_point() and right.is_floating_point():
        return f"the answer holds {ours.dtype}, expected {right.dtype}"
    if ours.dtype != right.dtype and right.ndim > 0:
        why = "a tensor made without dtype= is float32, " if ours.dtype == torch.float32 else ""
        given = any(isinstance(argument, torch.Tensor) and argument.dtype == right.dtype for argument in arguments)
        remedy = "use the dtype of the inputs" if given else f"write dtype={right.dtype}"
        return f"the dtype is {ours.dtype}, expected {right.dtype}: {why}{remedy}"
    if close(ours, right, rtol):
        return None
    bad = (ours.double() - right.double()).abs().nan_to_num(math.inf)
    where = int(bad.argmax())
    index = _unravel(where, right.shape)
    place = f" at index {index}" if right.ndim else ""
    mine, theirs = ours.reshape(-1)[where].item(), right.reshape(-1)[where].item()
    if not math.isfinite(mine):
        return f"yours is {mine}{place}, expected {theirs:.6g}"
    share = (bad > rtol * (right.double().abs().max().item() or 1.0)).double().mean().item()
    many = f" ({share:.0%} of the entries are off)" if right.numel() > 1 else ""
    off = abs(mine - theirs) / (right.double().abs().max().item() or 1.0)
    little = ". So little can be rounding: torch.tensor(0.1), for example, is float32" if off < 1e-3 else ""
    if f"{mine:.6g}" == f"{theirs:.6g}":
        return f"yours is off by {abs(mine / theirs - 1):.1g} of the expected {theirs:.6g}{place}{many}{little}"
    return f"yours is {mine:.6g}{place}, expected {theirs:.6g}{many}{little}"


def _unravel(position: int, shape) -> int | tuple[int, ...]:
    index = []
    for size in reversed(shape):
        index.append(position % size)
        position //= size
    return index[0] if len(index) == 1 else tuple(reversed(index))


def _equals_on_all(exercise: Exercise, formula: Callable, cases, answers) -> bool:
    """Whether a wrong formula gives the very values of the answers on every case."""
    for case, answer in zip(cases, answers, strict=True):
        try:
            got, wanted = parts(answer), parts(formula(*case.make()))
        except (BookError, RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError):
            return False
        if len(got) != len(wanted):
            return False
        for ours, theirs in zip(got, wanted, strict=True):
            alike = ours.shape == theirs.shape and ours.device == theirs.device
            if not alike or ours.is_complex() or theirs.is_complex() or not close(ours, theirs, exercise.rtol):
                return False
    return True
