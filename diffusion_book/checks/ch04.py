"""The exercises of chapter 4, score matching and Langevin."""

import math
from functools import partial

import torch

from diffusion_book import divergence, langevin, score_matching
from diffusion_book.checks.draws import case, normal, uniform
from diffusion_book.checks.exercise import RTOL, Condition, Exercise, Mistake, close
from diffusion_book.exact import GaussianMixture
from diffusion_book.schedules import EDM

# 4.1


def _mixture_cases(generator):
    def parts_of_three():
        weights = uniform(generator, 0.2, 1, 3)
        return weights / weights.sum(), 2 * normal(generator, 3), uniform(generator, 0.1, 1.5, 3)

    for alpha, sigma in ((1.0, 0.5), (0.8, 0.6), (0.3, 0.9)):
        x_t = 2 * normal(generator, 6)
        yield case(x_t, *parts_of_three(), alpha, sigma, given=f"at alpha = {alpha}, sigma = {sigma}")
    far = torch.cat([normal(generator, 1), torch.tensor([100.0, -300.0], dtype=torch.float64)])
    yield case(far, *parts_of_three(), 0.9, 0.1, given="far out, at x_t = 100 and -300")


def _mixture_truth(x_t, weights, means, variances, alpha, sigma):
    return GaussianMixture(weights, means[:, None], variances).score(x_t[:, None], alpha, sigma)[:, 0]


def _mixture(x_t, weights, m, v, believed=True, width=0.5, dim=1, naive=False):
    """The score of a mixture with these means and variances, at the places x_t.

    Its bells are divided by v^width. naive: by bare exponentials, which are all 0 far out.
    """
    log_bells = -((x_t[:, None] - m) ** 2) / (2 * v) - width * v.log()
    if naive:
        joint = weights * log_bells.exp()
        r = joint / joint.sum(dim, keepdim=True)
    else:
        r = (weights.log() + log_bells).softmax(dim)
    return -((r if believed else weights) * (x_t[:, None] - m) / v).sum(1)


FAR_OUT = (
    "Far out every exp is 0, and 0/0 is no number: subtract the largest exponent of each row before you take them, as "
    "softmax does."
)


def _either_way(name: str, formula, message: str) -> tuple[Mistake, Mistake]:
    """The mistake of those who take a softmax, and of those who take bare exponentials."""
    return Mistake(name, formula, message), Mistake(name, partial(formula, naive=True), f"{message} {FAR_OUT}")


MIXTURE = Exercise(
    number="4.1",
    title="The score of a noised mixture",
    function="mixture_score",
    cases=_mixture_cases,
    truth=_mixture_truth,
    read="'An arrow instead of a probability' and equation (eq-mixture-score)",
    mistakes=(
        Mistake(
            "exponentials far out",
            lambda x, w, m, v, a, s: _mixture(x, w, a * m, a**2 * v + s**2, naive=True),
            f"Near the data all is right. {FAR_OUT}",
        ),
        Mistake(
            "exponentials far out",
            lambda x, w, m, v, a, s: _mixture(x, w, a * m, a**2 * v + s**2, naive=True).nan_to_num(0.0),
            "Near the data all is right. Far out every exp is 0, and with it your arrow, where it should be long: subtract "
            "the largest exponent of each row before you take them, as softmax does.",
        ),
        *_either_way(
            "score of the clean mixture",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, m, v, **how),
            "This is the score of the data before they were noised. The points x_t come from the noised mixture: "
            "what has the noise done to the means, and to the variances?",
        ),
        Mistake(
            "weights for responsibilities",
            lambda x, w, m, v, a, s: _mixture(x, w, a * m, a**2 * v + s**2, believed=False),
            "The arrows of the parts are averaged with the weights w_k. Far from a part its arrow should count for "
            "next to nothing: the mean is over p(k | x_t), given the place.",
        ),
        *_either_way(
            "weights forgotten",
            lambda x, w, m, v, a, s, **how: _mixture(x, torch.ones_like(w), a * m, a**2 * v + s**2, **how),
            "The responsibilities are those of parts of equal weight: r_k is in proportion to w_k N(x_t; ...).",
        ),
        *_either_way(
            "sign",
            lambda x, w, m, v, a, s, **how: -_mixture(x, w, a * m, a**2 * v + s**2, **how),
            "Every arrow has the wrong sign: it points away from the data. Log densities rise towards the means.",
        ),
        *_either_way(
            "deviation for variance",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, a**2 * v + s, **how),
            "The noise was added as sigma. Variances of independent summands add, deviations do not.",
        ),
        *_either_way(
            "alpha for its square",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, a * v + s**2, **how),
            "The variances are multiplied by alpha. alpha x is alpha times as wide as x, so its variance has alpha^2.",
        ),
        *_either_way(
            "alpha on the means only",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, v + s**2, **how),
            "The means are shrunk by alpha and the variances are not: alpha x has a smaller spread than x.",
        ),
        *_either_way(
            "means not shrunk",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, m, a**2 * v + s**2, **how),
            "The means stand where they were. Where is the mean of alpha x + sigma eps?",
        ),
        *_either_way(
            "widths forgotten in the responsibilities",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, a**2 * v + s**2, width=0.0, **how),
            "The parts' bells are not normalised: without the factor 1/sqrt(variance_k) a wide part counts for too much.",
        ),
        *_either_way(
            "bells divided by the variance",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, a**2 * v + s**2, width=1.0, **how),
            "The parts' bells are divided by their variance. A Gaussian's factor is one over its deviation: "
            "1/sqrt(variance_k), or -log(variance_k)/2 in the logarithm.",
        ),
        *_either_way(
            "responsibilities over the points",
            lambda x, w, m, v, a, s, **how: _mixture(x, w, a * m, a**2 * v + s**2, dim=0, **how),
            "The responsibilities add up to 1 over the points. At each point they must do so over the parts: sum over k.",
        ),
    ),
    hints=(
        "alpha x + sigma eps of one part is Gaussian again. Write down its mean and its variance.",
        "The responsibilities are a softmax over k of log w_k + log N(x_t; mean_k, variance_k).",
        "Do not forget -log(variance_k)/2 in the log density: the parts have different widths.",
    ),
)


