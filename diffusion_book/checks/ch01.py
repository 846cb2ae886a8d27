"""The exercises of chapter 1, the forward process."""

import math

import torch

from diffusion_book import forward
from diffusion_book.checks.draws import case, normal, number
from diffusion_book.checks.exercise import Condition, Exercise, Mistake, parts
from diffusion_book.errors import BookError
from diffusion_book.observer import gaussian_information, two_picture_error
from diffusion_book.schedules import Discrete, betas


def _show_mix(x, eps, answer, truth, which: str, equation: str) -> str:
    """How much of x and of eps is in an answer, by least squares; or that the dtype is another, or x and eps are not all."""
    if answer.dtype != truth.dtype:
        why = (
            ": .float() makes it so, and so does a tensor made without dtype=" if answer.dtype == torch.float32 else ""
        )
        return f"the dtype is {answer.dtype}, expected {truth.dtype}{why}"
    basis = torch.stack([x.flatten(), eps.flatten()], 1)
    mixes = [torch.linalg.lstsq(basis, value.double().reshape(-1, 1)).solution.flatten() for value in (answer, truth)]
    neither = (answer.flatten() - basis @ mixes[0]).square().mean().sqrt().item()
    if neither > 1e-4:  # more than rounding
        return (
            f"{which} holds something that is neither x nor eps times a number, about {neither:.2g} in each entry (if your "
            "function draws noise: there is no need to, eps is given)"
        )
    ours, right = ([f"{round(share, 3) + 0.0:.1%}" for share in mix.tolist()] for mix in mixes)
    if ours == right:
        off = ((answer - truth).abs().max() / truth.abs().max()).item()
        return f"{which} is off by {off:.1g} of its largest entry"
    return (
        f"{which} has {ours[0]} of the signal and {ours[1]} of a unit noise; "
        f"equation ({equation}) says {right[0]} and {right[1]}"
    )


# 1.1


def _first_cases(generator):
    for _ in range(3):
        beta = number(generator, 0.02, 0.6)
        yield case(normal(generator, 4, 3), beta, normal(generator, 4, 3), given=f"with beta = {beta:.3f}")


FIRST = Exercise(
    number="1.1",
    title="The first step",
    function="first_step",
    cases=_first_cases,
    truth=lambda x, beta, eps: forward.chain_step(x, beta, eps),
    read="'A thousand small pushes' and equation (eq-chain-step)",
    show=lambda arguments, answer, truth: _show_mix(
        arguments[0], arguments[2], *parts(answer), truth, "your x_1", "eq-chain-step"
    ),
    mistakes=(
        Mistake(
            "beta for its root",
            lambda x, beta, eps: (1 - beta) ** 0.5 * x + beta * eps,
            "You multiplied the noise by beta. beta is the *variance* that a step adds; what multiplies eps is its "
            "standard deviation.",
        ),
        Mistake(
            "1 - beta for its root",
            lambda x, beta, eps: (1 - beta) * x + beta**0.5 * eps,
            "The picture shrinks by too much. It is variances that add, so the squares of the two factors have to sum to 1: "
            "what is the square of yours?",
        ),
        Mistake(
            "both roots missing",
            lambda x, beta, eps: (1 - beta) * x + beta * eps,
            "This mixes x and eps as one mixes colours, with shares that sum to 1. For variances it is the *squares* of "
            "the two factors that must sum to 1.",
        ),
        Mistake(
            "picture not shrunk",
            lambda x, beta, eps: x + beta**0.5 * eps,
            "The picture is kept whole, so its variance would grow at every step. Each step first shrinks it a little.",
        ),
        Mistake(
            "factors exchanged",
            lambda x, beta, eps: beta**0.5 * x + (1 - beta) ** 0.5 * eps,
            "The two factors have changed places: with a small beta, nearly all of the picture must stay.",
        ),
        Mistake(
            "one minus the root",
            lambda x, beta, eps: (1 - beta**0.5) * x + beta**0.5 * eps,
            "Your factors themselves sum to 1, as if deviations added. It is variances that add, so the *squares* of the two "
            "factors must sum to 1.",
        ),
        Mistake(
            "noise subtracted",
            lambda x, beta, eps: (1 - beta) ** 0.5 * x - beta**0.5 * eps,
            "You subtracted the noise. Its distribution is the same, but a network that is to find eps in x_1 would learn it "
            "with the wrong sign: equation (eq-chain-step) adds.",
        ),
    ),
    hints=(
        "Two factors, one for x and one for eps. With beta = 0 nothing happens: what are they then?",
        "The variance of a times a unit Gaussian is a squared.",
    ),
)


# 1.2


def _signal_cases(generator):
    steps = int(number(generator, 200, 900))
    chain = betas.linear(steps, 1e-4, number(generator, 0.01, 0.03))
    for k in (int(number(generator, 20, 90)), 1, int(number(generator, 100, 190)), 0, steps):
        yield case(chain, k, given=f"for a chain of {steps} steps, at k = {k}")


def _by_sum(betas, k) -> tuple[float, float]:
    bar = 1 - betas[:k].sum().item()
    return _signal(bar) if bar >= 0 else (math.nan, (1 - bar) ** 0.5)


