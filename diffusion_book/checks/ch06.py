"""The exercises of chapter 6, the probability-flow ODE and exact likelihood."""

import math
from itertools import pairwise

import torch

from diffusion_book import elbo, likelihood
from diffusion_book.checks.draws import case, normal, uniform
from diffusion_book.checks.exercise import Condition, Exercise, Mistake
from diffusion_book.exact import GaussianMixture
from diffusion_book.schedules import VP

# 6.1


def _velocity_cases(generator):
    for _ in range(2):
        f, g = -uniform(generator, 0.1, 8, 1).item(), uniform(generator, 0.4, 4, 1).item()
        yield case(normal(generator, 5, 2), normal(generator, 5, 2), f, g, given=f"with f = {f:.3g}, g = {g:.3g}")


def _velocity_truth(x, score, f, g):
    """Half way between the forward drift and Anderson's reverse drift."""
    forward, reverse = f * x, f * x - g**2 * score
    return (forward + reverse) / 2


VELOCITY = Exercise(
    number="6.1",
    title="The velocity of the cloud",
    function="flow_velocity",
    cases=_velocity_cases,
    truth=_velocity_truth,
    read="'From random steps to a steady wind' and equation (eq-flow-ode)",
    mistakes=(
        Mistake(
            "half missing",
            lambda x, score, f, g: f * x - g**2 * score,
            "The score's part is twice what it should be. This is the drift of the reverse SDE, which needs the other "
            "half to make up for the noise that it adds; the ODE adds none.",
        ),
        Mistake(
            "sign of the score",
            lambda x, score, f, g: f * x + g**2 / 2 * score,
            "The score points towards where the cloud is dense. Forward in time noise drives the cloud apart: away "
            "from there.",
        ),
        Mistake(
            "g for its square",
            lambda x, score, f, g: f * x - g / 2 * score,
            "g stands where its square belongs: g is a deviation per root of time, and what spreads a density is the "
            "variance.",
        ),
        Mistake(
            "drift alone",
            lambda x, score, f, g: f * x,
            "This is the SDE's drift alone. Without the noise's share the cloud shrinks to a point.",
        ),
        Mistake(
            "drift without x",
            lambda x, score, f, g: f - g**2 / 2 * score,
            "The drift is f times x: every point is drawn in in proportion to its distance.",
        ),
        Mistake(
            "half on both",
            lambda x, score, f, g: (f * x - g**2 * score) / 2,
            "f x is halved, too. The half comes from Fokker-Planck's second term and belongs to the score's part alone.",
        ),
        Mistake(
            "time reversed",
            lambda x, score, f, g: g**2 / 2 * score - f * x,
            "This is the velocity of the way back, with the sign of a dt < 0 already in it. dx/dt is the same field in both "
            "directions: the sign comes with the step.",
        ),
    ),
    hints=(
        "Fokker-Planck has two terms. The first is already of the form -div(something times p).",
        "Write the gradient of p as p times the gradient of log p, and the second term has that form too. What is its "
        "something?",
    ),
)


# 6.2


def _flow_cases(generator):
    for ends in ((0.999, 0.045, 0.3, 0.954), (0.2, 0.98, 0.9, 0.436), (1.0, 0.1, 1.0, 7.0)):
        l = 10 ** uniform(generator, -2, 0.7, 4)
        yield case(normal(generator, 5, 4), normal(generator, 4), l, *ends)