# 4.2


def _bent(matrix: torch.Tensor):
    return lambda x: torch.tanh(x @ matrix.T) - x


class _Trainable:
    """A score with a matrix that a loss can train: -A x, or tanh(A x) - x."""

    def __init__(self, matrix: torch.Tensor, bent: bool = False):
        self.matrix, self.bent = matrix.requires_grad_(), bent

    def __call__(self, x):
        return _bent(self.matrix)(x) if self.bent else -(x @ self.matrix.T)


def _implicit_cases(generator):
    yield case(_Trainable(normal(generator, 3, 3)), normal(generator, 5, 3), given="of a linear score")
    yield case(_Trainable(normal(generator, 3, 3), bent=True), normal(generator, 5, 3), given="of a bent score")
    yield case(
        _Trainable(normal(generator, 2, 2), bent=True), normal(generator, 4, 2), given="of a bent score in the plane"
    )


def _implicit_truth(score, x):
    return score_matching.implicit(score, x).detach()


def _trains(arguments, answer) -> bool:
    """Whether the loss has the right gradient by the score's own matrix."""
    score, x = arguments
    loss = sum(part.sum() for part in answer) if isinstance(answer, (tuple, list)) else answer.sum()
    try:
        (ours,) = torch.autograd.grad(loss, score.matrix, retain_graph=True)
    except RuntimeError:  # it does not depend on the matrix, or its graph is gone
        return False
    (wanted,) = torch.autograd.grad(score_matching.implicit(score, x).sum(), score.matrix)
    return close(ours, wanted, RTOL)


def _parts_of(score, x):
    """(|s|^2, div s, the sum of all entries of the Jacobian), each (B,)."""
    value, trace = divergence.exact(score, x)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (column,) = torch.autograd.grad(score(leaf).sum(), leaf)
    return value.detach().square().sum(1), trace.detach(), column.sum(1)


def _of_parts(combine):
    return lambda score, x: combine(*_parts_of(score, x))


