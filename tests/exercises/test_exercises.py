"""The exercise checks, checked: solutions pass, wrong answers are named, unknown ones get numbers only, stubs fail cleanly.

A teacher uses the same file: `pytest tests/exercises --impl exercises` examines the functions in that folder.
"""

import importlib.util
import inspect
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from diffusion_book import checks, forward
from diffusion_book.checks import Condition, Exercise, Mistake, examine, guard
from diffusion_book.checks.card import foldouts, marked
from diffusion_book.checks.draws import case
from diffusion_book.schedules import Discrete

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
SEEDS = (0, 1, 7)


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions(folder: Path) -> dict[str, object]:
    """Exercise number -> the function of that name in the folder's files."""
    found = {}
    for path in sorted(folder.glob("ch*.py")):
        module = load(path)
        found |= {
            number: getattr(module, exercise.function)
            for number, exercise in checks.exercises().items()
            if exercise.chapter == int(path.name[2:4])
        }
    return found


BOOK = checks.exercises()
SOLUTIONS, STUBS = functions(ROOT / "solutions"), functions(ROOT / "exercises")
MODULES = [load(path) for path in sorted(Path(__file__).parent.glob("planted_ch*.py"))]
PLANTED = [planted for module in MODULES for planted in module.PLANTED]
RIGHT = [(number, f) for module in MODULES for number, written in module.RIGHT.items() for f in written]
named = pytest.mark.parametrize(
    "planted", [p for p in PLANTED if p.mistake], ids=lambda p: f"{p.number}-{p.mistake}-{p.function.__name__}"
)
every = pytest.mark.parametrize("number", BOOK)
seeds = pytest.mark.parametrize("seed", SEEDS)


@every
def test_implementation_passes(number, request):
    """`--impl FOLDER` chooses whose functions; the solutions if it is left out."""
    folder = request.config.getoption("--impl")
    chosen = SOLUTIONS if folder == "solutions" else functions(ROOT / folder)
    for seed in SEEDS:
        verdict = examine(BOOK[number], chosen[number], seed)
        assert verdict.passed, verdict.text


@every
def test_the_stub_fails_cleanly(number):
    verdict = examine(BOOK[number], STUBS[number])
    assert verdict.status in ("unfinished", "wrong")
    assert "not written yet" in verdict.text or verdict.mistake, verdict.text


@named
@seeds
def test_a_planted_wrong_answer_is_rejected_and_named(planted, seed):
    verdict = examine(BOOK[planted.number], planted.function, seed)
    assert verdict.status == "wrong"
    assert verdict.mistake == planted.mistake, verdict.text


@pytest.mark.parametrize(
    "planted", [p for p in PLANTED if not p.mistake], ids=lambda p: f"{p.number}-{p.function.__name__}"
)
def test_an_unknown_wrong_answer_gets_numbers_and_no_name(planted):
    verdict = examine(BOOK[planted.number], planted.function)
    assert verdict.status == "wrong"
    assert verdict.mistake is None, verdict.text
    assert re.search(r"\d", verdict.text), verdict.text
    assert not any(mistake.message in verdict.text for mistake in BOOK[planted.number].mistakes)


def test_wrong_values_say_more_than_the_error_after_them():
    """The code of exercise 1.3 as it was found stops at k = K; what is wrong with it shows before."""

    def stops(x, betas, k, eps):
        return forward.noised(Discrete(betas), k / len(betas), x, eps) + 0 * betas[k].sum()

    def stops_and_errs(x, betas, k, eps):
        return (1 - betas[k]).sqrt().reshape(-1, 1, 1, 1) * x + betas[k].sqrt().reshape(-1, 1, 1, 1) * eps

    error, wrong = examine(BOOK["1.3"], stops), examine(BOOK["1.3"], stops_and_errs)
    assert error.status == wrong.status == "wrong"
    assert error.mistake is None
    assert "IndexError" in error.text
    assert wrong.mistake == "as it was found"
    assert "IndexError" not in wrong.text