def _flow_truth(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    ends = {0.0: (alpha_t, sigma_t), 1.0: (alpha_s, sigma_s)}
    data = GaussianMixture([1.0], m[None], torch.diag(l)[None])
    return likelihood.gaussian_flow(data, ends.__getitem__, x, 0.0, 1.0)


def _flow(x, m, l, a_t, s_t, a_s, s_s, power=0.5, noise=1.0, log=0.5, centres=None, alpha_power=2, sigma_power=2):
    """centres: the cloud's at t and at s, where they are not those of the law."""
    variances = [alpha**alpha_power * l + noise * sigma**sigma_power for alpha, sigma in ((a_t, s_t), (a_s, s_s))]
    ratio = variances[1] / variances[0]
    before, after = centres or (a_t * m, a_s * m)
    return after + ratio**power * (x - before), log * ratio.log().sum().item()


FLOW = Exercise(
    number="6.2",
    title="The flow of a Gaussian",
    function="flow_of_gaussian",
    cases=_flow_cases,
    truth=_flow_truth,
    read="'A flow that can be written down' and equation (eq-gaussian-flow)",
    mistakes=(
        Mistake(
            "root forgotten",
            lambda *a: _flow(*a, power=1.0, log=1.0),
            "Distances from the centre are stretched by the ratio of the variances. Deviations stretch by its root, and "
            "the log det is half of the log ratio.",
        ),
        Mistake(
            "ratio upside down",
            lambda *a: _flow(*a, power=-0.5, log=-0.5),
            "The ratio is upside down: this is the map that leads from s to t. Whoever goes towards noise is stretched "
            "where the data are narrow.",
        ),
        Mistake(
            "log det of the inverse",
            lambda *a: _flow(*a, log=-0.5),
            "The points are right, the log det has the wrong sign: asked for is that of the map from t to s, the log of "
            "the factor by which a small volume grows on the way.",
        ),
        Mistake(
            "half missing in the log det",
            lambda *a: _flow(*a, log=1.0),
            "The points are right, the log det is twice what it should be: the map multiplies each axis by the root of "
            "its ratio.",
        ),
        Mistake(
            "centre left behind",
            lambda *a: _flow(*a, centres=(a[3] * a[1], a[3] * a[1])),
            "The cloud's centre has stayed where it was at time t. It moves as the mean of x_t does, with alpha.",
        ),
        Mistake(
            "noise left out",
            lambda *a: _flow(*a, noise=0.0),
            "The variance of x_t on an axis is not alpha^2 l alone: the noise's variance comes on top. As it is, your map "
            "shrinks the picture and knows nothing of the noise.",
        ),
        Mistake(
            "centre of the data",
            lambda *a: _flow(*a, centres=(a[1], a[1])),
            "The stretch is about m, the mean of the data. The mean of x_t is alpha_t m, and it becomes alpha_s m.",
        ),
        Mistake(
            "deviation for variance",
            lambda *a: _flow(*a, sigma_power=1),
            "The noise was added as sigma. Variances of independent summands add, deviations do not.",
        ),
        Mistake(
            "alpha for its square",
            lambda *a: _flow(*a, alpha_power=1),
            "The variance of alpha x is alpha^2 l, and yours has alpha l.",
        ),
        Mistake(
            "mean over the axes",
            lambda *a: _flow(*a, log=0.5 / len(a[1])),
            "The points are right, the log det is the mean of the axes' logs: a volume is multiplied by all the factors.",
        ),
    ),
    hints=(
        "What are mean and variance of x_t on one axis, if x has mean m and variance l there?",
        "The flow must carry one Gaussian into the other and is linear on each axis: which stretch about the centre "
        "does that?",
        "The log det of a map that stretches each axis by its own factor is the sum of the logs of the factors.",
    ),
)


# 6.3


def _between_cases(generator):
    for w in (0.25, 0.7):
        yield case(normal(generator, 4, 6), 2 * normal(generator, 4, 6), w, given=f"with w = {w}")


def _between_truth(a, b, w):
    return likelihood.slerp(a, b, w)


def _chord(a, b, w):
    return (1 - w) * a + w * b


def _stretched(a, b, w):
    chord = _chord(a, b, w)
    length = (1 - w) * a.norm(dim=1) + w * b.norm(dim=1)
    return chord * (length / chord.norm(dim=1))[:, None]


def _one_angle(a, b, w):
    angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)


def _apart(a, b, w):
    lengths = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    return _chord(*lengths, w) * _between_truth(a / lengths[0], b / lengths[1], w)


def _angle(a, b):
    return torch.acos(torch.cosine_similarity(a, b))[:, None]


def _sines(a, b, w, angle, over_a=True):
    """Equation (eq-slerp) with this angle, of shape (B, 1)."""
    left, right = torch.sin((1 - w) * angle), torch.sin(w * angle) / torch.sin(angle)
    return (left / torch.sin(angle) if over_a else left) * a + right * b