IMPLICIT = Exercise(
    number="4.2",
    title="Find the bug: a trace that is none",
    function="implicit_loss",
    cases=_implicit_cases,
    truth=_implicit_truth,
    read="'How far off are the arrows?' and equation (eq-implicit)",
    mistakes=(
        Mistake(
            "as it was found",
            _of_parts(lambda square, trace, all_of_it: square / 2 + all_of_it),
            "The second term is the sum of *all* entries of the Jacobian: the gradient of s_1 + s_2 + ... by x_1, plus "
            "that by x_2, and so on. Only ds_1/dx_1, ds_2/dx_2, ... belong to the divergence.",
        ),
        Mistake(
            "divergence dropped",
            _of_parts(lambda square, trace, all_of_it: square / 2),
            "The divergence is missing. The best score of this loss is zero everywhere.",
        ),
        Mistake(
            "sign of the divergence",
            _of_parts(lambda square, trace, all_of_it: square / 2 - trace),
            "The divergence has the wrong sign: the loss would reward arrows that run apart. The minus of the "
            "integration by parts meets the minus of the cross term.",
        ),
        Mistake(
            "half missing",
            _of_parts(lambda square, trace, all_of_it: square + trace),
            "The square has lost its half. On N(0, v) the best strength would be 1/(2v).",
        ),
        Mistake(
            "half on both",
            _of_parts(lambda square, trace, all_of_it: (square + trace) / 2),
            "The divergence is halved too. The cross term of (s - m)^2/2 has no half: 2/2 = 1.",
        ),
        Mistake(
            "length for its square",
            _of_parts(lambda square, trace, all_of_it: square.sqrt() / 2 + trace),
            "The first term holds the length |s|; its square belongs there.",
        ),
        Mistake(
            "mean over the coordinates",
            lambda score, x: _of_parts(lambda square, trace, all_of_it: square / 2 + trace)(score, x) / x.shape[1],
            "The mean over the coordinates was taken. |s|^2 and the divergence are sums over them.",
        ),
    ),
    conditions=(
        Condition(
            _trains,
            lambda arguments, answer: (
                "the values are right, but no network can be trained on them: the gradient of your loss by the network's "
                "own parameters is not that of equation (eq-implicit). To autograd the divergence must be more than a "
                "number, or only |s|^2/2 is trained, and the best network has no arrows. torch.autograd.grad forgets how "
                "it came to its answer unless it is told to keep that"
            ),
            "no gradient",
        ),
    ),
    hints=(
        "Try it on s(x) = A x with a full matrix A: the divergence is the trace of A. What does the code say?",
        "torch.autograd.grad(value.sum(), x) adds up the rows of the Jacobian. You need entry i of row i.",
        "A loop over i: the gradient of value[:, i].sum() by x, of which column i is kept (create_graph=True, or the "
        "divergence has no gradient of its own and teaches nothing). Or call what the package has.",
    ),
)


# 4.3


def _probe_cases(generator):
    for D in (3, 5):
        yield case(normal(generator, D, D) + 2 * torch.eye(D, dtype=torch.float64), uniform(generator, 0, 1, 6, D))


def _probe_truth(A, u):
    """By the package's own estimator, on the linear field of A."""
    probe = (u - 0.5) / math.sqrt(1 / 12)
    return divergence.hutchinson(divergence.fixed(probe))(lambda x: x @ A.T, torch.zeros_like(u))[1].detach()


def _estimate(A, v, w=None):
    return torch.einsum("bi,ij,bj->b", v, A, v if w is None else w)


PROBE = Exercise(
    number="4.3",
    title="A probe from a cheap source",
    function="trace_estimate",
    cases=_probe_cases,
    truth=_probe_truth,
    read="'One probe instead of 784 derivatives' and equation (eq-hutchinson)",
    mistakes=(
        Mistake(
            "variance 1/12",
            lambda A, u: _estimate(A, u - 0.5),
            "The probe is centred, but its variance is 1/12: on average the answer is a twelfth of the trace.",
        ),
        Mistake(
            "variance 1/3",
            lambda A, u: _estimate(A, 2 * u - 1),
            "The probe is uniform on [-1, 1], whose variance is 1/3: on average the answer is a third of the trace. The "
            "largest value is 1, but it is the mean square that must be.",
        ),
        Mistake(
            "not centred",
            lambda A, u: _estimate(A, 12**0.5 * u),
            "The probe has variance 1, but not mean 0, so E[v_i v_j] is not 0 either, and all entries of the matrix get in.",
        ),
        Mistake(
            "scaled by the variance",
            lambda A, u: _estimate(A, 12 * (u - 0.5)),
            "The probe is divided by its variance; its standard deviation should become 1.",
        ),
        Mistake(
            "probe on one side only",
            lambda A, u: _estimate(A, 12**0.5 * (u - 0.5), torch.ones_like(u)),
            "The entries of v^T A are summed. The probe must stand on both sides: only then do E[v_i v_j] pick the diagonal.",
        ),
        Mistake(
            "scaled before the shift",
            lambda A, u: _estimate(A, 12**0.5 * u - 0.5),
            "The numbers are scaled first and shifted by 1/2 then, but their mean has grown with them: shift first.",
        ),
        Mistake(
            "scaled the wrong way",
            lambda A, u: _estimate(A, (u - 0.5) / 12**0.5),
            "The probe was made smaller still: u - 1/2 has the variance 1/12, and must be *divided* by its own deviation, "
            "the root of 1/12.",
        ),
        Mistake(
            "signs only",
            lambda A, u: _estimate(A, (u - 0.5).sign()),
            "Random signs are a good probe, but another one. Here it is to be made from u by shifting and scaling alone.",
        ),
        Mistake(
            "mean over the entries",
            lambda A, u: _estimate(A, 12**0.5 * (u - 0.5)) / u.shape[1],
            "The mean over the D entries was taken; the trace is their sum.",
        ),
    ),
    hints=(
        "Two conditions: mean 0, and variance 1. What are the mean and the variance of a uniform number on [0, 1)?",
        "The variance of u is the integral of (u - 1/2)^2 from 0 to 1.",
        "v^T A v of each row: ((v @ A) * v).sum(1).",
    ),
)