@pytest.mark.parametrize(
    "answer, truth",
    [(lambda x: x[1].item() ** 0.5, lambda x: x[0].item()), (lambda x: (x + 0j).sqrt(), lambda x: x)],
    ids=["number", "tensor"],
)
@pytest.mark.parametrize("show", [None, lambda arguments, answer, truth: f"{float(answer)}"], ids=["bare", "shown"])
def test_a_complex_answer_is_said_to_be_one(answer, truth, show):
    """And no mistake is seen in its real part."""
    half = Mistake("the real part", lambda x: torch.as_tensor(answer(x)).real, "This is half of it.")
    exercise = Exercise(
        "9.1", "Roots", "root", lambda g: [case(torch.tensor([2.0, -3.0]))], truth, "", [half], show=show
    )
    verdict = examine(exercise, answer)
    assert verdict.text.startswith("the answer is complex: a root or a power of a negative number was taken")
    assert verdict.mistake is None


def said(answer, truth, *arguments) -> str:
    """What a check says of a function whose answer is `answer(*arguments)`."""
    exercise = Exercise("9.3", "Any", "any", lambda g: [case(*arguments)], truth, "")
    return examine(exercise, answer).text


THREE, PAIR = torch.arange(3.0).double(), torch.arange(2.0).double()


@pytest.mark.parametrize(
    "answer, truth, words",
    [
        (
            [0.0, 1.0, 2.0],
            THREE,
            "a tensor of shape (3,) was expected, but your function returned a list of 3 numbers: "
            "torch.tensor(..., dtype=torch.float64) makes it one",
        ),
        (list(THREE), THREE, "returned a list of 3 values: torch.stack(...) makes it one"),
        ([0.0, 1.0], THREE, "a tensor of shape (3,) was expected, but your function returned a list of 2 numbers\n"),
        ((1.0, 2.0), 1.0, "your function returned a tuple of 2 numbers: is there a comma where a + or a * belongs?"),
        ((THREE, THREE), THREE, "of shape (3,) was expected, but your function returned a tuple of 2 values: is there"),
        ((PAIR, 2.0), 1.0, "a number was expected, but your function returned a tuple of 2 values\n"),
        (..., 1.0, "a number was expected, but your function returned an ellipsis\n"),
        ({"a": 1.0}, (0.0, 1.0), "a pair was expected, `return a, b`, but your function returned a dict\n"),
        (0.18027563 * (1 + 2e-6), 0.18027563, "off by 2e-06 of the expected 0.180276. So little can be rounding"),
        (0.18041, 0.18027563, "yours is 0.18041, expected 0.180276. So little can be rounding"),
        (0.18061, 0.18027563, "yours is 0.18061, expected 0.180276\n"),
        (PAIR, (0.0, 1.0), "a pair was expected, `return a, b`, but your function returned one tensor of shape (2,)"),
        (PAIR.numpy(), (0.0, 1.0), "returned one ndarray of shape (2,)"),
        (1.0, (0.0, 1.0, 2.0), "3 values were expected, `return a, b, c`, but your function returned one float\n"),
        ((0.0, PAIR[1:]), (0.0, 1.0), "value 2 of 2: a number was expected, and this is a tensor of shape (1,)"),
        (THREE[:1], THREE, "the shape is (1,), expected (3,)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_list_for_a_tensor_and_a_tensor_for_a_pair_are_said_to_be_that(answer, truth, words):
    assert words in said(lambda x: answer, lambda x: truth, 1.0)


def test_a_tuple_of_one_and_a_pair_in_a_list_are_right():
    assert said(lambda x: (2 * x,), lambda x: 2 * x, THREE).startswith("PASS")
    assert said(lambda x: [x, 2 * x], lambda x: (x, 2 * x), THREE).startswith("PASS")


@pytest.mark.parametrize(
    "answer, argument, words",
    [
        (THREE.float(), 1.0, ": a tensor made without dtype= is float32, write dtype=torch.float64"),
        (THREE.float(), THREE, ": a tensor made without dtype= is float32, use the dtype of the inputs"),
        (THREE.half(), THREE, "the dtype is torch.float16, expected torch.float64: use the dtype of the inputs"),
        (THREE.half(), THREE.int(), "expected torch.float64: write dtype=torch.float64"),
    ],
)
def test_what_is_said_of_a_dtype_fits_the_answer_and_the_inputs(answer, argument, words):
    assert words in said(lambda x: answer, lambda x: THREE, argument)


def test_an_argument_changed_in_place_is_called_by_its_name():
    def shifted(x, k):
        k = k.reshape(-1, 1)
        k -= 1
        return x * k

    text = said(shifted, lambda x, k: x * (k - 1), 2.0, torch.ones(3))
    assert "changed its argument k in place" in text
    assert "`k = k - 1` instead of `k -= 1`" in text
    assert "reshape" in text
    assert "argument x in place" in said(lambda *given: given[0].neg_(), lambda x: x, torch.ones(3))


def test_an_exit_and_an_empty_assert_are_said_in_words():
    def asserts(x):
        raise AssertionError

    assert said(lambda x: sys.exit(), lambda x: x, 1.0).startswith("your function ended the program")
    assert said(asserts, lambda x: x, 1.0).startswith("your function raised AssertionError\n")


def test_a_card_shows_code_and_emphasis_and_leaves_products_alone():
    assert marked("the *variance* of `a*b` < *a step*") == (
        "the <em>variance</em> of <code>a*b</code> &lt; <em>a step</em>"
    )
    for text in ("x*y*z", "x = x * a instead of x *= a", "f(*args, *more)", "one ` alone *here*", "(a - 1) * b * c"):
        assert marked(text) == text


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda x: x ^ 2, "In Python a power is written `**`"),
        (lambda x: 2.0 ^ 3.0, "In Python a power is written `**`"),
        (lambda x: x[:, :2] * x[:, :1].reshape(1, -1), "it needs the shape (B, 1, 1, 1)"),
    ],
)
def test_errors_that_hide_their_cause_get_a_word_of_advice(answer, words):
    """torch says of a power written ^ that it is not implemented: it is none of our stubs."""
    verdict = examine(Exercise("9.3", "Any", "any", lambda g: [case(torch.ones(4, 3))], lambda x: x, ""), answer)
    assert verdict.status == "wrong"
    assert "in line 1 of your function" in verdict.text
    assert words in verdict.text