def _signal(bar: float, root: bool = True) -> tuple[float, float]:
    return (bar**0.5, (1 - bar) ** 0.5) if root else (bar, 1 - bar)


def _kept(betas, k) -> float:
    return torch.prod(1 - betas[:k]).item()


ONE_MINUS_THE_ROOT = (
    "You used 1 - sqrt(alpha_bar_k) for the noise. Its factor is sqrt(1 - alpha_bar_k): the root of the difference, not the "
    "difference of the roots."
)
ADDED_BETAS = (
    "The signal is right. For the noise you added the betas up, but every step also shrinks the noise that is there "
    "already. Its variance never exceeds 1; a sum of betas can."
)


SIGNAL = Exercise(
    number="1.2",
    title="After k steps",
    function="signal_and_noise",
    cases=_signal_cases,
    truth=lambda betas, k: Discrete(betas)(k / len(betas)),
    read="'A thousand pushes are one' and equations (eq-alpha-bar) and (eq-closed-form)",
    mistakes=(
        Mistake(
            "product of the betas",
            lambda betas, k: _signal(torch.prod(betas[:k]).item()),
            "You multiplied the betas. What is kept in a step is 1 - beta, and what is kept is what multiplies up.",
        ),
        Mistake(
            "one step's factor",
            lambda betas, k: _signal(1 - betas[k - 1].item()),
            "You used one step's 1 - beta_k where the product of all steps up to k belongs. After hundreds of steps nearly "
            "nothing has happened to your picture. See 'Two symbols, one letter'.",
        ),
        Mistake(
            "one step too many",
            lambda betas, k: _signal(torch.cumprod(1 - betas, 0)[min(k, len(betas) - 1)].item()),
            "You are one step too far, and at k = K there is no such step: betas[0] is beta_1, so beta_k, "
            "the last that belongs, is entry k - 1.",
        ),
        Mistake(
            "step 0 wraps around",
            lambda betas, k: _signal(torch.cumprod(1 - betas, 0)[k - 1].item()),
            "Right for every k except 0, where entry k - 1 is entry -1: Python hands you the *last* step, and the clean "
            "picture comes back as noise. After no steps the product is empty, and an empty product is 1.",
        ),
        Mistake(
            "roots missing",
            lambda betas, k: _signal(torch.prod(1 - betas[:k]).item(), root=False),
            "These are the squares: alpha_bar and 1 - alpha_bar. Scales were asked for, what multiplies x and eps.",
        ),
        Mistake(
            "variance for deviation",
            lambda betas, k: (torch.prod(1 - betas[:k]).item() ** 0.5, 1 - torch.prod(1 - betas[:k]).item()),
            "The second value is the variance of the noise; its standard deviation was asked for.",
        ),
        Mistake(
            "one minus the root",
            lambda betas, k: (torch.prod(1 - betas[:k]).item() ** 0.5, 1 - torch.prod(1 - betas[:k]).item() ** 0.5),
            ONE_MINUS_THE_ROOT,
        ),
        Mistake(
            "signal and noise exchanged",
            lambda betas, k: _signal(1 - torch.prod(1 - betas[:k]).item()),
            "The two values have changed places: the first multiplies the picture, and with no step at all it is 1.",
        ),
        Mistake(
            "first step left out",
            lambda betas, k: _signal(torch.prod(1 - betas[1:k]).item()),
            "The first step is missing: betas[0] is beta_1.",
        ),
        Mistake(
            "one minus the sum",
            _by_sum,
            "You subtracted the sum of the betas from 1. Each step keeps a share of what is left by then, not of the whole, "
            "and shares of shares multiply.",
        ),
        Mistake(
            "limit of small steps",
            lambda betas, k: _signal(math.exp(-betas[:k].sum().item())),
            "This is the limit of infinitely many, infinitely small steps. The chain's are finite: it multiplies the factors "
            "1 - beta (eq-alpha-bar).",
        ),
        Mistake(
            "sum of the betas",
            lambda betas, k: (_kept(betas, k) ** 0.5, betas[:k].sum().item() ** 0.5),
            ADDED_BETAS,
        ),
        Mistake(
            "root taken twice",
            lambda betas, k: _signal(_kept(betas, k) ** 0.5),
            "You took the root twice: what you have for alpha_bar_k is its root already. alpha_bar_k is the product of the "
            "factors 1 - beta themselves (eq-alpha-bar).",
        ),
        Mistake(
            "root of one minus the root",
            lambda betas, k: (_kept(betas, k) ** 0.5, (1 - _kept(betas, k) ** 0.5) ** 0.5),
            "The signal is right. Under the root of the noise stands 1 - alpha_bar_k, and you put 1 - sqrt(alpha_bar_k) there: "
            "the signal has to be squared first.",
        ),
        Mistake(
            "all steps at once",
            lambda betas, k: (torch.cumprod(1 - betas, 0).sqrt(), (1 - torch.cumprod(1 - betas, 0)).sqrt()),
            "You returned the values of all K steps. Two numbers were asked for, those after step k.",
        ),
    ),
    hints=(
        "Which entries of `betas` belong to the first k steps? Try k = 1, then k = 0.",
        "torch.prod of an empty tensor is 1, which is just what is wanted.",
        "alpha squared and sigma squared sum to 1.",
    ),
)