BETWEEN = Exercise(
    number="6.3",
    title="Along the arc",
    function="between",
    cases=_between_cases,
    truth=_between_truth,
    read="'Between two pictures' and equation (eq-slerp)",
    mistakes=(
        Mistake(
            "chord",
            _chord,
            "This is the chord. Half way along it between two codes at a right angle the length is 0.71 of theirs, and "
            "with the length the picture loses contrast.",
        ),
        Mistake(
            "chord stretched",
            _stretched,
            "The length is that of an arc, but the place is not: points at equal steps along the chord do not lie at equal "
            "angles.",
        ),
        Mistake(
            "lengths apart",
            _apart,
            "The direction is right for codes of one length, but here length and direction were interpolated apart. "
            "Equation (eq-slerp) takes a and b with the lengths that they have.",
        ),
        Mistake(
            "ends exchanged",
            lambda a, b, w: _between_truth(b, a, w),
            "At w = 0 yours starts at b. Which of the two sines is zero there?",
        ),
        Mistake(
            "one angle for all rows",
            _one_angle,
            "All rows share one angle. Each row of a batch is a code of its own: take the product and the lengths over "
            "dim=1.",
        ),
        Mistake(
            "not divided by the sine",
            lambda a, b, w: _between_truth(a, b, w) * torch.sin(_angle(a, b)),
            "At w = 0 yours is a times the sine of the angle, not a.",
        ),
        Mistake(
            "one term not divided",
            lambda a, b, w: _sines(a, b, w, _angle(a, b), over_a=False),
            "Only the second term is divided by the sine of the angle: / binds more strongly than +. At w = 0 yours is a "
            "times that sine.",
        ),
        Mistake(
            "degrees",
            lambda a, b, w: _sines(a, b, w, torch.rad2deg(_angle(a, b))),
            "Your angle is in degrees. torch.sin takes radians, which is what torch.acos gives.",
        ),
        Mistake(
            "cosine for the angle",
            lambda a, b, w: _sines(a, b, w, _angle(a, b).cos()),
            "The cosine is used as if it were the angle. torch.acos makes an angle of it.",
        ),
        Mistake(
            "lengths not divided out",
            lambda a, b, w: _sines(a, b, w, torch.acos((a * b).sum(1, keepdim=True))),
            "The product of the rows is taken for the cosine of their angle, and beyond 1 that has none. It is so for rows of "
            "length 1 only: divide by both lengths.",
        ),
    ),
    hints=(
        "The cosine of the angle between two rows is their product over their lengths.",
        "Try a and b at a right angle: then the result must be cos(w pi/2) a + sin(w pi/2) b.",
    ),
)


# 6.4


def _density_cases(generator):
    A = 0.7 * normal(generator, 2, 2)
    shift = normal(generator, 2)

    def velocity(x, t):
        return torch.sin(x @ A.T + t) + shift * t

    def divergence(x, t):
        return (torch.cos(x @ A.T + t) * A.diag()).sum(1)

    def log_prior(x):
        return likelihood.log_normal(x, 1.3)

    times = [0.01, 0.1, 0.3, 0.35, 0.8, 1.0]
    yield case(velocity, divergence, log_prior, normal(generator, 5, 2), times)


def _density_truth(velocity, divergence, log_prior, x, times):
    """The path first, then the sum of the divergences along it."""
    path = [x]
    for t, s in pairwise(times):
        path.append(path[-1] + (s - t) * velocity(path[-1], t))
    gains = [(s - t) * divergence(y, t) for y, (t, s) in zip(path, pairwise(times), strict=False)]
    return log_prior(path[-1]) + torch.stack(gains).sum(0)


def _euler(velocity, divergence, log_prior, x, times, sign=1.0, late=False, prior_at="code", step=1.0):
    start, volume = x, torch.zeros_like(x[:, 0])
    for t, s in pairwise(times):
        before, x = x, x + step * (s - t) * velocity(x, t)
        volume = volume + sign * step * (s - t) * divergence(x if late else before, t)
    return log_prior(start if prior_at == "picture" else x) + volume


