"""The exercises of chapter 5, diffusion as an SDE."""

import math

import torch

from diffusion_book import langevin, sde
from diffusion_book.checks.draws import case, normal, number
from diffusion_book.checks.exercise import Case, Condition, Exercise, Mistake
from diffusion_book.denoiser import FromFunction
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.samplers import euler_maruyama
from diffusion_book.schedules import VE, VP, Cosine, SubVP

# 5.1


def _step_cases(generator):
    for t, s in ((0.2, 0.21), (0.1, 0.6), (0.9, 0.65)):
        f, g = normal(generator, 5), normal(generator, 5).exp()
        yield case(
            normal(generator, 5), f, g, t, s, normal(generator, 5), given=f"from t = {t} {'back ' * (s < t)}to {s}"
        )


def _step_truth(x, f, g, t, s, z):
    """The package's loop, whose increments have the variance of the step."""
    equation = (lambda _x, _t: f, lambda _x, _t: g)
    return sde.euler_maruyama(equation, x, [t, s], (abs(s - t) ** 0.5 * z)[None])[-1]


STEP = Exercise(
    number="5.1",
    title="One step",
    function="em_step",
    cases=_step_cases,
    truth=_step_truth,
    read="'A path that is nowhere smooth' and equations (eq-brownian) and (eq-euler-maruyama)",
    mistakes=(
        Mistake(
            "dt for sqrt(dt)",
            lambda x, f, g, t, s, z: x + f * (s - t) + g * abs(s - t) * z,
            "Your noise is multiplied by the length of the step. Its *variance* is that length: with finer steps yours "
            "fades away.",
        ),
        Mistake(
            "signed dt for sqrt(dt)",
            lambda x, f, g, t, s, z: x + (s - t) * (f + g * z),
            "Your noise is multiplied by s - t, as the drift is. The *variance* of an increment is the length of the "
            "step: with finer steps yours fades away.",
        ),
        Mistake(
            "no dt at the noise",
            lambda x, f, g, t, s, z: x + f * (s - t) + g * z,
            "Your noise does not know how long the step is: with finer steps, and more of them, it explodes.",
        ),
        Mistake(
            "g squared",
            lambda x, f, g, t, s, z: x + f * (s - t) + g**2 * abs(s - t) ** 0.5 * z,
            "The noise is multiplied by g^2. g^2 dt is its variance; z is multiplied by the deviation.",
        ),
        Mistake(
            "length of the step for s - t",
            lambda x, f, g, t, s, z: x + f * abs(s - t) + g * abs(s - t) ** 0.5 * z,
            "Where time runs backwards your drift still pushes forwards. Only the noise does not care about the sign of "
            "s - t.",
        ),
        Mistake(
            "drift without dt",
            lambda x, f, g, t, s, z: x + f + g * abs(s - t) ** 0.5 * z,
            "The drift is a velocity: it has to be multiplied by a time.",
        ),
        Mistake(
            "root of a negative number",
            lambda x, f, g, t, s, z: x + f * (s - t) + g * torch.tensor(s - t, dtype=x.dtype).sqrt() * z,
            "Forwards this is right. Backwards s - t is negative and has no root: the variance of an increment is the "
            "*length* of the step, |s - t|.",
        ),
        Mistake(
            "noise turned with time",
            lambda x, f, g, t, s, z: x + f * (s - t) + math.copysign(abs(s - t) ** 0.5, s - t) * g * z,
            "Where time runs backwards your noise changes its sign. It would have the same law, but z is given here, and "
            "dw = sqrt(|s - t|) z whichever way time runs.",
        ),
        Mistake(
            "g under the root",
            lambda x, f, g, t, s, z: x + f * (s - t) + (g * abs(s - t)) ** 0.5 * z,
            "g stands under the root with the length of the step. g is a deviation already: the variance is g^2 |s - t|.",
        ),
    ),
    hints=(
        "The increment dw has the variance |s - t|. What do you multiply a standard normal z by to get that variance?",
        "Look at s < t: which of the two terms changes its sign, and of which must a root be taken?",
        "The root is of the length of the step, |s - t|: s - t itself may be negative.",
    ),
)


# 5.2


def _ito_cases(generator):
    for _ in range(4):
        yield case(*(normal(generator, 1).item() for _ in range(4)))