# 1.3


def _batch_cases(generator):
    chain = betas.linear(1000, 1e-4, number(generator, 0.008, 0.012))
    for end in ([], [1], [1000]):
        k = torch.cat([torch.tensor(end), torch.randint(200, 1000, (3 - len(end),), generator=generator)]).long()
        yield case(normal(generator, 3, 1, 4, 4), chain, k, normal(generator, 3, 1, 4, 4))


def _batch(signal, noise):
    def formula(x, betas, k, eps):
        k = k.reshape(-1, 1, 1, 1)
        return signal(betas, k) * x + noise(betas, k) * eps

    return formula


def _bar(betas, k):
    return torch.cumprod(1 - betas, 0)[k - 1]


def _next(betas, k):
    """The index of step k + 1, which is how beta_k is missed; at k = K, where that fails, the last."""
    return k.clamp(max=len(betas) - 1)


def _show_batch(arguments, answer, truth) -> str:
    """The worst row, as a mix of its picture and its noise."""
    x, _, k, eps = arguments
    (answer,) = parts(answer)
    row = int((answer - truth).square().flatten(1).sum(1).argmax())
    which = f"at k = {k[row].item()} your x_k"
    return _show_mix(x[row], eps[row], answer[row], truth[row], which, "eq-closed-form")


BATCH = Exercise(
    number="1.3",
    title="Find the bug",
    function="noisy_batch",
    cases=_batch_cases,
    truth=_batch(lambda b, k: _bar(b, k).sqrt(), lambda b, k: (1 - _bar(b, k)).sqrt()),
    read="'Two symbols, one letter' and equation (eq-closed-form)",
    show=_show_batch,
    mistakes=(
        Mistake(
            "as it was found",
            _batch(lambda b, k: (1 - b).sqrt()[_next(b, k)], lambda b, k: b.sqrt()[_next(b, k)]),
            "This is what the line did as you found it: alpha is one step's factor, and the noise is that of one step. (And "
            "whenever a picture is at step K it stops with an error.)",
        ),
        Mistake(
            "alpha_k for alpha_bar_k",
            _batch(lambda b, k: (1 - b).sqrt()[k - 1], lambda b, k: b.sqrt()[k - 1]),
            "The index is mended, the larger bug is not: one step's alpha_k stands where the product of all steps up to k "
            "belongs (alpha_bar_k).",
        ),
        Mistake(
            "index off by one",
            _batch(lambda b, k: _bar(b, _next(b, k) + 1).sqrt(), lambda b, k: (1 - _bar(b, _next(b, k) + 1)).sqrt()),
            "The product is right, the step is not: betas[0] is beta_1, so step k is entry k - 1. You show the network step "
            "k + 1 and tell it k, and for k = K there is no step k + 1.",
        ),
        Mistake(
            "noise of one step",
            _batch(lambda b, k: _bar(b, k).sqrt(), lambda b, k: b.sqrt()[k - 1]),
            "The signal is right. The noise is still that of one step, where all steps up to k have left theirs.",
        ),
        Mistake(
            "one minus the root",
            _batch(lambda b, k: _bar(b, k).sqrt(), lambda b, k: 1 - _bar(b, k).sqrt()),
            ONE_MINUS_THE_ROOT,
        ),
        Mistake(
            "product of the betas",
            _batch(
                lambda b, k: torch.cumprod(b, 0)[k - 1].sqrt(), lambda b, k: (1 - torch.cumprod(b, 0)[k - 1]).sqrt()
            ),
            "You multiplied the betas up, a product that is 0 after a few steps. It is the factors 1 - beta that multiply up.",
        ),
        Mistake(
            "roots missing",
            _batch(_bar, lambda b, k: 1 - _bar(b, k)),
            "These are the squares, alpha_bar_k and 1 - alpha_bar_k. What multiplies x and eps are their roots.",
        ),
        Mistake(
            "first picture's step for all",
            _batch(lambda b, k: _bar(b, k[0]).sqrt(), lambda b, k: (1 - _bar(b, k[0])).sqrt()),
            "Only the first picture of the batch is right: you gave its step to all. Each has its own, k[i] for x[i].",
        ),
        Mistake(
            "all K steps",
            _batch(lambda b, k: torch.prod(1 - b).sqrt(), lambda b, k: (1 - torch.prod(1 - b)).sqrt()),
            "You multiplied up all K factors, so that every picture is at the last step. For each picture the product ends at "
            "its own step k.",
        ),
        Mistake(
            "sum of the betas",
            _batch(lambda b, k: _bar(b, k).sqrt(), lambda b, k: torch.cumsum(b, 0)[k - 1].sqrt()),
            ADDED_BETAS,
        ),
    ),
    rtol=1e-5,  # a table of alpha_bar in float32 will do
    hints=(
        "What is alpha[500], in numbers? And how much of the picture should be left after 500 steps?",
        "A running product along a tensor: torch.cumprod.",
        "There is a second bug. Which beta does alpha[k] hold at k = 1, if steps are numbered from 1?",
    ),
)