# 4.4


def _matching_cases(generator):
    for alpha, sigma in ((1.0, 0.3), (0.7, 0.6)):
        yield case(
            _bent(normal(generator, 3, 3)),
            normal(generator, 5, 3),
            normal(generator, 5, 3),
            alpha,
            sigma,
            given=f"at alpha = {alpha}, sigma = {sigma}",
        )


def _matching_truth(score, x, eps, alpha, sigma):
    return score_matching.denoising(score, x, eps, sigma, alpha)


def _matching(score, x, eps, a, s, target=None, at=None, factor=0.5):
    at = a * x + s * eps if at is None else at
    return factor * (score(at) - (-eps / s if target is None else target)).square().sum(1)


MATCHING = Exercise(
    number="4.4",
    title="The loss that trains everything",
    function="noise_matching",
    cases=_matching_cases,
    truth=_matching_truth,
    read="'Denoising is score matching' and equation (eq-denoising)",
    mistakes=(
        Mistake(
            "sign of the target",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, target=e / s),
            "The target is +eps/sigma: the network would learn to point away from the data. The arrow leads from x_t back to "
            "alpha x, against the noise.",
        ),
        Mistake(
            "target not divided by sigma",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, target=-e),
            "The target is -eps. That is the noise (with a minus), not the score: the gradient of "
            "-|x_t - alpha x|^2/(2 sigma^2) has another size.",
        ),
        Mistake(
            "target divided by the variance",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, target=-e / s**2),
            "The target is -eps/sigma^2. It is x_t - alpha x = sigma eps that is divided by sigma^2.",
        ),
        Mistake(
            "score asked at the clean picture",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, at=x),
            "The score is asked at x. It must see the noised x_t only, or there is nothing to guess.",
        ),
        Mistake(
            "half missing",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, factor=1.0),
            "Every value is twice what it should be: the units are those of |s|^2/2.",
        ),
        Mistake(
            "weighted by the variance",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, factor=s**2 / 2),
            "This has the weight sigma^2 of equation (eq-ncsn); the bare loss of one level was asked for.",
        ),
        Mistake(
            "arrow to x",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, target=(x - a * x - s * e) / s**2),
            "The arrow leads from x_t to x. The law of x_t given x has its middle at alpha x: that is where it must lead.",
        ),
        Mistake(
            "alpha forgotten",
            lambda f, x, e, a, s: _matching(f, x, e, a, s, at=x + s * e),
            "The score is asked at x + sigma eps. x_t holds alpha x: at alpha = 1 nobody would notice.",
        ),
        Mistake(
            "mean over the dimensions",
            lambda f, x, e, a, s: _matching(f, x, e, a, s) / x.shape[1],
            "The mean over the dimensions was taken: |s|^2 is their sum.",
        ),
    ),
    hints=(
        "First x_t. Then the arrow from x_t back to alpha x, in the units of a score.",
        "The gradient of -|x_t - alpha x|^2/(2 sigma^2) by x_t, with x_t - alpha x = sigma eps.",
    ),
)


# 4.5


def _leftover_cases(generator):
    mixture = GaussianMixture([0.4, 0.6], normal(generator, 2, 3), [0.3, 0.8])
    for alpha, sigma in ((1.0, 0.5), (0.6, 0.8)):
        x_t = alpha * mixture.sample(5, generator) + sigma * normal(generator, 5, 3)
        _, div = divergence.exact(lambda x, a=alpha, s=sigma: mixture.score(x, a, s), x_t)
        yield case(div.detach(), 3, alpha, sigma, given=f"at alpha = {alpha}, sigma = {sigma}")


def _leftover_truth(div, dims, alpha, sigma):
    """Of Gaussian data with that divergence: its variance l from -dims/(alpha^2 l + sigma^2), then what is left of it."""
    noised = -dims / div
    l = (noised - sigma**2) / alpha**2
    return dims * l * sigma**2 / noised