def _second_order(velocity, divergence, log_prior, x, times, shares=(0.5, 0.5), at="guess", path="heun"):
    """Heun's rule for the path, or the midpoint rule; the divergence by its two values in these shares.

    at: the place of the second, the guess of the far end or the point to which the step leads.
    """
    volume = torch.zeros_like(x[:, 0])
    for t, s in pairwise(times):
        h = s - t
        before, guess = velocity(x, t), x + h * velocity(x, t)
        second, place = s, guess
        if path == "midpoint":
            second, place = t + h / 2, x + h / 2 * before
        slope = {"heun": (before + velocity(guess, s)) / 2, "midpoint": velocity(place, second), "euler": before}[path]
        x, start = x + h * slope, x
        place = place if at == "guess" else x
        volume = volume + h * (shares[0] * divergence(start, t) + shares[1] * divergence(place, second))
    return log_prior(x) + volume


HEUN = (
    "This is Heun's rule, the mean of both ends of a step. It is the better rule, but not the one in this code: the loop "
    "takes Euler steps, and each asks for velocity and divergence once, at its start."
)


DENSITY = Exercise(
    number="6.4",
    title="Find the bug: a likelihood that runs backwards",
    function="euler_log_density",
    cases=_density_cases,
    truth=_density_truth,
    read="'What happens to a small volume' and equation (eq-instantaneous)",
    mistakes=(
        Mistake(
            "as it was found",
            lambda *a: _euler(*a, sign=-1.0, late=True),
            "That is the code as it was found. It has two faults: one is a sign, the other is a matter of order.",
        ),
        Mistake(
            "divergence sign",
            lambda *a: _euler(*a, sign=-1.0),
            "The divergence has the wrong sign. On the way to noise a small volume grows where the divergence is positive, "
            "so the density falls on the way: it was higher at the start than at the end.",
        ),
        Mistake(
            "divergence after the step",
            lambda *a: _euler(*a, late=True),
            "The sign is right, but the divergence is taken at time t at the point of the next time. An Euler step asks "
            "for everything at its start.",
        ),
        Mistake(
            "prior at the picture",
            lambda *a: _euler(*a, prior_at="picture"),
            "The prior is asked about the picture. It knows the law of codes: ask it about where the path ends.",
        ),
        Mistake(
            "steps backwards",
            lambda *a: _euler(*a, step=-1.0),
            "Each step goes backwards in time: the length of a step is the next time minus this one, and the times rise.",
        ),
        Mistake("Heun's rule", _second_order, HEUN),
        Mistake("Heun's rule", lambda *a: _second_order(*a, at="end"), HEUN),
        Mistake(
            "Heun's rule for the path",
            lambda *a: _second_order(*a, shares=(1, 0)),
            "The path is that of Heun's rule, the mean of both ends of a step. The loop takes Euler steps: the velocity of "
            "the start alone.",
        ),
        Mistake(
            "Heun's rule for the volume",
            lambda *a: _second_order(*a, path="euler"),
            "The path is right, but the divergence is the mean of both ends of a step. An Euler step takes that of its "
            "start alone.",
        ),
        Mistake(
            "midpoint rule",
            lambda *a: _second_order(*a, shares=(0, 1), path="midpoint"),
            "This is the midpoint rule. It is the better rule, but not the one in this code: an Euler step asks for "
            "velocity and divergence at its start.",
        ),
        Mistake(
            "divergence of the far end",
            lambda *a: _second_order(*a, shares=(0, 1), path="euler"),
            "Point and time fit each other now, but both are those of the far end. An Euler step takes the divergence where "
            "it takes the velocity: at its start.",
        ),
        Mistake(
            "one step for all",
            lambda velocity, divergence, log_prior, x, times: _euler(
                velocity, divergence, log_prior, x, [times[0], times[-1]]
            ),
            "This is one step from the first time to the last. Each pair of neighbouring times is a step of its own.",
        ),
    ),
    hints=(
        "There are two faults. To find the first, try a field that only stretches: velocity x, divergence D.",
        "If a unit cube grows to twice its volume on the way, is the density at the start half of that at the end, or "
        "twice?",
        "The second: at which point, and at which time, does the found code ask for the divergence?",
    ),
)