def _ito_truth(f, g, first, second):
    """Mean and slope of phi over a vanishing step, for the parabola that has these derivatives: no rule is used."""
    h, root = 1e-2, 0.1

    def rise(w):
        step = f * h + g * w
        return first * step + second * step**2 / 2

    mean = (rise(root) + rise(-root)) / 2  # w = +-sqrt(h), right to the second moment; the rest is f^2 h^2
    return (mean - second * f**2 * h**2 / 2) / h, (rise(root) - rise(-root)) / (2 * root) - second * f * g * h


ITO = Exercise(
    number="5.2",
    title="Ito's rule",
    function="ito_coefficients",
    cases=_ito_cases,
    truth=_ito_truth,
    read="'The chain rule gains a term' and equation (eq-ito)",
    mistakes=(
        Mistake(
            "the ordinary chain rule",
            lambda f, g, first, second: (f * first, g * first),
            "This is the chain rule of smooth paths. On a path whose squared steps add up to g^2 dt the second "
            "derivative has a say in the drift.",
        ),
        Mistake(
            "half missing",
            lambda f, g, first, second: (f * first + g**2 * second, g * first),
            "The new term is twice too large: Taylor's second term has a half in front.",
        ),
        Mistake(
            "g for g squared",
            lambda f, g, first, second: (f * first + g * second / 2, g * first),
            "The new term holds g where g^2 belongs: it comes from dx^2.",
        ),
        Mistake(
            "sign of the new term",
            lambda f, g, first, second: (f * first - g**2 * second / 2, g * first),
            "The new term has the wrong sign. Shake a ball in a bowl (second > 0): is it higher or lower on average?",
        ),
        Mistake(
            "noise not stretched",
            lambda f, g, first, second: (f * first + g**2 * second / 2, g),
            "The drift is right. The diffusion is that of x: phi stretches the noise by its slope.",
        ),
        Mistake(
            "drift not stretched",
            lambda f, g, first, second: (f + g**2 * second / 2, g * first),
            "The new term and the diffusion are right. The drift f is that of x: phi stretches it by its slope, too.",
        ),
        Mistake(
            "first derivative squared",
            lambda f, g, first, second: (f * first + g**2 * first**2 / 2, g * first),
            "The new term holds the square of the first derivative; Taylor's second term has the *second* derivative.",
        ),
        Mistake(
            "values exchanged",
            lambda f, g, first, second: (g * first, f * first + g**2 * second / 2),
            "Both values are right, in the wrong order: the drift comes first, then the diffusion.",
        ),
    ),
    hints=(
        "Write phi(x + dx) - phi(x) to second order in dx.",
        "Put dx = f dt + g dw in, and keep dt, dw and dw^2 = dt. What stands before dt, and what before dw?",
    ),
)


# 5.3


SCHEDULES = {"VP": VP(), "VE": VE(0.05, 5.0), "sub-VP": SubVP(), "cosine": Cosine()}


def _coefficient_cases(generator):
    for name, schedule in SCHEDULES.items():
        t = number(generator, 0.2, 0.8)
        yield case(*schedule(t), *schedule.rates(t), given=f"on the {name} schedule at t = {t:.2f}")


def _coefficients_truth(alpha, sigma, alpha_rate, sigma_rate):
    """g^2 as -sigma^2 times the slope of the log-SNR, by a central difference along the tangents."""
    h = 1e-5

    def logsnr(t):
        return 2 * math.log((alpha + t * alpha_rate) / (sigma + t * sigma_rate))

    return alpha_rate / alpha, -(sigma**2) * (logsnr(h) - logsnr(-h)) / (2 * h)