LEFTOVER = Exercise(
    number="4.5",
    title="How sure is the guess?",
    function="leftover",
    cases=_leftover_cases,
    truth=_leftover_truth,
    read="'Tweedie: the arrow knows the picture' and equation (eq-tweedie)",
    mistakes=(
        Mistake(
            "the identity forgotten",
            lambda div, D, a, s: s**4 / a**2 * div,
            "Only the divergence is left, and it is negative near the data: a squared error cannot be. The Jacobian of "
            "x_t itself is the identity, whose trace is D.",
        ),
        Mistake(
            "sign of the divergence",
            lambda div, D, a, s: s**2 / a**2 * (D - s**2 * div),
            "The divergence is subtracted. Where the data are sharp the arrows run together, div < 0, and the guess is "
            "*surer* than the noise alone would allow.",
        ),
        Mistake(
            "alpha forgotten",
            lambda div, D, a, s: s**2 * (D + s**2 * div),
            "This is in the units of x_t. The guess is about x, and x_t shows alpha x: that counts twice.",
        ),
        Mistake(
            "alpha once",
            lambda div, D, a, s: s**2 / a * (D + s**2 * div),
            "alpha occurs once and must occur twice: once in Tweedie's formula, once because the slope of x_hat is a "
            "covariance of x with alpha x over sigma^2.",
        ),
        Mistake(
            "the slope, not the variance",
            lambda div, D, a, s: (D + s**2 * div) / a,
            "This is the divergence of x_hat: how much the guess moves when x_t moves. The spread of x is in proportion "
            "to it, but is not yet it: which factor turns the slope of x_hat into a variance?",
        ),
        Mistake(
            "mean over the dimensions",
            lambda div, D, a, s: s**2 / a**2 * (1 + s**2 * div / D),
            "This is the mean over the dimensions; the sum of squares was asked for.",
        ),
        Mistake(
            "trace of the identity",
            lambda div, D, a, s: s**2 / a**2 * (1 + s**2 * div),
            "The Jacobian of x_t itself is the identity, and you counted its trace as 1; it is D.",
        ),
        Mistake(
            "deviation for variance",
            lambda div, D, a, s: s**2 / a**2 * (D + s * div),
            "The divergence is multiplied by sigma. Tweedie's formula (eq-tweedie) has sigma^2 at the score.",
        ),
        Mistake(
            "factor upside down",
            lambda div, D, a, s: a**2 / s**2 * (D + s**2 * div),
            "The factor alpha^2/sigma^2 is upside down: with little noise the guess is sure, and little is left.",
        ),
    ),
    hints=(
        "x_hat = integral of x p(x) q(x_t | x) dx over p_t. Its derivative by x_t brings down two arrows: one from q, "
        "one from p_t.",
        "So the Jacobian of x_hat is Cov[x, grad log q(x_t | x) | x_t] = alpha/sigma^2 Cov[x | x_t].",
        "Now differentiate Tweedie's formula instead, and take the trace of both.",
        "Test: for data N(0, l) on a line the divergence is -1/(alpha^2 l + sigma^2), and what is left is "
        "1/(1/l + alpha^2/sigma^2).",
    ),
)


# 4.6


def _variance_cases(generator):
    for size, steps in ((0.3, 5), (1.1, 3), (2.5, 12)):
        s2 = uniform(generator, 0.8, 2, 1).item()
        start = uniform(generator, 3, 6, 1).item()
        yield case(start, s2, size, steps, given=f"after {steps} steps of size {size} from {start:.2f}, s^2 = {s2:.2f}")


def _variance_truth(start, s2, size, steps):
    """The package's own step, asked for its two factors, and its recursion."""
    sigma = 0.5
    gaussian = GaussianMixture([1.0], [[0.0]], [s2 - sigma**2]).denoiser(EDM(1.0))
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    step = langevin.langevin(size)
    keep, shake = (step(gaussian, x, sigma, sigma, {}, lambda z=z: z).item() for x, z in ((one, none), (none, one)))
    variance = start
    for _ in range(steps):
        variance = keep**2 * variance + shake**2
    return variance


def _walked(start, s2, size, steps, drift=0.5, shake=1.0, power=2):
    variance = start
    for _ in range(steps):
        variance = (1 - drift * size / s2) ** power * variance + shake * size
    return variance


def _at_rest(s2, size):
    return s2 / (1 - size / (4 * s2))


def _solved(start, s2, size, steps, power=2, rest=None, from_rest=True):
    """The recursion solved."""
    rest = _at_rest(s2, size) if rest is None else rest
    return rest + (1 - size / (2 * s2)) ** (power * steps) * (start - rest * from_rest)