# 1.4


def _between_cases(generator):
    for preserving in (True, False, True):
        alpha_s = number(generator, 0.6, 0.95)
        alpha_t = alpha_s * number(generator, 0.3, 0.9)
        if preserving:
            sigma_s, sigma_t = (1 - alpha_s**2) ** 0.5, (1 - alpha_t**2) ** 0.5
        else:
            sigma_s, sigma_t = 1 - alpha_s, 1 - alpha_t
        word = "variance preserving" if preserving else "the straight path"
        yield case(alpha_s, sigma_s, alpha_t, sigma_t, given=f"{word}, from alpha = {alpha_s:.2f} to {alpha_t:.2f}")


def _between_truth(alpha_s, sigma_s, alpha_t, sigma_t):
    """By the fall of the SNR: the new noise is the part of sigma_t^2 that the old signal-to-noise ratio does not explain."""
    return alpha_t / alpha_s, sigma_t**2 * (1 - (alpha_t / sigma_t) ** 2 / (alpha_s / sigma_s) ** 2)


BETWEEN = Exercise(
    number="1.4",
    title="From any time to any later one",
    function="between",
    cases=_between_cases,
    truth=_between_truth,
    read="'Any time from any other' and equation (eq-transition)",
    mistakes=(
        Mistake(
            "difference of the variances",
            lambda a, s, b, t: (b / a, t**2 - s**2),
            "You took the difference of the two variances. The old noise shrinks with the picture before the new one comes in.",
        ),
        Mistake(
            "factor not squared",
            lambda a, s, b, t: (b / a, t**2 - b / a * s**2),
            "The old noise's variance shrinks by the *square* of the factor.",
        ),
        Mistake(
            "deviation for variance",
            lambda a, s, b, t: (b / a, (t**2 - (b / a * s) ** 2) ** 0.5),
            "The second value is the standard deviation of the new noise; its variance was asked for.",
        ),
        Mistake(
            "whole factor",
            lambda a, s, b, t: (b, t**2 - b**2 * s**2),
            "You shrink x_s by alpha_t, but alpha_t counts from the clean picture: x_s has been shrunk by alpha_s already.",
        ),
        Mistake(
            "deviations subtracted",
            lambda a, s, b, t: (b / a, (t - b / a * s) ** 2),
            "You subtracted standard deviations. Of independent noises it is the variances that add, and so subtract.",
        ),
        Mistake(
            "always variance preserving",
            lambda a, s, b, t: (b / a, 1 - (b / a) ** 2),
            "1 - factor^2 holds only where alpha^2 + sigma^2 = 1. One of the cases is a path where it is not.",
        ),
        Mistake(
            "factor upside down",
            lambda a, s, b, t: (a / b, t**2 - (a / b) ** 2 * s**2),
            "Your factor is larger than 1. It leads from s to the later t, where less of the picture is left.",
        ),
        Mistake(
            "factor and variance exchanged",
            lambda a, s, b, t: (t**2 - (b / a) ** 2 * s**2, b / a),
            "The two values have changed places: the factor comes first, then the variance.",
        ),
        Mistake(
            "s and t exchanged",
            lambda a, s, b, t: (a / b, s**2 - (a / b) ** 2 * t**2),
            "You went from t back to s. The arguments come in the order alpha_s, sigma_s, alpha_t, sigma_t, and s is the "
            "earlier time.",
        ),
        Mistake(
            "factor returned squared",
            lambda a, s, b, t: ((b / a) ** 2, t**2 - (b / a) ** 2 * s**2),
            "The variance is right. The first value is the square of the factor; the factor itself, which multiplies x_s, was "
            "asked for.",
        ),
        Mistake(
            "variances added",
            lambda a, s, b, t: (b / a, t**2 + (b / a) ** 2 * s**2),
            "You added the old noise's variance. It is part of sigma_t^2 already; what is missing beside it was asked for.",
        ),
        Mistake(
            "sigmas not squared",
            lambda a, s, b, t: (b / a, t - (b / a) ** 2 * s),
            "You squared the factor but not the sigmas. sigma_s and sigma_t are standard deviations; it is their squares that "
            "add.",
        ),
        Mistake(
            "deviation, always variance preserving",
            lambda a, s, b, t: (b / a, (1 - (b / a) ** 2) ** 0.5),
            "This is a standard deviation, and one that holds only on the circle alpha^2 + sigma^2 = 1. The variance was asked "
            "for, on any path: sigma_s and sigma_t must enter it (eq-transition).",
        ),
    ),
    hints=(
        "Write x_s = alpha_s x + sigma_s eps and multiply by the factor. What must the signal be afterwards?",
        "The noise of x_s comes along, multiplied by the factor. How much variance is missing to sigma_t squared?",
    ),
)


# 1.5