COEFFICIENTS = Exercise(
    number="5.3",
    title="From the curves to the coefficients",
    function="coefficients",
    cases=_coefficient_cases,
    truth=_coefficients_truth,
    read="'From two curves to one equation' and equation (eq-forward-sde)",
    mistakes=(
        Mistake(
            "g for g squared",
            lambda a, s, da, ds: (da / a, (2 * s * ds - 2 * da / a * s**2) ** 0.5),
            "The second value is g; g^2 was asked for.",
        ),
        Mistake(
            "drift forgotten in g squared",
            lambda a, s, da, ds: (da / a, 2 * s * ds),
            "This is the derivative of sigma^2. It would be all if nothing were pulled inwards (as for VE); but the drift "
            "shrinks the noise that is there, and new noise has to make up for it.",
        ),
        Mistake(
            "sign of the drift in g squared",
            lambda a, s, da, ds: (da / a, 2 * s * ds + 2 * da / a * s**2),
            "g^2 came out too small, and may be negative: the variance obeys v' = 2 f v + g^2. Solve it for g^2.",
        ),
        Mistake(
            "half missing",
            lambda a, s, da, ds: (da / a, s * ds - da / a * s**2),
            "Half of what it should be: the derivative of sigma^2 is 2 sigma sigma'.",
        ),
        Mistake(
            "rate for the logarithmic rate",
            lambda a, s, da, ds: (da, 2 * s * ds - 2 * da * s**2),
            "The drift is f x, and x is what is left of the signal: f is alpha' relative to alpha.",
        ),
        Mistake(
            "rate for the logarithmic rate",
            lambda a, s, da, ds: (da, 2 * s * ds - 2 * da / a * s**2),
            "g^2 is right. The drift is f x, and x is what is left of the signal: f is alpha' relative to alpha.",
        ),
        Mistake(
            "variance carried as the mean",
            lambda a, s, da, ds: (da / a, 2 * s * ds - da / a * s**2),
            "The drift counts once in your g^2. The mean obeys m' = f m, but a variance is a square: v' = 2 f v + g^2.",
        ),
        Mistake(
            "drift times sigma",
            lambda a, s, da, ds: (da / a, 2 * s * ds - 2 * da / a * s),
            "The drift's share of g^2 holds sigma; in v' = 2 f v + g^2 the variance v is sigma^2.",
        ),
        Mistake(
            "fall of the log-SNR",
            lambda a, s, da, ds: (da / a, 2 * ds / s - 2 * da / a),
            "The second value is the rate at which the log-SNR falls. g^2 is sigma^2 times that.",
        ),
    ),
    hints=(
        "The mean obeys m' = f m and should be alpha x. So f is a logarithmic derivative.",
        "The variance obeys v' = 2 f v + g^2 and should be sigma^2.",
    ),
)


# 5.4


def _sub_cases(generator):
    for _ in range(2):
        t = torch.rand(6, generator=generator, dtype=torch.float64)
        yield case(SubVP().beta_min + (SubVP().beta_max - SubVP().beta_min) * t, SubVP().integral(t))


def _sub_truth(beta, B):
    """The package's schedule, asked at the times with these B."""
    slope = SubVP().beta_max - SubVP().beta_min
    t = (beta - SubVP().beta_min) / slope
    alpha, sigma = SubVP()(t)
    return alpha, sigma, SubVP().diffusion(t) ** 2


def _sub(beta, B, sigma="right", power=2.0):
    e = torch.exp(-B)
    deviation = {
        "right": 1 - e,
        "vp": (1 - e).sqrt(),
        "variance": (1 - e) ** 2,
        "one minus alpha": 1 - e.sqrt(),
        "one minus alpha to the fourth": 1 - e**2,
    }[sigma]
    return torch.exp(-B / 2), deviation, beta * (1 - torch.exp(-power * B)) if power else beta


SUB = Exercise(
    number="5.4",
    title="Find the bug: the quiet one",
    function="sub_vp",
    cases=_sub_cases,
    truth=_sub_truth,
    read="'From two curves to one equation', where sub-VP is derived, and equation (eq-subvp)",
    mistakes=(
        Mistake(
            "VP's deviation",
            lambda beta, B: _sub(beta, B, "vp"),
            "sigma is VP's. In sub-VP the deviation is what in VP is the variance.",
        ),
        Mistake(
            "variance for deviation",
            lambda beta, B: _sub(beta, B, "variance"),
            "sigma came out as the variance of sub-VP, (1 - exp(-B))^2; the deviation is its root.",
        ),
        Mistake(
            "VP's g",
            lambda beta, B: _sub(beta, B, power=0.0),
            "sigma is right now, but g^2 has become VP's, beta. g^2 was not the fault.",
        ),
        Mistake(
            "exp(-B) in g squared",
            lambda beta, B: _sub(beta, B, power=1.0),
            "sigma is right now, but g^2 holds exp(-B): the product (1 - exp(-B))(1 + exp(-B)) has exp(-2 B) in it. It "
            "was not the fault.",
        ),
        Mistake(
            "both of VP",
            lambda beta, B: _sub(beta, B, "vp", 0.0),
            "sigma and g^2 fit each other, but they are VP's, both of them.",
        ),
        Mistake(
            "exp(-B/2) in sigma",
            lambda beta, B: _sub(beta, B, "one minus alpha"),
            "sigma came out as 1 - alpha. It is 1 - alpha^2 in sub-VP: the root belongs to the whole of VP's variance, "
            "and here there is none.",
        ),
        Mistake(
            "exp(-2 B) in sigma",
            lambda beta, B: _sub(beta, B, "one minus alpha to the fourth"),
            "sigma holds the exp(-2 B) of g^2. Put its square into v' = -beta v + g^2: it does not solve it.",
        ),
        Mistake(
            "alpha squared",
            lambda beta, B: (torch.exp(-B), *_sub(beta, B)[1:]),
            "sigma is right now, but alpha has become exp(-B), its square. alpha was not the fault.",
        ),
        Mistake(
            "g for g squared",
            lambda beta, B: (*_sub(beta, B)[:2], _sub(beta, B)[2].sqrt()),
            "The third value is g; g^2 was asked for, and it was not the fault.",
        ),
    ),
    hints=(
        "Try large B and small B: for which of them does sub-VP differ from VP?",
        "The third line is a g^2. Put it into v' = 2 f v + g^2 with f = -beta/2, and sigma^2 of the second line for v: does "
        "it hold? Which sigma^2 solves it?",
    ),
)