VARIANCE = Exercise(
    number="4.6",
    title="The variance on its way",
    function="variance_after",
    cases=_variance_cases,
    truth=_variance_truth,
    read="'Langevin: arrows and shaking' and equation (eq-stationary)",
    mistakes=(
        Mistake(
            "forms mixed, too cold",
            lambda *a: _walked(*a, drift=1.0),
            "The arrow of one form (h) with the shake of the other (sqrt(h)): these walkers come to rest at half the "
            "variance. Either h/2 and sqrt(h), or h and sqrt(2h).",
        ),
        Mistake(
            "forms mixed, too hot",
            lambda *a: _walked(*a, shake=2.0),
            "The arrow of one form (h/2) with the shake of the other (sqrt(2h)): these walkers come to rest at twice the "
            "variance. Either h/2 and sqrt(h), or h and sqrt(2h).",
        ),
        Mistake(
            "the other form",
            lambda *a: _walked(*a, drift=1.0, shake=2.0),
            "These are steps of h and sqrt(2h): right in themselves, but twice as long as those of equation (eq-langevin).",
        ),
        Mistake(
            "factor not squared",
            lambda *a: _walked(*a, power=1),
            "The variance is multiplied by the factor of x. If x shrinks by a factor, its variance shrinks by the square.",
        ),
        Mistake(
            "the end of all walks",
            lambda start, s2, size, steps: _at_rest(s2, size),
            "This is the variance at rest, whatever the start. After a few steps the walkers still remember where they "
            "came from.",
        ),
        Mistake(
            "no noise",
            lambda *a: _walked(*a, shake=0.0),
            "Only the start is left, shrunk; every step also adds its own variance.",
        ),
        Mistake(
            "deviation for variance",
            lambda *a: _walked(*a) ** 0.5,
            "This is the standard deviation; the variance was asked for.",
        ),
        Mistake(
            "a power of steps",
            lambda *a: _solved(*a, power=1),
            "What a step leaves of V - V_rest is the factor of x *squared*: over all the steps its power is 2 steps, not "
            "steps.",
        ),
        Mistake(
            "times the steps, not to their power",
            lambda start, s2, size, steps: _solved(start, s2, size, 1) * steps - _at_rest(s2, size) * (steps - 1),
            "The square of the factor is multiplied by the number of steps: r**2 * n is (r**2) * n. The power is 2 n.",
        ),
        Mistake(
            "at rest without bias",
            lambda start, s2, size, steps: _solved(start, s2, size, steps, rest=s2),
            "Your walkers come to rest at s^2. With steps of this size they stay too wide: V_rest is that of equation "
            "(eq-stationary).",
        ),
        Mistake(
            "the start not measured from rest",
            lambda *a: _solved(*a, from_rest=False),
            "The start itself fades away beside V_rest. It is the distance from rest, start - V_rest, that each step "
            "multiplies: with no steps at all the variance must be `start`.",
        ),
        Mistake(
            "deviation of the shake",
            lambda start, s2, size, steps: _walked(start, s2, size, steps, shake=size**-0.5),
            "Each step adds sqrt(h), the deviation of the shake. Variances add: the shake's is h.",
        ),
        Mistake(
            "one step too few",
            lambda start, s2, size, steps: _walked(start, s2, size, steps - 1),
            "This is the variance one step earlier.",
        ),
    ),
    hints=(
        "One step: V' = r^2 V + h. What is r?",
        "Measured from the variance at rest, V - V_rest, a step only multiplies.",
        "V_rest is equation (eq-stationary).",
    ),
)


# 4.7


def _level_score(data: GaussianMixture):
    return lambda x, sigma: data.score(x, 1.0, float(sigma))


def _annealed_cases(generator):
    for levels, n in ((3, 2), (4, 1)):
        data = GaussianMixture([0.3, 0.7], normal(generator, 2, 2), [0.2, 0.4])
        sigmas = torch.logspace(math.log10(3.0), math.log10(0.4), levels, dtype=torch.float64)
        x = 3 * normal(generator, 5, 2)
        noise = normal(generator, levels, n, 5, 2)
        yield case(_level_score(data), x, sigmas, 0.3, noise, given=f"with {levels} levels of {n} steps")


class _AtLevel:
    """The score as a denoiser under sigma = 3 t, so that the package's steps can walk along it."""

    def __init__(self, score):
        self.field, self.schedule = score, EDM(3.0)

    def score(self, x, t):
        return self.field(x, self.schedule(t)[1])


def _annealed_truth(score, x, sigmas, size, noise):
    """The package's Langevin steps, level by level, with the draws handed to them."""
    denoiser = _AtLevel(score)
    for sigma, draws in zip(sigmas.tolist(), noise, strict=True):
        step = langevin.langevin(size * sigma**2)
        for z in draws:
            x = step(denoiser, x, sigma / 3, sigma / 3, {}, lambda z=z: z)
    return x