def _confusion_cases(generator):
    for on_circle in (True, False, False):
        x, other = 0.5 * normal(generator, 1, 3, 2), 0.5 * normal(generator, 1, 3, 2)
        alpha = number(generator, 0.3, 0.5)
        sigma = (1 - alpha**2) ** 0.5 if on_circle else number(generator, 0.5, 0.8)
        yield case(x, other, alpha, sigma, given=f"at alpha = {alpha:.2f}, sigma = {sigma:.2f}")


def _tail(z) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _distance(x, other) -> float:
    return (x - other).norm().item()


CONFUSION = Exercise(
    number="1.5",
    title="Two pictures, one of them",
    function="confusion",
    cases=_confusion_cases,
    truth=lambda x, other, alpha, sigma: two_picture_error(x, other, alpha, sigma).item(),
    read="'When can you still tell?' and equation (eq-two-pictures)",
    mistakes=(
        Mistake(
            "whole distance",
            lambda x, other, alpha, sigma: _tail(alpha * _distance(x, other) / sigma),
            "The noise does not have to carry x_t all the way to the other picture: beyond the middle it is nearer to the "
            "wrong one.",
        ),
        Mistake(
            "distance a pixel",
            lambda x, other, alpha, sigma: _tail(alpha * (x - other).square().mean().sqrt().item() / (2 * sigma)),
            "You averaged the squares over the pixels. They are summed: every pixel is one more piece of evidence.",
        ),
        Mistake(
            "squared distance",
            lambda x, other, alpha, sigma: _tail(alpha * _distance(x, other) ** 2 / (2 * sigma)),
            "This is the squared distance: the root over the sum is missing.",
        ),
        Mistake(
            "signal not shrunk",
            lambda x, other, alpha, sigma: _tail(_distance(x, other) / (2 * sigma)),
            "In x_t the two pictures stand only alpha times as far apart as they are.",
        ),
        Mistake(
            "share of right answers",
            lambda x, other, alpha, sigma: 1 - _tail(alpha * _distance(x, other) / (2 * sigma)),
            "This is how often the observer is right. How often it is wrong was asked for.",
        ),
        Mistake(
            "variance for deviation",
            lambda x, other, alpha, sigma: _tail(alpha * _distance(x, other) / (2 * sigma**2)),
            "You divide by sigma squared. Along the line between the pictures the noise has the standard deviation sigma.",
        ),
        Mistake(
            "sum of the differences",
            lambda x, other, alpha, sigma: _tail(alpha * (x - other).abs().sum().item() / (2 * sigma)),
            "You added the differences themselves. |x - x'| is a length: the squares are added, and a root is taken.",
        ),
        Mistake(
            "erfc without the root of 2",
            lambda x, other, alpha, sigma: _tail(math.sqrt(2) * alpha * _distance(x, other) / (2 * sigma)),
            "The argument is too large by the root of 2. If you used erfc: it belongs to a Gaussian of variance 1/2, so for a "
            "unit Gaussian its argument is divided by that root.",
        ),
        Mistake(
            "erfc not halved",
            lambda x, other, alpha, sigma: 2 * _tail(alpha * _distance(x, other) / (2 * sigma)),
            "This is twice the right value: erfc counts both tails, and only one of them leads to the wrong picture.",
        ),
        Mistake(
            "sigma from alpha",
            lambda x, other, alpha, sigma: _tail(alpha * _distance(x, other) / (2 * (1 - alpha**2) ** 0.5)),
            "You computed sigma from alpha. sigma is an argument; sqrt(1 - alpha^2) holds only on the circle.",
        ),
        Mistake(
            "multiplied by sigma",
            lambda x, other, alpha, sigma: _tail(alpha * _distance(x, other) / 2 * sigma),
            "You multiplied by sigma. a / 2 * s is (a / 2) * s in Python; to divide by both, the 2 and sigma need brackets.",
        ),
        Mistake(
            "alpha and sigma exchanged",
            lambda x, other, alpha, sigma: _tail(sigma * _distance(x, other) / (2 * alpha)),
            "alpha and sigma have changed places. The pictures stand alpha times their distance apart, and the noise has the "
            "standard deviation sigma: more noise, more errors.",
        ),
        Mistake(
            "each pixel for itself",
            lambda x, other, alpha, sigma: torch.special.ndtr(-alpha * (x - other).abs() / (2 * sigma)).mean().item(),
            "This observer looks at one pixel only, and you averaged its errors over the pixels. The best one uses all pixels "
            "at once, through the one length |x - x'|.",
        ),
        Mistake(
            "sigmoid for Phi",
            lambda x, other, alpha, sigma: 1 / (1 + math.exp(alpha * _distance(x, other) / (2 * sigma))),
            "You used a sigmoid. Phi in (eq-two-pictures) is the cumulative distribution of a Gaussian, which looks like one "
            "and falls off much faster.",
        ),
    ),
    hints=(
        "Look only along the line from one picture to the other. What is the noise there, and how far is it to the middle?",
        "The noise along any line is a Gaussian of standard deviation sigma, whatever the number of pixels.",
        "math.erfc(z / sqrt(2)) / 2 is the chance that a unit Gaussian exceeds z.",
    ),
)