# 5.5


def _mixture(D: int) -> GaussianMixture:
    means = torch.tensor([[1.0, -0.5, 0.3], [-0.8, 0.4, 0.0]], dtype=torch.float64)[:, :D]
    return GaussianMixture([0.4, 0.6], means, [0.3, 0.5])


def _density_cases(generator):
    for D, schedule in ((1, VP()), (2, VE(0.05, 5.0)), (3, VP()), (2, Cosine())):
        t = number(generator, 0.2, 0.7)
        law = _mixture(D).diffused(*schedule(t))
        x = law.sample(4, generator)
        h = 1e-4
        shifts = [h * unit for unit in torch.eye(D, dtype=torch.float64)]
        divergence = sum((law.score(x + e) - law.score(x - e))[:, i] / (2 * h) for i, e in enumerate(shifts))
        yield case(
            x,
            law.score(x),
            divergence,
            schedule.drift(t),
            schedule.diffusion(t),
            given=f"in {D} dimension{'s' * (D > 1)}",
        )


def _density(x, score, divergence, f, g, dims=None, half=0.5, lap=1, square=1, sign=1, power=2, pull=-1, carried=1):
    dims = x.shape[1] if dims is None else dims
    spread = square * score.square().sum(1) + lap * divergence
    return pull * f * (dims + carried * (x * score).sum(1)) + sign * half * g**power * spread


def _density_truth(x, score, divergence, f, g):
    """One by one, as the limit of what a small step does: pulled along f x, then blurred by g^2 in each direction."""
    rates = []
    for point, s, div in zip(x.tolist(), score.tolist(), divergence.tolist(), strict=True):
        pulled = sum(-f - f * xi * si for xi, si in zip(point, s, strict=True))
        blurred = g * g * (div + math.fsum(si * si for si in s))
        rates.append(pulled + blurred / 2)
    return torch.tensor(rates, dtype=x.dtype)


DENSITY = Exercise(
    number="5.5",
    title="The density at a point",
    function="log_density_rate",
    cases=_density_cases,
    truth=_density_truth,
    read="'The density moves' and equation (eq-fokker-planck)",
    mistakes=(
        Mistake(
            "divergence of the drift forgotten",
            lambda *a: _density(*a, dims=0),
            "The divergence of the drift itself is missing: f x pulls everything together, and that raises log p at the "
            "rate -f, once for each dimension.",
        ),
        Mistake(
            "one dimension for all",
            lambda *a: _density(*a, dims=1),
            "The divergence of f x is counted in one dimension; here there are more.",
        ),
        Mistake(
            "Laplacian of log p for that of p",
            lambda *a: _density(*a, square=0),
            "You blurred log p. It is p that is blurred: Laplacian(p)/p is not the Laplacian of log p; the square of the "
            "score is missing.",
        ),
        Mistake(
            "divergence of the score forgotten",
            lambda *a: _density(*a, lap=0),
            "The divergence of the score is missing: Laplacian(p)/p is more than the square of the score.",
        ),
        Mistake(
            "half missing",
            lambda *a: _density(*a, half=1.0),
            "The spreading is twice too fast: the variance that a step adds is g^2 dt, and a density blurred by a small "
            "variance v changes by v/2 times its Laplacian.",
        ),
        Mistake(
            "g for g squared",
            lambda *a: _density(*a, power=1),
            "The spreading holds g where g^2 belongs.",
        ),
        Mistake(
            "sign of the spreading",
            lambda *a: _density(*a, sign=-1),
            "The spreading has the wrong sign: this density would sharpen by itself.",
        ),
        Mistake(
            "sign of the drift's part",
            lambda *a: _density(*a, pull=1),
            "The drift's part has the wrong sign. Where more flows out than in, p falls: dp/dt = -div(f x p) + ...",
        ),
        Mistake(
            "the slope carried past forgotten",
            lambda *a: _density(*a, carried=0),
            "Of the drift's part only its divergence is there. The density is also carried along: div(x p) = D p + x . "
            "grad p, and the second term is missing.",
        ),
        Mistake(
            "half on one term only",
            lambda *a: _density(*a, lap=2),
            "The square of the score is halved and its divergence is not. The half is that of the whole Laplacian.",
        ),
        Mistake(
            "half on one term only",
            lambda *a: _density(*a, square=2),
            "The divergence of the score is halved and its square is not. The half is that of the whole Laplacian.",
        ),
    ),
    hints=(
        "Begin with dp/dt = -div(f x p) + g^2/2 Laplacian(p), and divide by p.",
        "div(x p) = D p + x . grad p, and grad p = p score.",
        "Laplacian(p) = div(p score): use the product rule once more.",
    ),
)