# 6.5


STEPS, SHARE = 20, 0.1
CLOUD = GaussianMixture(
    [0.5, 0.3, 0.2],
    [[-1.2, 0.4], [1.1, 0.9], [0.5, -1.3]],
    [[[0.08, 0.05], [0.05, 0.1]], [[0.1, -0.06], [-0.06, 0.06]], [[0.3, 0.0], [0.0, 0.03]]],
)


def _times_cases(generator):
    for first in (1e-3, 5e-4, 1.6e-3, 10 ** uniform(generator, -3.5, -2.5, 1).item()):
        yield case(first, 1.0, STEPS, given=f"from t = {first:.1e}")


def density_error(times: torch.Tensor, n: int = 64) -> float:
    """Root mean square error, in nats, of log p by Heun steps at these times under VP, over n points of the mixture."""
    schedule, (first, last) = VP(), (times[0].item(), times[-1].item())
    (alpha, sigma), generator = schedule(first), torch.Generator().manual_seed(1)
    x = alpha * CLOUD.sample(n, generator) + sigma * normal(generator, n, 2)
    got = likelihood.log_density(
        CLOUD.denoiser(schedule), x, times, log_prior=lambda y: CLOUD.log_prob(y, *schedule(last)), method="heun2"
    )
    return (got.log_p - CLOUD.log_prob(x, alpha, sigma)).square().mean().sqrt().item()


def _uniform_times(arguments):
    first, last, steps = arguments
    return torch.linspace(first, last, steps + 1, dtype=torch.float64)


def _level_times(arguments):
    first, last, steps = arguments
    levels = torch.linspace(VP().logsnr(first), VP().logsnr(last), steps + 1, dtype=torch.float64)
    return VP().inverse_logsnr(levels)


def _share(arguments, answer) -> float:
    return density_error(answer.double()) / density_error(_uniform_times(arguments))


def _alike(answer, times) -> bool:
    return torch.allclose(answer.double(), times, rtol=0, atol=1e-4)


TIMES = Exercise(
    number="6.5",
    title="Open: twenty steps well placed",
    function="better_times",
    cases=_times_cases,
    truth=None,
    read="'Errors of the solver', where tolerance and fixed steps are compared",
    conditions=(
        Condition(
            lambda arguments, answer: isinstance(answer, torch.Tensor) and answer.ndim == 1,
            lambda arguments, answer: (
                f"a tensor of times was expected, shape ({arguments[2] + 1},), not {type(answer).__name__}"
            ),
        ),
        Condition(
            lambda arguments, answer: bool(answer.isfinite().all()),
            lambda arguments, answer: f"of the times {(~answer.isfinite()).sum()} are no finite numbers",
        ),
        Condition(
            lambda arguments, answer: len(answer) == arguments[2] + 1,
            lambda arguments, answer: (
                f"{len(answer)} times came out, {arguments[2] + 1} were expected: {arguments[2]} steps have one end more "
                "than there are steps"
            ),
            "number of times",
        ),
        Condition(
            lambda arguments, answer: bool((answer.diff() > 0).all()),
            lambda arguments, answer: (
                "the times must rise, from first (data) to last (noise), each above the one before"
            ),
            "times that do not rise",
        ),
        Condition(
            lambda arguments, answer: (
                abs(answer[0].item() / arguments[0] - 1) < 1e-5 and abs(answer[-1].item() / arguments[1] - 1) < 1e-5
            ),
            lambda arguments, answer: (
                f"the times run from {answer[0]:.7g} to {answer[-1]:.7g}, but the ends are given: {arguments[0]:g} and "
                f"{arguments[1]:g}. A density at another time is another density"
            ),
            "ends moved",
        ),
        Condition(
            lambda arguments, answer: not _alike(answer, _uniform_times(arguments)),
            lambda arguments, answer: (
                f"equal steps in t miss log p by {density_error(answer.double()):.3f} nats: this is the grid to beat. Where "
                "does the velocity change fastest?"
            ),
            "uniform in t",
        ),
        Condition(
            lambda arguments, answer: not _alike(answer, _level_times(arguments)),
            lambda arguments, answer: (
                f"equal steps in log-SNR miss log p by {_share(arguments, answer):.2f} times what equal steps in t do, where "
                f"at most {SHARE} was asked for: so many of them lie near the data that few are left for the middle, "
                "where the mixture parts"
            ),
            "uniform in log-SNR",
        ),
        Condition(
            lambda arguments, answer: _share(arguments, answer) <= SHARE,
            lambda arguments, answer: (
                f"with your times the error is {_share(arguments, answer):.3f} times that of equal steps in t; at most "
                f"{SHARE} was asked for"
            ),
        ),
    ),
    reached=lambda arguments, answer: (
        f"the error is {_share(arguments, answer):.4f} times that of equal steps in t, wanted was {SHARE} at most"
    ),
    hints=(
        "Equal steps in t are too long near the data, equal steps in log-SNR too short. Something between the two?",
        "Equal steps in a power of t lie between them and are not enough from every first, whatever the power. Near the "
        "data, below t = 0.01 or so, such steps are still too short: which change of variable is steep above that and "
        "nearly t itself below it?",
        "Build an evenly spaced tensor of the transformed time, transform back, and set both ends exactly.",
    ),
)