# 1.6


def _cosine_cases(generator):
    for low, high in ((0.85, 0.95), (0.2, 0.5), (0.85, 0.95)):
        steps = int(number(generator, 8, 30))
        values = steps, number(generator, 0.005, 0.05), number(generator, low, high)
        yield case(*values, given="K = {}, offset {:.3f}, betas up to {:.3f}".format(*values))


def _h(steps, offset, power=2, divided=True):
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return torch.cos(math.pi / 2 * (u + offset) / (1 + offset * divided)) ** power


def _ratios(h):
    return h[1:] / h[:-1]


def _rebuilt(h, max_beta):
    return _chain(_ratios(h).clamp(min=1 - max_beta))


def _chain(kept):
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(kept, 0)])


def _last_clipped(h, max_beta):
    bar = h / h[0]
    return torch.cat([bar[:-1], bar[-2:-1] * (1 - max_beta)])


COSINE = Exercise(
    number="1.6",
    title="The cosine chain, whole",
    function="cosine_alpha_bar",
    cases=_cosine_cases,
    truth=lambda steps, offset, max_beta: Discrete(betas.cosine(steps, offset, max_beta)).alpha_bar,
    read="'Families of schedules' and equation (eq-cosine)",
    mistakes=(
        Mistake(
            "not divided by h(0)",
            lambda steps, offset, max_beta: _h(steps, offset)[0] * _rebuilt(_h(steps, offset), max_beta),
            "Your alpha_bar_0 is h(0), not 1: the clean picture at step 0 has noise in it already. In the betas h(0) cancels, "
            "because they are made of ratios; here it does not.",
        ),
        Mistake(
            "neither divided nor clipped",
            lambda steps, offset, max_beta: _h(steps, offset),
            "This is h itself. alpha_bar_0 must be 1, and no beta may exceed max_beta: your last one is 1.",
        ),
        Mistake(
            "betas not clipped",
            lambda steps, offset, max_beta: _h(steps, offset) / _h(steps, offset)[0],
            "The last beta is 1, which leaves no signal at all: the clip at max_beta is missing. It acts on the betas, and "
            "alpha_bar follows from them.",
        ),
        Mistake(
            "only the last clipped",
            lambda steps, offset, max_beta: _last_clipped(_h(steps, offset), max_beta),
            "You bounded the last beta only. Every beta that exceeds max_beta is bounded, and where the bound is this low the "
            "last is not the only one.",
        ),
        Mistake(
            "alpha_bar clipped",
            lambda steps, offset, max_beta: (_h(steps, offset) / _h(steps, offset)[0]).clamp(min=1 - max_beta),
            "You clipped alpha_bar. The bound is on each beta, that is on the ratio of two neighbours.",
        ),
        Mistake(
            "cosine not squared",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, offset, 1), max_beta),
            "You used the cosine where its square belongs: it is alpha that follows a cosine, and alpha_bar is its square.",
        ),
        Mistake(
            "offset forgotten",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, 0.0), max_beta),
            "The offset does not appear in your values.",
        ),
        Mistake(
            "0.008 for the offset",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, 0.008), max_beta),
            "Your offset is always 0.008; it is an argument, and it varies.",
        ),
        Mistake(
            "0.999 for the bound",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, offset), 0.999),
            "Your bound is always 0.999; it is an argument, max_beta, and it varies.",
        ),
        Mistake(
            "alpha_bar_0 left out",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, offset), max_beta)[1:],
            "Your values begin with alpha_bar_1. K + 1 were asked for, from alpha_bar_0 = 1 on.",
        ),
        Mistake(
            "one point too few",
            lambda steps, offset, max_beta: _rebuilt(_h(steps - 1, offset), max_beta),
            "This is the chain of K - 1 steps: from 0 to 1 in K steps there are K + 1 points.",
        ),
        Mistake(
            "root returned",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, offset), max_beta).sqrt(),
            "This is alpha, the root. alpha_bar itself was asked for.",
        ),
        Mistake(
            "betas returned",
            lambda steps, offset, max_beta: 1 - _ratios(_h(steps, offset)).clamp(min=1 - max_beta),
            "These are the K betas, and they are right. One stage is left: from them, alpha_bar_0 to alpha_bar_K.",
        ),
        Mistake(
            "not divided by 1 + offset",
            lambda steps, offset, max_beta: _rebuilt(_h(steps, offset, divided=False), max_beta),
            "The division by 1 + offset is missing inside the cosine (eq-cosine). With it the angle ends at pi/2; yours goes "
            "beyond, where the squared cosine rises again.",
        ),
        Mistake(
            "bounded from below",
            lambda steps, offset, max_beta: _chain(_ratios(_h(steps, offset)).clamp(max=1 - max_beta)),
            "You made max_beta the *least* that a beta may be. It is the most: clamp(max=...) bounds from above, and "
            "clamp(min=...) from below.",
        ),
    ),
    hints=(
        "Three stages: the curve h, the betas from ratios of its neighbours, and alpha_bar again from the clipped betas.",
        "A bound on beta from above is a bound on the ratio alpha_bar_k / alpha_bar_{k-1} from below.",
        "Look at the first entry of your answer, then at the last two.",
    ),
)