# 5.6


def _back_cases(generator):
    for eta in (0.0, 0.5, 1.0, 1.5):
        t, h = number(generator, 0.4, 0.8), number(generator, 0.01, 0.2)
        x, score, z = (normal(generator, 4, 2) for _ in range(3))
        yield case(x, score, VP().drift(t), VP().diffusion(t), h, eta, z, given=f"with eta = {eta:g}")


def _back_truth(x, score, f, g, h, eta, z):
    """The package's sampler, with a denoiser that has this score where VP has this g."""
    t = (g**2 - VP().beta_min) / (VP().beta_max - VP().beta_min)
    alpha, sigma = VP()(t)
    told = FromFunction(lambda x_t, _t: (x_t + sigma**2 * score) / alpha, VP())
    return euler_maruyama(eta)(told, x, t, t - h, {}, lambda: z)


def _back(x, score, f, g, h, eta, z, weight=None, power=2, drift=-1, up=1, own=1, noise=None, root=True):
    weight = (1 + eta**2) / 2 if weight is None else weight(eta)
    noise = eta if noise is None else noise(eta)
    length = h**0.5 if root else h
    return x + drift * h * (own * f * x - up * weight * g**power * score) + noise * g * length * z


BACK = Exercise(
    number="5.6",
    title="The step back",
    function="step_back",
    cases=_back_cases,
    truth=_back_truth,
    read="'Turning time around' and equation (eq-family)",
    mistakes=(
        Mistake(
            "time runs forwards",
            lambda *a: _back(*a, drift=1),
            "Your drift has the sign of a step forwards. dt is negative here: h is what time loses.",
        ),
        Mistake(
            "downhill",
            lambda *a: _back(*a, up=-1),
            "Your step goes against the score, to where the density is low. Going back, f x is undone and the score is "
            "followed.",
        ),
        Mistake(
            "g for g squared",
            lambda *a: _back(*a, power=1),
            "The score is multiplied by g; it should be g^2, as the noise it has to balance has that variance.",
        ),
        Mistake(
            "the ODE's drift with noise",
            lambda *a: _back(*a, weight=lambda eta: 0.5),
            "At eta = 0 this is right. With noise it is not balanced: who shakes more must climb more.",
        ),
        Mistake(
            "Anderson's drift for every eta",
            lambda *a: _back(*a, weight=lambda eta: 1.0),
            "At eta = 1 this is right. With less noise it climbs too much: at eta = 0 half of g^2 score is enough.",
        ),
        Mistake(
            "eta for eta squared",
            lambda *a: _back(*a, weight=lambda eta: (1 + eta) / 2),
            "At 0 and at 1 nobody would notice: the drift holds (1 + eta)/2. What has to be balanced is the variance of "
            "the noise.",
        ),
        Mistake(
            "eta squared at the noise",
            lambda *a: _back(*a, noise=lambda eta: eta**2),
            "At 0 and at 1 nobody would notice: the noise is multiplied by eta^2. It is the deviation that eta scales.",
        ),
        Mistake(
            "dt for sqrt(dt)",
            lambda *a: _back(*a, root=False),
            "Your noise is multiplied by h; its variance is to be in proportion to h.",
        ),
        Mistake(
            "full noise whatever eta",
            lambda *a: _back(*a, noise=lambda eta: 1.0),
            "The noise does not know eta: at eta = 0 no z may be left. eta scales its deviation.",
        ),
        Mistake(
            "minus z",
            lambda *a: _back(*a, noise=lambda eta: -eta),
            "You subtract the noise. Your x has the right law, as -z is as likely as z; but z is given here, and equation "
            "(eq-family) adds it. Only dt changes its sign on the way back.",
        ),
        Mistake(
            "half missing",
            lambda *a: _back(*a, weight=lambda eta: 1 + eta**2),
            "The score counts twice: its weight is (1 + eta^2)/2, which is 1 at eta = 1.",
        ),
        Mistake(
            "f x not undone",
            lambda *a: _back(*a, own=-1),
            "The score is followed, but f x is added as if time ran forwards. dt = -h multiplies the whole drift.",
        ),
    ),
    hints=(
        "The equation is one for dx with dt < 0. Put dt = -h in, and remember that noise has no direction.",
        "Test at eta = 0: no z may be left. At eta = 1: all of g^2 score.",
        "Between them the weight of the score is (1 + eta^2)/2.",
    ),
)