def _squared(sigma, first, last):
    return sigma**2


def _annealed(score, x, sigmas, size, noise, scale=_squared, drift=0.5, shake=1.0, reuse=False, power=0.5):
    for sigma, draws in zip(sigmas.tolist(), noise, strict=True):
        h = size * scale(sigma, sigmas[0].item(), sigmas[-1].item())
        for z in draws:
            x = x + drift * h * score(x, sigma) + (shake * h) ** power * (draws[0] if reuse else z)
    return x


def _loops_exchanged(score, x, sigmas, size, noise):
    for round_ in noise.transpose(0, 1):
        x = _annealed(score, x, sigmas, size, round_[:, None])
    return x


ANNEALED = Exercise(
    number="4.7",
    title="Annealed Langevin",
    function="annealed",
    cases=_annealed_cases,
    truth=_annealed_truth,
    read="'Islands that do not know of each other' and equation (eq-annealed)",
    mistakes=(
        Mistake(
            "step not scaled",
            lambda *a: _annealed(*a, scale=lambda sigma, first, last: 1.0),
            "The step has the same size at every level. What suits a noise of 3 is far too long for a noise of 0.4: "
            "equation (eq-annealed) has a factor that goes down with the level.",
        ),
        Mistake(
            "scaled by sigma",
            lambda *a: _annealed(*a, scale=lambda sigma, first, last: sigma),
            "The step is scaled by sigma. h is in the units of a variance: its root is the length of the shake.",
        ),
        Mistake(
            "scaled upside down",
            lambda *a: _annealed(*a, scale=lambda sigma, first, last: (last / sigma) ** 2),
            "The step grows where the noise goes down. It should be long at the first level and short at the last.",
        ),
        Mistake(
            "scaled to the last level",
            lambda *a: _annealed(*a, scale=lambda sigma, first, last: (sigma / last) ** 2),
            "The step is size * (sigma/sigma_L)^2, as the paper writes it: there epsilon is the step of the last level. "
            "Here h = size * sigma^2.",
        ),
        Mistake(
            "forms mixed, too cold",
            lambda *a: _annealed(*a, drift=1.0),
            "The arrow counts with h and the shake with sqrt(h): half of one form and half of the other.",
        ),
        Mistake(
            "forms mixed, too hot",
            lambda *a: _annealed(*a, shake=2.0),
            "The arrow counts with h/2 and the shake with sqrt(2h): half of one form and half of the other.",
        ),
        Mistake(
            "one shake a level",
            lambda *a: _annealed(*a, reuse=True),
            "All steps of a level are shaken by the same z. Each needs its own.",
        ),
        Mistake(
            "the other form",
            lambda *a: _annealed(*a, drift=1.0, shake=2.0),
            "These are steps of h and sqrt(2h): right in themselves, but twice as long as those of equation (eq-langevin).",
        ),
        Mistake(
            "h for sqrt(h)",
            lambda *a: _annealed(*a, power=1.0),
            "The shake is multiplied by h. h is its *variance*: z is multiplied by the root.",
        ),
        Mistake(
            "shake not scaled",
            lambda score, x, sigmas, size, noise: _annealed(
                score, x, sigmas, size, noise / sigmas.reshape(-1, 1, 1, 1)
            ),
            "The arrow has the step of its level, and the shake is as strong as at noise 1 everywhere: both must know the "
            "same h.",
        ),
        Mistake(
            "downhill",
            lambda *a: _annealed(*a, drift=-0.5),
            "Your walkers go against the arrows, to where the density is low.",
        ),
        Mistake(
            "loops exchanged",
            _loops_exchanged,
            "Your walkers go through all levels again and again. At each level all its steps come first, and then the next.",
        ),
    ),
    hints=(
        "Two loops: over the levels, and over the steps of a level. noise[i, j] is the z of step j at level i.",
        "At level i the size is h = size * sigma_i^2; then equation (eq-langevin).",
    ),
)


# 4.8


COOLING_MOVES, COOLING_SHARE = 120, 0.5
VARIANCES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


def _cooling_cases(generator):
    yield case(5.0, 0.05, COOLING_MOVES)
    yield case(4.0, 0.1, COOLING_MOVES)


def cooling_error(plan: torch.Tensor, first: float, last: float) -> float:
    """max over l of |log V - log(l + last^2)|, V propagated exactly along the moves."""
    l = torch.tensor(VARIANCES, dtype=torch.float64)
    variance = torch.full_like(l, first**2)
    for sigma, h in plan.double():
        variance = (1 - h / (2 * (l + sigma**2))) ** 2 * variance + h
    return (variance / (l + last**2)).log().abs().nan_to_num(math.inf).max().item()