# 1.7


def _size_cases(generator):
    for _ in range(3):
        factor = number(generator, 1.3, 4)
        chain = Discrete(betas.linear(int(number(generator, 50, 100)), 1e-3, 0.1)).alpha_bar
        yield case(chain, factor, given=f"for a picture {factor:.2f} times as wide and as high")


def _new_snr(alpha_bar, factor):
    return alpha_bar / (1 - alpha_bar) / factor**2


def _moved(alpha_bar, amount):
    return torch.sigmoid(torch.logit(alpha_bar) - amount)


SIZE = Exercise(
    number="1.7",
    title="The same schedule at another size",
    function="at_another_size",
    cases=_size_cases,
    truth=lambda alpha_bar, factor: _moved(alpha_bar, 2 * math.log(factor)),
    read="'The same noise on a larger picture'",
    mistakes=(
        Mistake(
            "factor for its square",
            lambda alpha_bar, factor: _moved(alpha_bar, math.log(factor)),
            "You moved the log-SNR by log(factor). A picture twice as wide and as high has four times the "
            "pixels to average over.",
        ),
        Mistake(
            "wrong direction",
            lambda alpha_bar, factor: _moved(alpha_bar, -2 * math.log(factor)),
            "Your larger picture gets less noise. More pixels average more noise away, so it needs more.",
        ),
        Mistake(
            "alpha_bar divided",
            lambda alpha_bar, factor: alpha_bar / factor**2,
            "You divided alpha_bar, so that even the clean picture (alpha_bar = 1) has noise. It is the signal-to-noise ratio "
            "alpha_bar/(1 - alpha_bar) that is divided.",
        ),
        Mistake(
            "area squared",
            lambda alpha_bar, factor: _moved(alpha_bar, 4 * math.log(factor)),
            "You moved the log-SNR twice as far as needed. The SNR is a ratio of variances, and the variance of a mean of n "
            "pixels is 1/n of one pixel's.",
        ),
        Mistake(
            "noise variance multiplied",
            lambda alpha_bar, factor: 1 - factor**2 * (1 - alpha_bar),
            "You multiplied the noise variance 1 - alpha_bar, which would soon exceed 1. Multiply its ratio to the signal.",
        ),
        Mistake(
            "infinity over infinity",
            lambda alpha_bar, factor: _new_snr(alpha_bar, factor) / (1 + _new_snr(alpha_bar, factor)),
            "Right wherever there is noise. At alpha_bar = 1 the signal-to-noise ratio is infinite, and infinity over infinity "
            "is nan: clear the fractions on paper before you compute.",
        ),
        Mistake(
            "ratio, not alpha_bar",
            _new_snr,
            "This is the new signal-to-noise ratio. The alpha_bar that belongs to it was asked for.",
        ),
        Mistake(
            "brackets missing",
            lambda alpha_bar, factor: 1 + factor**2 * (1 - alpha_bar),
            "Your values exceed 1. In a / a + b Python divides first, and a / a is 1: the denominator needs brackets.",
        ),
        Mistake(
            "root returned",
            lambda alpha_bar, factor: _moved(alpha_bar, 2 * math.log(factor)).sqrt(),
            "This is alpha, the root. The new alpha_bar was asked for.",
        ),
        Mistake(
            "logarithm to base 2",
            lambda alpha_bar, factor: _moved(alpha_bar, 2 * math.log2(factor)),
            "Your logarithm of the factor is to base 2. The log-SNR is a natural logarithm, and so must be what you "
            "subtract from it (eq-shift).",
        ),
    ),
    hints=(
        "Write the signal-to-noise ratio in terms of alpha_bar. What happens to it?",
        "A mean over factor^2 pixels has 1/factor^2 of the noise variance. The new noise has to make up for that.",
        "Solve a/(1 - a) = r for a, and put in what r is before you compute: at alpha_bar_0 = 1 it is infinite.",
    ),
)


# 1.8


EVEN_STEPS, EVEN_SHARE, ENDS = 40, 1.05, 0.01


def _even_cases(generator):
    for _ in range(2):
        variances = 10 ** (4 * torch.rand(30, generator=generator, dtype=torch.float64) - 2.5)
        yield case(variances, EVEN_STEPS, 8.0, -8.0)


def _tensor(answer) -> torch.Tensor | None:
    """An answer as a tensor, from an array as well; None for what is neither."""
    try:
        found = [] if isinstance(answer, (list, tuple)) else parts(answer)
    except BookError:
        return None
    return found[0] if found else None


def _levels(answer):
    bar = torch.cumprod(1 - _tensor(answer).double(), 0)
    return torch.log(bar / (1 - bar))


def _worst(arguments, answer) -> float:
    """The largest loss of information in a step, as a multiple of the mean one."""
    losses = -gaussian_information(arguments[0], _levels(answer)).diff()
    return (losses.max() / losses.mean()).item()


def _shape(answer) -> str:
    return type(answer).__name__ if _tensor(answer) is None else str(tuple(_tensor(answer).shape))