# 5.7


def _corrector_cases(generator):
    for scale in (0.01, 1.0, 30.0):
        x, z = normal(generator, 4, 6) * scale, normal(generator, 4, 6)
        score = -x / scale**2 * normal(generator, 4, 1).exp()
        yield case(x, score, z, 0.16, given=f"at noise of deviation {scale:g}")


def _corrector_truth(x, score, z, ratio):
    """The package's corrector, with a denoiser that has this score."""
    level = VE(0.5, 2.0)  # sigma = 1 at t = 1/2
    return langevin.langevin_ratio(ratio)(FromFunction(lambda y, t: y + score, level), x, 0.5, 0.5, {}, lambda: z)


def _moved(x, score, z, size, drift=0.5, noise=1.0):
    return x + drift * size * score + (noise * size) ** 0.5 * z


def _norms(score, z, batch=False):
    """|z|/|score| of each row, or of the means over the batch."""
    a, b = z.norm(dim=1, keepdim=True), score.norm(dim=1, keepdim=True)
    return a.mean() / b.mean() if batch else a / b


CORRECTOR = Exercise(
    number="5.7",
    title="Find the bug: the corrector",
    function="corrector_move",
    cases=_corrector_cases,
    truth=_corrector_truth,
    read="'Mending on the way' and equation (eq-corrector)",
    mistakes=(
        Mistake(
            "norms missing",
            lambda x, score, z, ratio: _moved(x, score, z, torch.tensor(4 * ratio**2, dtype=x.dtype)),
            "The size is the same at every noise level, and that was the bug: the score is long where the noise is small. "
            "The ratio of the two norms tells how large a step the law allows.",
        ),
        Mistake(
            "norms upside down",
            lambda x, score, z, ratio: _moved(x, score, z, 4 * (ratio / _norms(score, z)) ** 2),
            "The norms are upside down: where the score is long, the law is narrow, and the size must be small.",
        ),
        Mistake(
            "norms not squared",
            lambda x, score, z, ratio: _moved(x, score, z, 4 * ratio**2 * _norms(score, z)),
            "The ratio of the norms is not squared. A score is one over a length, and the size is a length squared.",
        ),
        Mistake(
            "norms of the whole batch",
            lambda x, score, z, ratio: _moved(x, score, z, 4 * (ratio * _norms(score, z, batch=True)) ** 2),
            "You used the norms' means over the batch, as Song et al. do. Here each row is to have its own size, so that "
            "it comes out the same in every batch.",
        ),
        Mistake(
            "epsilon for delta",
            lambda x, score, z, ratio: _moved(x, score, z, 2 * (ratio * _norms(score, z)) ** 2),
            "Your size is half of what it should be: it is the epsilon of the form x + epsilon score + sqrt(2 epsilon) z, "
            "put into the form with size/2 and sqrt(size).",
        ),
        Mistake(
            "the two forms mixed",
            lambda x, score, z, ratio: _moved(x, score, z, 4 * (ratio * _norms(score, z)) ** 2, noise=2.0),
            "The size is right, but the drift is that of one form of Langevin's move and the noise that of the other: "
            "size/2 goes with sqrt(size).",
        ),
        Mistake(
            "the other form",
            lambda x, score, z, ratio: _moved(x, score, z, 8 * (ratio * _norms(score, z)) ** 2),
            "Your move is that of size score + sqrt(2 size) z, which wants the epsilon of the paper, half of this size. With "
            "the size of equation (eq-corrector) it is size/2 and sqrt(size).",
        ),
        Mistake(
            "one norm for all rows",
            lambda x, score, z, ratio: _moved(x, score, z, 4 * (ratio * z.norm() / score.norm()) ** 2),
            "The norms are those of the whole batch: without dim=1, norm() takes all rows as one vector. Here each row has "
            "its own size.",
        ),
        Mistake(
            "4 forgotten",
            lambda x, score, z, ratio: _moved(x, score, z, (ratio * _norms(score, z)) ** 2),
            "The 4 is gone. The ratio compares size/2 |score| with sqrt(size) |z|, and the half comes out squared.",
        ),
        Mistake(
            "size for its root",
            lambda x, score, z, ratio: x + (size := 4 * (ratio * _norms(score, z)) ** 2) / 2 * score + size * z,
            "z is multiplied by the size. The size is a variance: the shake's length is its root.",
        ),
    ),
    hints=(
        "How long is the score of N(0, v I)? And what must the size of a move be in proportion to?",
        "The noise, sqrt(size) |z|, is to be 1/ratio times the drift, size/2 |score|. Solve for the size.",
        "norm(dim=1, keepdim=True) gives one number a row, ready to multiply (B, D).",
    ),
)