def plain_cooling(first: float, last: float, moves: int, size: float = 0.5) -> torch.Tensor:
    """The geometric row with h = size sigma^2."""
    sigma = torch.logspace(math.log10(first), math.log10(last), moves, dtype=torch.float64)
    return torch.stack([sigma, size * sigma**2], 1)


def _cooling_share(arguments, answer) -> float:
    return cooling_error(answer, *arguments[:2]) / cooling_error(plain_cooling(*arguments), *arguments[:2])


def _unscaled(arguments, answer) -> bool:
    return bool((answer[:, 1] - answer[0, 1]).abs().max() < 1e-9 * answer[0, 1].abs())


def _rises(plan) -> list[int]:
    """The rows after which sigma rises, by more than float32 rounds."""
    sigma = plan[:, 0].double()
    return (sigma[1:] > sigma[:-1] * (1 + 1e-6)).nonzero().flatten().tolist()


COOLING = Exercise(
    number="4.8",
    title="Open: better cooling",
    function="better_cooling",
    cases=_cooling_cases,
    truth=None,
    read="'Islands that do not know of each other', and equation (eq-stationary) for what a size costs",
    conditions=(
        Condition(
            lambda arguments, answer: (
                isinstance(answer, torch.Tensor)
                and answer.ndim == 2
                and answer.shape[1] == 2
                and bool(answer.isfinite().all())
            ),
            lambda arguments, answer: f"a finite tensor ({arguments[2]}, 2) of rows (sigma, h) was expected",
        ),
        Condition(
            lambda arguments, answer: len(answer) == arguments[2],
            lambda arguments, answer: f"{len(answer)} moves came out, {arguments[2]} were asked for",
            "number of moves",
        ),
        Condition(
            lambda arguments, answer: not len(_rises(answer)),
            lambda arguments, answer: (
                f"sigma must never rise: cooling goes from much noise to little. Yours rises in move {_rises(answer)[0] + 2}"
            ),
            "sigma that rises",
        ),
        Condition(
            lambda arguments, answer: (
                answer[0, 0] <= arguments[0] * (1 + 1e-5) and abs(answer[-1, 0].item() / arguments[1] - 1) < 1e-5
            ),
            lambda arguments, answer: (
                f"sigma runs from {answer[0, 0]:.7g} to {answer[-1, 0]:.7g}; it must start at {arguments[0]:g} at most, and "
                f"end at {arguments[1]:g}"
            ),
            "ends moved",
        ),
        Condition(
            lambda arguments, answer: bool((answer[:, 1] > 0).all()),
            lambda arguments, answer: "every size h must be positive",
        ),
        Condition(
            lambda arguments, answer: not _unscaled(arguments, answer),
            lambda arguments, answer: (
                f"h is {answer[0, 1]:.3g} at every level, and the error is {cooling_error(answer, *arguments[:2]):.2g}. A "
                "move must be short where the noise is small, or the walkers fly off, and long where it is large, or they "
                "never come home"
            ),
            "step not scaled",
        ),
        Condition(
            lambda arguments, answer: not torch.allclose(answer.double(), plain_cooling(*arguments), rtol=1e-3, atol=0),
            lambda arguments, answer: (
                "this is the row to beat, not one that beats it. Where does its error come from: from sizes that are too "
                "large for their level, or from walkers that lag behind the level?"
            ),
            "the row to beat",
        ),
        Condition(
            lambda arguments, answer: _cooling_share(arguments, answer) <= COOLING_SHARE,
            lambda arguments, answer: (
                f"your error is {cooling_error(answer, *arguments[:2]):.3g}, {_cooling_share(arguments, answer):.3g} times "
                f"that of the plain row; at most {COOLING_SHARE} of it was asked for"
            ),
        ),
    ),
    reached=lambda arguments, answer: (
        f"your error is {_cooling_share(arguments, answer):.3f} times that of the plain row, wanted was {COOLING_SHARE} at most"
    ),
    hints=(
        "Propagate the variance exactly, as the text does, and print the error of each l. Which l is the worst?",
        "Two faults: the walkers lag behind a falling level, and at rest they are too wide by 1/(1 - h/4). Large h cures "
        "the first, small h the second. Must h/sigma^2 be the same all the way?",
        "Data of variance 1 at most: do the levels far above 1 do anything that one long move could not?",
        "Keep some moves for the last sigma, and let h shrink there: who is no longer behind can afford small steps.",
    ),
)


EXERCISES = [MIXTURE, IMPLICIT, PROBE, MATCHING, LEFTOVER, VARIANCE, ANNEALED, COOLING]