def _is_betas(arguments, answer) -> bool:
    return bool(((_tensor(answer) > 0) & (_tensor(answer) < 1)).all())


def _rises(answer) -> bool:
    """Betas of 0 or less among others, and none that is too large: at these steps the noise falls."""
    betas = _tensor(answer)
    return bool((betas < 1).all() and (betas <= 0).any() and (betas > 0).any())


def _ends(arguments, answer, function=lambda level: level) -> bool:
    """Whether the first and the last value are the function of the log-SNRs that were asked for, to within 0.01 of these."""
    ends = torch.tensor(arguments[2:], dtype=torch.float64)
    low, high = function(ends - ENDS), function(ends + ENDS)
    return bool(((_tensor(answer)[[0, -1]] - low) * (high - _tensor(answer)[[0, -1]]) > 0).all())


EVEN = Exercise(
    number="1.8",
    title="Open: forget evenly",
    function="forget_evenly",
    cases=_even_cases,
    truth=None,
    read="'How much is left to know?' and equation (eq-information)",
    conditions=(
        Condition(
            lambda arguments, answer: _tensor(answer) is not None and _tensor(answer).ndim == 1,
            lambda arguments, answer: f"betas were expected, a tensor of shape ({arguments[1]},), not {_shape(answer)}",
        ),
        Condition(
            lambda arguments, answer: len(answer) == arguments[1],
            lambda arguments, answer: f"{len(answer)} betas came out, {arguments[1]} were expected, one for each step",
            "number of betas",
        ),
        Condition(
            lambda arguments, answer: _tensor(answer).dtype == torch.float64,
            lambda arguments, answer: f"the betas are {_tensor(answer).dtype}; torch.float64 was asked for",
        ),
        Condition(
            lambda arguments, answer: not _ends(arguments, answer, torch.sigmoid),
            lambda arguments, answer: (
                f"your values run from {answer[0]:.6f} to {answer[-1]:.6f}: these are the alpha_bars of the wanted log-SNRs. "
                "One more step leads to betas: ratios of neighbours"
            ),
            "alpha_bars for betas",
        ),
        Condition(
            lambda arguments, answer: not _ends(arguments, answer, lambda level: torch.sigmoid(-level)),
            lambda arguments, answer: (
                f"your values run from {answer[0]:.6f} to {answer[-1]:.6f}: these are 1 - alpha_bar, the variance of the noise "
                "after each step. A beta is the variance that one step adds: ratios of neighbours"
            ),
            "1 - alpha_bar for betas",
        ),
        Condition(
            lambda arguments, answer: not _rises(answer),
            lambda arguments, answer: (
                "the log-SNR has to fall from step to step; yours does not at step {}, where beta is {:.3g}".format(
                    *next((k, beta) for k, beta in enumerate(_tensor(answer).tolist(), 1) if beta <= 0)
                )
            ),
            "log-SNR rises",
        ),
        Condition(
            _is_betas,
            lambda arguments, answer: (
                f"your values run from {answer.min():.3g} to {answer.max():.3g}, but betas are "
                "variances between 0 and 1. (From log-SNRs or alpha_bars one more step leads to betas: ratios of neighbours.)"
            ),
            "not betas",
        ),
        Condition(
            lambda arguments, answer: _ends(arguments, _levels(answer)),
            lambda arguments, answer: (
                f"your log-SNR runs from {_levels(answer)[0]:.3f} after step 1 to {_levels(answer)[-1]:.3f} after step "
                f"{arguments[1]}; the ends are given: {arguments[2]:g} and {arguments[3]:g}, to within {ENDS}"
            ),
            "ends moved",
        ),
        Condition(
            lambda arguments, answer: bool((_levels(answer).diff() - _levels(answer).diff().mean()).abs().max() > 1e-3),
            lambda arguments, answer: (
                "these are equal steps in log-SNR: the dearest costs "
                f"{_worst(arguments, answer):.2f} times the mean. Where noise is strong there is little left to lose, so "
                "steps there may be longer"
            ),
            "equal steps in log-SNR",
        ),
        Condition(
            lambda arguments, answer: _worst(arguments, answer) <= EVEN_SHARE,
            lambda arguments, answer: (
                f"your dearest step costs {_worst(arguments, answer):.3f} times the mean; "
                f"at most {EVEN_SHARE} was asked for"
            ),
        ),
    ),
    reached=lambda arguments, answer: (
        f"your dearest step costs {_worst(arguments, answer):.4f} times the mean, wanted was {EVEN_SHARE} at most"
    ),
    hints=(
        "Compute the information on a fine grid of log-SNRs, then choose the levels at which it has fallen by equal amounts.",
        "The information falls steadily along the grid, so it can be inverted: torch.searchsorted or numpy.interp (both want "
        "rising values).",
        "From log-SNR to alpha_bar: a sigmoid. From alpha_bar to the betas: ratios of neighbours, with alpha_bar_0 = 1.",
    ),
)

EXERCISES = (FIRST, SIGNAL, BATCH, BETWEEN, CONFUSION, COSINE, SIZE, EVEN)