# 6.6


def _trace_cases(generator):
    for kind in ("signs", "Gaussian"):
        A = normal(generator, 5, 5) + torch.eye(5, dtype=torch.float64)
        v = normal(generator, 6, 5)
        v = torch.where(v > 0, 1.0, -1.0).double() if kind == "signs" else v

        def field(x, A=A):
            return torch.tanh(x @ A.T)

        yield case(field, normal(generator, 6, 5), v, given=f"with probes that are {kind}")


def _trace_truth(field, x, v):
    """Forwards: the directional derivative of the field along v, times v."""
    return (torch.func.jvp(field, (x,), (v,))[1] * v).sum(1)


def _product(field, x, left, right):
    return (torch.func.jvp(field, (x,), (right,))[1] * left).sum(1)


TRACE = Exercise(
    number="6.6",
    title="A trace for one backward pass",
    function="trace_estimate",
    cases=_trace_cases,
    truth=_trace_truth,
    read="'A trace you can afford' and equation (eq-flow-trace)",
    mistakes=(
        Mistake(
            "probe used once",
            lambda field, x, v: _product(field, x, v, torch.ones_like(v)),
            "The probe stands on one side only: J^T v was summed without v. Its mean over probes is zero, not the trace.",
        ),
        Mistake(
            "no probe",
            lambda field, x, v: _product(field, x, torch.ones_like(v), torch.ones_like(v)),
            "This is the sum of all entries of J, those off the diagonal included. Random signs make these cancel.",
        ),
        Mistake(
            "mean over the entries",
            lambda field, x, v: _product(field, x, v, v) / x.shape[1],
            "The mean over the D entries was taken; the trace is their sum.",
        ),
        Mistake(
            "probe of length one",
            lambda field, x, v: _product(field, x, v, v) / v.square().sum(1),
            "The probes were scaled to length one. A probe must have E[v v^T] = I, hence a length around the root of D.",
        ),
        Mistake(
            "one number for all rows",
            lambda field, x, v: _product(field, x, v, v).sum().expand(len(x)),
            "All rows were added up. Each row has its own trace.",
        ),
        Mistake(
            "probe used at the end only",
            lambda field, x, v: _product(field, x, torch.ones_like(v), v),
            "The gradient is that of the sum of all outputs, as in exercise 4.2: it adds up the rows of J before the probe "
            "sees them. The probe must weigh the outputs first, and then meet the gradient once more.",
        ),
        Mistake(
            "the exact trace",
            lambda field, x, v: torch.func.vmap(
                lambda row: torch.func.jacrev(lambda y: field(y[None])[0])(row).diagonal().sum()
            )(x),
            "This is the trace itself, which took a backward pass for each dimension. One pass with the probe v, v^T J v, "
            "was asked for.",
        ),
        Mistake(
            "field for its Jacobian",
            lambda field, x, v: (field(x) * v).sum(1),
            "This is the field times the probe, not yet a derivative of anything: take its gradient by x.",
        ),
    ),
    hints=(
        "torch.autograd.grad(outputs, inputs, grad_outputs) gives J^T times grad_outputs, row by row.",
        "The inputs must ask for a gradient before the field is called: x.detach().requires_grad_().",
    ),
)