# 5.8


SOLVER_STEPS, SOLVER_SHARE, SOLVER_CALLS = 40, 0.25, 2


def _linear(V: float):
    """The drift factor b and g of Anderson's SDE under VP for data N(0, V): drift = b(t) x."""
    schedule = VP()

    def b(t):
        alpha, sigma = schedule(float(t))
        return schedule.drift(float(t)) + schedule.diffusion(float(t)) ** 2 / (alpha**2 * V + sigma**2)

    return b, lambda t: schedule.diffusion(float(t))


class _Counted:
    """The drift, which may be asked a number of times."""

    def __init__(self, b, calls: int):
        self.b, self.left = b, calls

    def __call__(self, x, t):
        self.left -= 1
        if self.left < 0:
            raise BookError(f"the drift was asked more than {SOLVER_CALLS} times a step")
        return self.b(t) * x


def _solver_case(V: float, steps: int = SOLVER_STEPS):
    """Arguments that lay a solver bare: entry 0 starts at 0, entry 1 at 1, entry 2 + i has the increment i alone."""
    b, g = _linear(V)
    x, increments = torch.zeros(steps + 2, dtype=torch.float64), torch.zeros(steps, steps + 2, dtype=torch.float64)
    x[1], increments[:, 2:] = 1.0, torch.eye(steps, dtype=torch.float64)
    return _Counted(b, SOLVER_CALLS * steps), g, x, torch.linspace(0.9, 0.1, steps + 1).tolist(), increments


def _solver_cases(generator):
    for low, high in ((0.25, 0.35), (0.95, 1.2)):  # between them the errors of one-sided rules may cancel by chance
        V = number(generator, low, high)
        yield Case(lambda V=V: _solver_case(V), given=f"for data of variance {V:.2f}")


def _variance_of(arguments) -> float:
    """V, read off the drift at the middle."""
    alpha, sigma = VP()(0.5)
    ratio = arguments[0].b(0.5) - VP().drift(0.5)
    return (VP().diffusion(0.5) ** 2 / ratio - sigma**2) / alpha**2


def solver_error(answer: torch.Tensor, times: list[float], V: float) -> float:
    """Relative error of the variance at the last time, from the answers to the probes of `_solver_case`."""
    law = [VP()(float(t))[0] ** 2 * V + VP()(float(t))[1] ** 2 for t in (times[0], times[-1])]
    shift, with_x, with_w = answer[0], answer[1] - answer[0], answer[2:] - answer[0]
    h = torch.tensor(times, dtype=torch.float64).diff().abs()
    return abs(((with_x**2 * law[0] + (with_w**2 * h).sum() + 0 * shift) / law[1] - 1).item())