def test_only_the_stubs_own_error_is_not_written_yet():
    def stub(x):
        raise NotImplementedError

    exercise = Exercise("9.3", "Any", "any", lambda g: [case(1.0)], lambda x: x, "")
    assert examine(exercise, stub).status == "unfinished"


@pytest.mark.parametrize(
    "question, words",
    [
        ("check('1.1')", 'check("1.1", first_step)'),
        ("check(len, '1.1')", 'check("1.1", len)'),
        ("check('1.30')", "there is no exercise 1.30"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_how_to_ask(question, words):
    with pytest.raises(checks.Unclear, match=re.escape(words)):
        eval(question, {"check": checks.check})


def test_hints_look_as_if_they_could_be_opened():
    """Where no style sheet of ours is: JupyterLab's takes the triangle away and the pointer."""
    for summary in re.findall("<summary.*?</summary>", foldouts(["one", "two"])):
        assert "cursor: pointer; text-decoration: underline dotted" in summary
        assert "(click to open)" in summary


def test_a_number_that_no_exercise_has_is_one_line_in_a_notebook():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        InteractiveShell().run_cell("from diffusion_book.checks import check\ncheck('1.30', len)")
    assert captured.stdout.strip().startswith("there is no exercise 1.30: chapter 1's run from 1.1 to 1.")
    assert "Traceback" not in captured.stdout + captured.stderr


def test_conditions_hold_beside_a_truth_and_are_asked_once_the_values_are_right():
    told = Condition(lambda arguments, answer: answer.requires_grad, lambda arguments, answer: "no gradient", "flat")
    exercise = Exercise(
        "9.2", "Twice", "twice", lambda g: [case(torch.ones(2))], lambda x: 2 * x, "", conditions=[told]
    )
    verdicts = [examine(exercise, f) for f in (lambda x: 2 * x.requires_grad_(), lambda x: 2 * x, lambda x: 3 * x)]
    assert [(verdict.status, verdict.mistake) for verdict in verdicts] == [
        ("passed", None),
        ("wrong", "flat"),
        ("wrong", None),
    ]
    assert "expected 2" in verdicts[2].text


@pytest.mark.parametrize("number, function", RIGHT, ids=lambda value: getattr(value, "__name__", value))
@seeds
def test_a_right_answer_written_differently_passes(number, function, seed):
    verdict = examine(BOOK[number], function, seed)
    assert verdict.passed, verdict.text


@every
def test_each_exercise_has_three_planted_answers_and_two_other_right_ones(number):
    planted = {p.mistake for p in PLANTED if p.number == number and p.mistake}
    assert len(planted) >= 3, f"planted and named: {planted}"
    assert len([f for n, f in RIGHT if n == number]) >= 2


def test_each_chapter_has_three_wrong_answers_that_its_checks_do_not_know():
    for chapter in {exercise.chapter for exercise in BOOK.values()}:
        unknown = [p for p in PLANTED if p.mistake is None and BOOK[p.number].chapter == chapter]
        assert len(unknown) >= 3, chapter


@every
@seeds
def test_no_two_formulas_of_an_exercise_agree(number, seed):
    """Neither with the truth nor with each other, or a diagnosis would be a guess."""
    exercise = BOOK[number]
    for mistake in exercise.mistakes:
        verdict = examine(exercise, mistake.formula, seed)
        assert verdict.mistake == mistake.name, f"{mistake.name} is taken for {verdict.mistake}: {verdict.text}"


@every
def test_every_known_mistake_is_planted(number):
    planted = {p.mistake for p in PLANTED if p.number == number}
    known = {m.name for m in BOOK[number].mistakes} | {c.name for c in BOOK[number].conditions if c.name}
    assert known <= planted, f"known to the check and never tried: {known - planted}"


@every
def test_cases_change_with_the_seed_and_not_without(number):
    def drawn(seed):
        cases = BOOK[number].cases(torch.Generator().manual_seed(seed))
        return [repr([a for a in case.make() if isinstance(a, (torch.Tensor, float, int))]) for case in cases]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4) or BOOK[number].truth is None


@every
def test_an_exercise_says_enough(number):
    exercise = BOOK[number]
    assert 2 <= len(exercise.hints) <= 4
    solution = inspect.signature(SOLUTIONS[number])
    if exercise.truth is not None:
        assert list(inspect.signature(exercise.truth).parameters) == list(solution.parameters)
    assert inspect.getdoc(SOLUTIONS[number]), "what to write, with shapes, stands in the docstring"
    texts = [exercise.title, exercise.read, *exercise.hints, *(m.message for m in exercise.mistakes)]
    assert all(text.strip() for text in texts)
    body = re.search(r"# BEGIN SOLUTION\n(.*?)# END SOLUTION", inspect.getsource(SOLUTIONS[number]), re.DOTALL)
    lines = [line.strip() for line in body[1].splitlines() if len(line.strip()) > 25] if body else []
    assert not any(line in text for line in lines for text in texts), "a message gives the answer away"


@pytest.mark.parametrize(
    "wall, processor, left",
    [(1, 1, 9), (8, 2, 8), (20, 3, 5), (2, 4, 8), (10, 10, 0), (40, 0, 0)],
    ids=["alone", "beside others", "asleep for long", "on two cores", "used up", "asleep for too long"],
)
def test_the_seconds_of_other_programs_are_not_the_answers(monkeypatch, wall, processor, left):
    now = {"monotonic": 100.0, "process_time": 7.0}
    for name in now:
        monkeypatch.setattr(guard.time, name, lambda name=name: now[name])
    watch = guard.Stopwatch(10.0)
    now["monotonic"] += wall
    now["process_time"] += processor
    assert watch.left() == left


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_an_answer_that_sleeps_or_turns_for_ever_is_stopped(handler):
    """Ctrl-C is ignored by what a shell runs in the background."""

    def sleeps():
        while True:
            time.sleep(0.01)

    def turns():
        while True:
            pass

    before = signal.signal(signal.SIGINT, handler)
    try:
        for function in (sleeps, turns):
            began = time.monotonic()
            with pytest.raises(guard.Interrupted, match=r"stopped after 0\.2 s"):
                guard.call(function, (), guard.Stopwatch(0.2), "f()")
            assert 0.15 < time.monotonic() - began < 10
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