# 6.7


def _bits_cases(generator):
    data = GaussianMixture([0.5, 0.5], uniform(generator, -0.9, 0.9, 2, 12), [0.02, 0.3])
    u = torch.randint(0, 256, (5, 12), generator=generator).double()
    yield case(data.log_prob, u, uniform(generator, 0, 1, 5, 12))


def _bits_truth(log_p, u, r):
    return elbo.bits_per_dim(-log_p((u + r) / 128 - 1), u.shape[1], elbo.scaling_offset(128.0))


def _bits(log_p, u, r, scale=128.0, offset=7.0, log2=True, per=None):
    return -log_p((u + r) / scale - 1) / ((per or u.shape[1]) * (math.log(2) if log2 else 1)) + offset


BITS = Exercise(
    number="6.7",
    title="The number at the end",
    function="bits_of_levels",
    cases=_bits_cases,
    truth=_bits_truth,
    read="'Nothing is off by a constant' and equation (eq-flow-bits)",
    mistakes=(
        Mistake(
            "dequantization missing",
            lambda log_p, u, r: _bits(log_p, u, 0 * r),
            "The levels were scored without r. A density on 256 values can be as high as you like: spread each level over "
            "its bin.",
        ),
        Mistake(
            "offset missing",
            lambda log_p, u, r: _bits(log_p, u, r, offset=0.0),
            "This is the density of x, a number between -1 and 1. Bits are asked for the levels, whose density is 128 "
            "times lower in every dimension.",
        ),
        Mistake(
            "offset with the wrong sign",
            lambda log_p, u, r: _bits(log_p, u, r, offset=-7.0),
            "The offset has the wrong sign: squeezing 256 levels into a length of 2 made the density higher, and undoing "
            "that costs bits.",
        ),
        Mistake(
            "offset of the other scaling",
            lambda log_p, u, r: _bits(log_p, u, r, offset=math.log2(127.5)),
            "log2(127.5) belongs to x = u/127.5 - 1. Dequantized levels fill 256 bins, and x = (u + r)/128 - 1.",
        ),
        Mistake(
            "the other scaling",
            lambda log_p, u, r: _bits(log_p, u, r, scale=127.5, offset=math.log2(127.5)),
            "With r added, u + r runs up to 256: divide by 128, or white lies beyond 1, where no training picture was.",
        ),
        Mistake(
            "log 2 missing",
            lambda log_p, u, r: _bits(log_p, u, r, log2=False),
            "The first term is still in nats: a bit is log 2 = 0.693 nats.",
        ),
        Mistake(
            "all 256 bins",
            lambda log_p, u, r: _bits(log_p, u, r, offset=8.0),
            "You added log2(256). The interval of x has length 2, so a bin is 1/128 wide there: x is u times 1/128.",
        ),
        Mistake(
            "not per dimension",
            lambda log_p, u, r: _bits(log_p, u, r, per=1),
            "The bits of the whole row stand beside an offset of one dimension. Divide log p by D, too.",
        ),
        Mistake(
            "sign of log p",
            lambda log_p, u, r: 14 - _bits(log_p, u, r),
            "log p has the wrong sign: what is likely costs few bits.",
        ),
    ),
    hints=(
        "Which x belongs to the level u with r added? 256 bins must fill the interval from -1 to 1.",
        "A model that is uniform on that interval must cost 8 bits: its log density is -D log 2.",
    ),
)


# 6.8


def _price_cases(generator):
    yield case(
        torch.tensor([1.3], dtype=torch.float64),
        torch.tensor([2.0], dtype=torch.float64),
        given="with one piece, a = 1.3",
    )
    for pieces in (2, 3):
        a, B = 1 + 0.4 * normal(generator, pieces), uniform(generator, 0.3, 2, pieces)
        yield case(a, B, given=f"with {pieces} pieces")