def _plain(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        x = x + (s - t) * drift(x, t) + g(t) * dw
    return x


def _share(arguments, answer) -> float:
    V = _variance_of(arguments)
    drift, g, x, times, increments = _solver_case(V, 2 * SOLVER_STEPS)
    twice = solver_error(_plain(drift, g, x, times, increments), times, V)
    return solver_error(answer, arguments[3], V) / twice


def _pair(noise_in_guess=True, both_ends=True, sign=1, far_time=1, far_g=0.5, again=0.0, mean=0.5):
    """Two evaluations a step, with something left out or too much."""

    def solver(drift, g, x, times, increments):
        for t, s, dw in zip(times, times[1:], increments, strict=False):
            dw = dw * abs(s - t) ** again
            before = drift(x, t)
            guess = x + sign * (s - t) * before + (g(t) * dw if noise_in_guess else 0)
            after = drift(guess, s if far_time else t)
            x = x + (s - t) * (mean * (before + after) if both_ends else after)
            x = x + ((1 - far_g) * g(t) + far_g * g(s)) * dw
        return x

    return solver


SOLVER = Exercise(
    number="5.8",
    title="Open: a second evaluation, better spent",
    function="better_solver",
    cases=_solver_cases,
    truth=None,
    read="'How good is a step?', where Heun's rule is shown, and 'Mending on the way'",
    mistakes=(
        Mistake(
            "Euler-Maruyama",
            _plain,
            "This is Euler-Maruyama with one evaluation a step, the one to beat, at half its number of steps.",
        ),
        Mistake(
            "guess without noise",
            _pair(noise_in_guess=False),
            "Your guess of the far end leaves the noise out. Where x will be, and so which drift it meets there, depends "
            "on the noise of this very step: the product of the two is of the size of what you want to gain.",
        ),
        Mistake(
            "drift of the far end only",
            _pair(both_ends=False),
            "You use the drift of the far end alone. It is as one-sided as that of the near end: the two errors have "
            "opposite signs.",
        ),
        Mistake(
            "guess in the wrong direction",
            _pair(sign=-1),
            "Your guess goes the wrong way: s - t is negative where time runs backwards, and the step has to keep its sign.",
        ),
        Mistake(
            "g of the near end only",
            _pair(far_g=0.0),
            "The drift is that of both ends, the noise that of the near end alone. g changes during a step as the drift "
            "does, and asking it again is free.",
        ),
        Mistake(
            "g of the far end only",
            _pair(far_g=1.0),
            "The drift is that of both ends, the noise that of the far end alone. That is as one-sided as the near end.",
        ),
        Mistake(
            "far end at the near time",
            _pair(far_time=0),
            "The second drift is asked at the guess, but still at time t. The guess is where x will be at time s.",
        ),
        Mistake(
            "sqrt(dt) once more",
            _pair(again=0.5),
            "The increments are multiplied by the root of the step. They are dw itself, and have its variance already.",
        ),
        Mistake(
            "sum for mean",
            _pair(mean=1.0),
            "The drifts of both ends are added: each step goes twice as far as it should. Take their mean.",
        ),
    ),
    conditions=(
        Condition(
            lambda arguments, answer: isinstance(answer, torch.Tensor) and answer.shape == arguments[2].shape,
            lambda arguments, answer: (
                f"x at the last time was expected, shape {tuple(arguments[2].shape)}, but got "
                f"{tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__}"
            ),
        ),
        Condition(
            lambda arguments, answer: bool(answer.isfinite().all()),
            lambda arguments, answer: (
                "the answer holds values that are not finite, where 0 was expected at the first entry"
            ),
        ),
        Condition(
            lambda arguments, answer: abs(answer[0].item()) < 1e-9,
            lambda arguments, answer: (
                f"from x = 0 without any noise yours ends at {answer[0].item():.3g}, where this drift leaves it at 0"
            ),
        ),
        Condition(
            lambda arguments, answer: _share(arguments, answer) <= SOLVER_SHARE,
            lambda arguments, answer: (
                f"the variance at the end is {_share(arguments, answer):.2f} times as wrong as that of Euler-Maruyama "
                f"with twice the steps; at most {SOLVER_SHARE} was asked for"
            ),
        ),
    ),
    reached=lambda arguments, answer: (
        f"the variance at the end is {_share(arguments, answer):.4f} times as wrong as that of Euler-Maruyama with twice the "
        f"steps, wanted was {SOLVER_SHARE} at most"
    ),
    hints=(
        "Heun's rule guesses the far end by an Euler-Maruyama step, and then uses the mean of both ends.",
        "The same dw belongs into the guess and into the final step: it is one path.",
        "g depends on t alone, so its mean over both ends costs no evaluation of the drift.",
    ),
)

EXERCISES = (STEP, ITO, COEFFICIENTS, SUB, DENSITY, BACK, CORRECTOR, SOLVER)