def _price_truth(a, B):
    """Each stretch in many small steps: of the ODE's variance, and of the price along the path."""
    variance, price, n = 1.0, 0.0, 100_000
    for slope, length in zip(a.tolist(), B.tolist(), strict=True):
        h = (slope - 1) * length / n  # from noise to data the ODE is dx = -(a - 1) x dB/2
        variance *= ((1 - h / 4) / (1 + h / 4)) ** (2 * n)
        step = length / n  # two steps of the SDE whose means differ by step (a - 1) x, with E x^2 = 1
        price += n * elbo.gaussian_kl(0.0, step, step * (slope - 1), step).item()
    return elbo.gaussian_kl(0.0, 1.0, 0.0, variance).item(), price


def _prices(a, B, power=-1.0, half=0.5, square_last=False, data=1.0, time=True):
    """data: the factor of the data's own score, which is 1."""
    miss, lengths = a - data, B if time else torch.ones_like(B)
    variance = math.exp(power * (miss * B).sum().item())
    bound = half * (miss**2 * lengths).sum().item()
    if square_last:
        bound = half * (miss * B).sum().item() ** 2 / B.sum().item()
    return elbo.gaussian_kl(0.0, 1.0, 0.0, variance).item(), bound


PRICES = Exercise(
    number="6.8",
    title="Two prices of one wrong score",
    function="two_prices",
    cases=_price_cases,
    truth=_price_truth,
    read="'Which is smaller?', where the counterexample is worked out",
    mistakes=(
        Mistake(
            "variance upside down",
            lambda a, B: _prices(a, B, power=1.0),
            "The first value belongs to one over the right variance. Either the flow was followed in the wrong direction "
            "(for a > 1 the score pulls too hard towards the centre, and the samples lie too close together), or the KL "
            "was taken the other way round (a likelihood is paid by the data: the mean is taken under them).",
        ),
        Mistake(
            "deviation for variance",
            lambda a, B: _prices(a, B, power=-0.5),
            "The first value belongs to a variance that is the root of the right one: x is multiplied by the exponential, "
            "and its variance by the square of that.",
        ),
        Mistake(
            "half missing in the bound",
            lambda a, B: _prices(a, B, half=1.0),
            "The bound's excess is twice what it should be: a Gaussian step with the wrong mean costs half the square of "
            "the miss over the variance.",
        ),
        Mistake(
            "mean before the square",
            lambda a, B: _prices(a, B, square_last=True),
            "In the bound, errors of opposite sign have cancelled. Each time pays for the square of its own error.",
        ),
        Mistake(
            "a for a - 1",
            lambda a, B: _prices(a, B, data=0.0),
            "Both prices are those of a, the whole score. The right score is -x: only what a has beyond 1 is an error, and "
            "in the ODE the rest balances f x.",
        ),
        Mistake(
            "f x left out",
            lambda a, B: (_prices(a, B, data=0.0)[0], _prices(a, B)[1]),
            "The bound is right. In the ODE the score is alone, without f x = -beta x/2, which the right score balances.",
        ),
        Mistake(
            "time left out of the bound",
            lambda a, B: _prices(a, B, time=False),
            "In the bound all stretches count alike. Each pays for as long as it lasts, B_i.",
        ),
        Mistake(
            "half missing in the KL",
            lambda a, B: (2 * _prices(a, B)[0], _prices(a, B)[1]),
            "The first value is twice what it should be: equation (eq-gaussian-kl) has a half before all its terms.",
        ),
        Mistake(
            "values exchanged",
            lambda a, B: _prices(a, B)[::-1],
            "Both values are right, in the wrong order: the ODE's model comes first, then the bound.",
        ),
    ),
    hints=(
        "With f = -beta/2, g^2 = beta and score -a x the ODE is dx/dt = beta (a - 1) x/2. Follow it from t = 1, where "
        "x is N(0, 1), to t = 0.",
        "Equation (eq-gaussian-kl) of chapter 2 gives the KL of two Gaussians of mean zero.",
        "The bound pays g^2/2 |score error|^2 at each time, in the mean over x_t, whose variance is 1 at all times.",
    ),
)


EXERCISES = (VELOCITY, FLOW, BETWEEN, DENSITY, TIMES, TRACE, BITS, PRICES)
