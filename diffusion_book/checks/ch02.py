"""The exercises of chapter 2, the ELBO."""

import math

import torch

from diffusion_book import elbo, gaussian_elbo, posterior
from diffusion_book.checks.draws import case, normal, uniform
from diffusion_book.checks.exercise import Condition, Exercise, Mistake
from diffusion_book.exact import GaussianMixture
from diffusion_book.schedules import Discrete, betas

CHAIN = Discrete(betas.linear(1000))


def _bars(k: int) -> tuple[float, float]:
    return CHAIN.alpha_bar[k].item(), CHAIN.alpha_bar[k - 1].item()


# 2.1


def _backward_cases(generator):
    for k in (2, 40, 500, 1000):
        yield case(normal(generator, 5, 3), normal(generator, 5, 3), *_bars(k), given=f"at k = {k}")


def _backward_truth(x, x_k, alpha_bar, alpha_bar_before):
    """The formula of the package, at the step of the chain that has these alpha_bar."""
    k = int((CHAIN.alpha_bar - alpha_bar).abs().argmin())
    c_t, c_0, beta_tilde, _ = posterior.posterior(CHAIN, k / 1000, (k - 1) / 1000)
    return c_t * x_k + c_0 * x, beta_tilde


def _backward(x, x_k, bar, before, variance="small", on_x_k="right", on_x="right", swapped=False):
    beta = 1 - bar / before
    root = {"right": 1 - beta, "bar": bar, "beta": beta, "no root": (1 - beta) ** 2}[on_x_k] ** 0.5
    other = {"right": before, "bar": bar, "no root": before**2}[on_x] ** 0.5
    c_t, c_0 = root * (1 - before) / (1 - bar), other * beta / (1 - bar)
    mean = c_0 * x_k + c_t * x if swapped else c_t * x_k + c_0 * x
    beta_tilde = beta * (1 - before) / (1 - bar)
    return mean, {"small": beta_tilde, "large": beta, "deviation": beta_tilde**0.5}[variance]


BACKWARD = Exercise(
    number="2.1",
    title="One step back, if the picture is known",
    function="backward_step",
    cases=_backward_cases,
    truth=_backward_truth,
    read="'Where was the picture one step earlier?' and equation (eq-posterior-mean)",
    mistakes=(
        Mistake(
            "beta for beta-tilde",
            lambda *a: _backward(*a, variance="large"),
            "The variance is beta_k, that of the forward step. Who knows x as well knows more: the posterior's "
            "variance "
            "is smaller (beta-tilde), by the factor that two precisions added together give.",
        ),
        Mistake(
            "alpha-bar on x_k",
            lambda *a: _backward(*a, on_x_k="bar"),
            "The coefficient of x_k holds sqrt(alpha_bar_k), the product of all steps. The step from k - 1 to k shrank "
            "the picture by one factor only, sqrt(1 - beta_k).",
        ),
        Mistake(
            "sqrt(beta) on x_k",
            lambda *a: _backward(*a, on_x_k="beta"),
            "The coefficient of x_k holds sqrt(1 - alpha_k), which is sqrt(beta_k), where the step's shrinking "
            "factor belongs. "
            "This is the slip that comes from reading alpha for beta: how much is kept, or how much is added?",
        ),
        Mistake(
            "coefficients swapped",
            lambda *a: _backward(*a, swapped=True),
            "The coefficients of x and x_k have changed places. Late in the chain (large k) it is x_k to which x_{k-1} "
            "lies close: which of your two numbers is near 1 there?",
        ),
        Mistake(
            "deviation for variance",
            lambda *a: _backward(*a, variance="deviation"),
            "The second value is the standard deviation; the variance was asked for.",
        ),
        Mistake(
            "no root on x_k",
            lambda *a: _backward(*a, on_x_k="no root"),
            "In the coefficient of x_k the root is missing: it holds sqrt(1 - beta_k), not 1 - beta_k. In equation "
            "(eq-posterior-mean) alpha_ts is a quotient of two alphas, and each of them is the root of an alpha_bar.",
        ),
        Mistake(
            "no root on x",
            lambda *a: _backward(*a, on_x="no root"),
            "In the coefficient of x the root is missing. alpha_s in equation (eq-posterior-mean) is the factor of x in "
            "x_{k-1}, which is sqrt(alpha_bar_{k-1}).",
        ),
        Mistake(
            "no root on either",
            lambda *a: _backward(*a, on_x_k="no root", on_x="no root"),
            "Both coefficients lack their root. The alphas of equation (eq-posterior-mean) are factors of the picture, "
            "alpha = sqrt(alpha_bar); alpha_bar is the square.",
        ),
        Mistake(
            "the later alpha-bar on x",
            lambda *a: _backward(*a, on_x="bar"),
            "The coefficient of x holds sqrt(alpha_bar_k). What is averaged there is where x_{k-1} lies if only x is known, "
            "so it is the alpha_bar of k - 1.",
        ),
    ),
    hints=(
        "One step shrinks by sqrt(1 - beta_k), and alpha_bar_k = (1 - beta_k) alpha_bar_{k-1}. What is beta_k, then?",
        "Two facts about x_{k-1}: it is N(sqrt(alpha_bar_{k-1}) x, 1 - alpha_bar_{k-1}), and x_k is a noisy "
        "look at it.",
        "Precisions (one over the variance) of two independent facts add, and means are averaged with them as weights.",
        "The sum of the two precisions simplifies with (1 - beta_k)(1 - alpha_bar_{k-1}) + beta_k = 1 - alpha_bar_k.",
    ),
)


# 2.2


def _kl_cases(generator):
    for _ in range(3):
        yield case(
            normal(generator, 6), uniform(generator, 0.2, 3, 6), normal(generator, 6), uniform(generator, 0.2, 3, 6)
        )


def _kl_truth(mean1, var1, mean2, var2):
    first, second = (torch.distributions.Normal(m, v.sqrt()) for m, v in ((mean1, var1), (mean2, var2)))
    return torch.distributions.kl_divergence(first, second)


def _kl(m1, v1, m2, v2, log=1.0, half=0.5, over=None, one=1.0, ratio=1, power=2):
    over = v2 if over is None else over
    return half * (log * torch.log(v2 / v1) + (v1 / v2) ** ratio - one + (m1 - m2) ** power / over)


KL = Exercise(
    number="2.2",
    title="The price of the wrong Gaussian",
    function="kl",
    cases=_kl_cases,
    truth=_kl_truth,
    read="'What a wrong Gaussian costs' and equation (eq-gaussian-kl)",
    mistakes=(
        Mistake(
            "log ratio upside down",
            lambda m1, v1, m2, v2: _kl(m1, v1, m2, v2, log=-1.0),
            "The log ratio is upside down: log(var1/var2). The density of a wide Gaussian is low, so -log of "
            "the second "
            "one's density holds + log(var2)/2.",
        ),
        Mistake(
            "sign of the whole",
            lambda *a: -_kl(*a),
            "Every value has the wrong sign. A KL is a price and never negative: it is the mean of "
            "log(first/second) under the first.",
        ),
        Mistake(
            "the two Gaussians exchanged",
            lambda m1, v1, m2, v2: _kl(m2, v2, m1, v1),
            "This is the KL of the second from the first. The mean is taken under the first, and the two differ.",
        ),
        Mistake(
            "half missing",
            lambda *a: _kl(*a, half=1.0),
            "Every value is twice what it should be: the log density of a Gaussian is -(x - mean)^2/(2 var), "
            "with a half, "
            "and -log(var)/2.",
        ),
        Mistake(
            "distance over the first variance",
            lambda m1, v1, m2, v2: _kl(m1, v1, m2, v2, over=v1),
            "The distance of the means is divided by the first variance. Who is surprised here is the second Gaussian, "
            "and it counts distances in its own width.",
        ),
        Mistake(
            "the -1 forgotten",
            lambda *a: _kl(*a, one=0.0),
            "Two equal Gaussians have distance 1/2 by this formula. The term that is missing is what the first "
            "one's own "
            "exponent, -(x - mean1)^2/(2 var1), amounts to on average.",
        ),
        Mistake(
            "variances taken for deviations",
            lambda m1, v1, m2, v2: _kl(m1, v1**2, m2, v2**2),
            "You squared var1 and var2. They are variances already, not standard deviations.",
        ),
        Mistake(
            "half at the log only",
            lambda m1, v1, m2, v2: _kl(m1, v1, m2, v2, log=0.5, half=1.0),
            "The half stands before the log only. It belongs to the other terms as well: they come from "
            "(x - mean)^2/(2 var).",
        ),
        Mistake(
            "half missing at the log",
            lambda *a: _kl(*a, log=2.0),
            "The log has no half. With deviations it is log(deviation2/deviation1), without one; with variances, which are "
            "their squares, it is half of log(var2/var1).",
        ),
        Mistake(
            "the -1 outside the half",
            lambda *a: _kl(*a, one=2.0),
            "You take off 1 where 1/2 belongs: the -1 of equation (eq-gaussian-kl) stands inside the bracket, which is "
            "halved as a whole. Two equal Gaussians should give 0.",
        ),
        Mistake(
            "variance ratio upside down",
            lambda *a: _kl(*a, ratio=-1),
            "The ratio of the variances outside the log is upside down: it is the mean of (x - mean2)^2/var2 under the "
            "first Gaussian, so var1 is on top. Only in the log does var2 stand above.",
        ),
        Mistake(
            "distance not squared",
            lambda *a: _kl(*a, power=1),
            "The distance of the means is not squared. By your formula it would matter on which side the second mean lies.",
        ),
    ),
    hints=(
        "Write log first - log second; both are (log of the variance) and a square.",
        "Under the first Gaussian, what is the mean of (x - mean1)^2? And of (x - mean2)^2: put x - mean1 + "
        "mean1 - mean2.",
        "Try it on equal Gaussians: the result must be 0. Then on equal variances: only the distance of the "
        "means is left.",
    ),
)


# 2.3


def _weight_cases(generator):
    for low, high in ((2, 5), (6, 50), (51, 900), (901, 1001)):
        k = int(torch.randint(low, high, (1,), generator=generator))
        yield case(*_bars(k), given=f"at k = {k}")


def _weight_truth(alpha_bar, alpha_bar_before):
    """The package's own term, of a denoiser whose noise is wrong by exactly 1 in one dimension."""
    from diffusion_book.denoiser import FromFunction

    k = int((CHAIN.alpha_bar - alpha_bar).abs().argmin())
    alpha, sigma = CHAIN(k / 1000)
    wrong = FromFunction(lambda x_t, t: (x_t - sigma) / alpha, CHAIN)  # says eps = 1 where it is 0
    zero = torch.zeros(1, 1, dtype=torch.float64)
    return elbo.diffusion_term(wrong, zero, k / 1000, (k - 1) / 1000, zero).item()


def _snr(bar: float) -> float:
    return bar / (1 - bar)


WEIGHT = Exercise(
    number="2.3",
    title="From the picture's error to the noise's",
    function="noise_weight",
    cases=_weight_cases,
    truth=_weight_truth,
    read="'Each step is a slice of signal' and equations (eq-step) and (eq-eps-error)",
    mistakes=(
        Mistake(
            "the weight of x",
            lambda bar, before: (_snr(before) - _snr(bar)) / 2,
            "This is the factor of |x - x_hat|^2, equation (eq-step). The error of the noise is another number: they "
            "differ by the SNR at k, equation (eq-eps-error).",
        ),
        Mistake(
            "half missing",
            lambda bar, before: _snr(before) / _snr(bar) - 1,
            "Twice too large: the KL of two Gaussians of equal variance has a half in front.",
        ),
        Mistake(
            "sign",
            lambda bar, before: (_snr(bar) / _snr(before) - 1) / 2,
            "The ratio is upside down, and the weight came out negative: the SNR is larger at k - 1, where "
            "there is less noise.",
        ),
        Mistake(
            "SNR of the wrong end",
            lambda bar, before: (1 - _snr(bar) / _snr(before)) / 2,
            "Divided by the SNR at k - 1. The network is asked at x_k: it is the error of the noise in x_k that "
            "counts.",
        ),
        Mistake(
            "alpha-bar for the SNR",
            lambda bar, before: (before / bar - 1) / 2,
            "alpha_bar stands where the SNR belongs: the SNR is alpha_bar/(1 - alpha_bar).",
        ),
        Mistake(
            "beta for beta-tilde",
            lambda bar, before: (before / bar - 1) / 2 / (1 - bar),
            "You took beta_k for the variance under the distance of the means. The step is a KL of two Gaussians whose "
            "variance is beta-tilde_k, the smaller one.",
        ),
        Mistake(
            "half of the 1 only",
            lambda bar, before: _snr(before) / _snr(bar) - 1 / 2,
            "You halved the 1 and not the ratio. The whole difference is halved: it lacks a pair of brackets.",
        ),
        Mistake(
            "multiplied by the SNR",
            lambda bar, before: (_snr(before) - _snr(bar)) / 2 * _snr(bar),
            "You multiplied by the SNR at k. By equation (eq-eps-error) the error of the noise is already SNR times that of "
            "x, so to put it in the place of x's you divide.",
        ),
        Mistake(
            "the two SNRs exchanged",
            lambda bar, before: (1 - _snr(before) / _snr(bar)) / 2,
            "The right size and the wrong sign: the difference is SNR(k - 1) - SNR(k), for x_{k-1} holds less noise, "
            "and a step never costs less than nothing.",
        ),
    ),
    hints=(
        "Put x = (x_k - sigma eps)/alpha into x - x_hat, and the same with hats: x_k falls out.",
        "So |x - x_hat|^2 = |eps - eps_hat|^2 / SNR(k). Now put that into equation (eq-step).",
        "In Ho's symbols the answer is beta_k^2/(2 beta_tilde_k (1 - beta_k)(1 - alpha_bar_k)): the same "
        "number, if you want to compare.",
    ),
)


# 2.4


def _decoder_cases(generator):
    for deviation in (0.03, 0.2):
        mean = uniform(generator, -1.1, 1.1, 40)
        mean[:6] = torch.tensor([-1.0, -0.99, 0.99, 1.0, -0.98, 0.98], dtype=torch.float64)
        x = (mean + deviation * normal(generator, 40).clamp(-3, 3)).clamp(-1, 1)
        u = ((x + 1) * 127.5).round()
        u[:6] = torch.tensor([0.0, 0.0, 255.0, 255.0, 1.0, 254.0], dtype=torch.float64)  # the last two are closed
        yield case(u, mean, deviation, given=f"with deviation {deviation}")


def _decoder_truth(u, mean, deviation):
    return elbo.discretized_log_likelihood(u / 127.5 - 1, mean, deviation)


def _decoder(u, mean, deviation, width=1.0, which="right"):
    x, normal = u / 127.5 - 1, torch.distributions.Normal(mean, deviation)
    upper, lower = normal.cdf(x + width / 255), normal.cdf(x - width / 255)
    top, bottom = {
        "right": (255, 0),
        "closed": (-1, -1),
        "exchanged": (0, 255),
        "white": (255, -1),
        "black": (-1, 0),
        "of x": (1, -1),
    }[which]
    return (torch.where(u == top, 1.0, upper) - torch.where(u == bottom, 0.0, lower)).log()


def _neighbours_open(u, mean, deviation):
    """Where black and white are looked for by x < -0.99 and x > 0.99."""
    x, normal = u / 127.5 - 1, torch.distributions.Normal(mean, deviation)
    upper, lower = normal.cdf(x + 1 / 255), normal.cdf(x - 1 / 255)
    return (torch.where(u >= 254, 1.0, upper) - torch.where(u <= 1, 0.0, lower)).log()


DECODER = Exercise(
    number="2.4",
    title="Find the bug: the black background",
    function="log_mass",
    cases=_decoder_cases,
    truth=_decoder_truth,
    read="'The last step: a decoder for eight bits' and equation (eq-decoder)",
    mistakes=(
        Mistake(
            "closed end buckets",
            lambda *a: _decoder(*a, which="closed"),
            "The buckets of black and white end at -1 - 1/255 and 1 + 1/255, and what the Gaussian puts beyond "
            "is lost: "
            "the 256 masses do not sum to 1. Nothing lies beyond black but black.",
        ),
        Mistake(
            "only white is open",
            lambda *a: _decoder(*a, which="white"),
            "White is open, black is not: both ends of the scale catch what lies beyond.",
        ),
        Mistake(
            "only black is open",
            lambda *a: _decoder(*a, which="black"),
            "Black is mended. The other end of the scale, u = 255, has the same fault: nothing is brighter than white.",
        ),
        Mistake(
            "ends exchanged",
            lambda *a: _decoder(*a, which="exchanged"),
            "The ends are exchanged: u = 0 is black, x = -1, whose bucket reaches down to minus infinity.",
        ),
        Mistake(
            "half a bucket",
            lambda *a: _decoder(*a, width=0.5),
            "The buckets are half as wide as they should be: neighbouring levels are 2/255 apart, so each "
            "reaches 1/255 to both sides.",
        ),
        Mistake(
            "a density for a mass",
            lambda u, mean, deviation: torch.distributions.Normal(mean, deviation).log_prob(u / 127.5 - 1),
            "This is the log of a density. A grey level has a mass, the integral of the density over its bucket; "
            "a density can be as large as you like.",
        ),
        Mistake(
            "the mass itself",
            lambda *a: _decoder(*a).exp(),
            "These are the masses, and they are right; their logarithm was asked for.",
        ),
        Mistake(
            "the price for the log",
            lambda *a: -_decoder(*a),
            "This is -log of the mass, the price in nats. The log itself was asked for, which is never above 0.",
        ),
        Mistake(
            "u compared with -1 and 1",
            lambda *a: _decoder(*a, which="of x"),
            "You look for black and white among the u by -1 and 1. Those are the values of x: as a grey level, black is 0 "
            "and white 255.",
        ),
        Mistake(
            "neighbours open too",
            _neighbours_open,
            "The buckets of u = 1 and u = 254 are open as well: x = -1 + 2/255 = -0.992 belongs to u = 1. Only black and "
            "white have no neighbour beyond.",
        ),
        Mistake(
            "all mass to black and white",
            lambda u, mean, deviation: torch.where((u == 0) | (u == 255), 0.0, _decoder(u, mean, deviation)),
            "You give u = 0 and u = 255 the whole mass 1, whatever the mean. Their buckets are open on one side only; "
            "the other edge is where it was.",
        ),
    ),
    hints=(
        "Sum the masses of all 256 levels for one mean and deviation. What should come out, and what does?",
        "Try a mean of -1 with a deviation of 0.02: how much of the Gaussian lies below -1 - 1/255, where the bucket of "
        "black ends as it was found?",
        "Two levels of the 256 need a cdf of exactly 0 or 1 on one side.",
    ),
)


# 2.5


def _bits_cases(generator):
    for dims in (784, 3072):
        yield case(uniform(generator, -0.5, 3, 4) * dims, dims, given=f"with {dims} dimensions")


def _bits_truth(log_density, dims):
    return elbo.bits_per_dim(-log_density, dims, elbo.scaling_offset(127.5))


BITS = Exercise(
    number="2.5",
    title="From nats of a density to bits of a picture",
    function="bits_of_density",
    cases=_bits_cases,
    truth=_bits_truth,
    read="'From nats to bits per dimension' and equation (eq-bits)",
    mistakes=(
        Mistake(
            "log 2 missing",
            lambda log_density, dims: -log_density / dims + math.log2(127.5),
            "The first term is still in nats: a bit is log 2 = 0.693 nats.",
        ),
        Mistake(
            "offset missing",
            lambda log_density, dims: -log_density / dims / math.log(2),
            "The scaling is forgotten: the density is one of x = u/127.5 - 1, and that of u is smaller by the "
            "factor 127.5 "
            "in every dimension. The offset is about 7 bits.",
        ),
        Mistake(
            "offset with the wrong sign",
            lambda log_density, dims: -log_density / dims / math.log(2) - math.log2(127.5),
            "The offset has the wrong sign: squeezing 256 levels into a length of 2 makes the density larger, and "
            "undoing it makes -log of it larger, not smaller.",
        ),
        Mistake(
            "offset in nats",
            lambda log_density, dims: -log_density / dims / math.log(2) + math.log(127.5),
            "The offset is in nats, log(127.5), and the rest in bits.",
        ),
        Mistake(
            "sign of the log density",
            lambda log_density, dims: log_density / dims / math.log(2) + math.log2(127.5),
            "A likely picture must be cheap: bits are minus the logarithm.",
        ),
        Mistake(
            "offset of the other scaling",
            lambda log_density, dims: -log_density / dims / math.log(2) + 7,
            "7 = log2(128) belongs to x = (u + noise)/128 - 1; here the scale is 127.5. It is a difference of "
            "0.006 bits: small, and still wrong.",
        ),
        Mistake(
            "all in nats",
            lambda log_density, dims: -log_density / dims + math.log(127.5),
            "Both terms are right, and both in nats: a bit is log 2 = 0.693 nats.",
        ),
        Mistake(
            "multiplied by log 2",
            lambda log_density, dims: -log_density / dims * math.log(2) + math.log2(127.5),
            "You multiplied by log 2. A bit is smaller than a nat, so the same price is a larger number of bits. Did a "
            "division lack its brackets?",
        ),
        Mistake(
            "offset once a picture",
            lambda log_density, dims: (-log_density / math.log(2) + math.log2(127.5)) / dims,
            "You count the offset once for the whole picture, and then share it among the dimensions. Each dimension is "
            "scaled, and each pays the offset in full.",
        ),
        Mistake(
            "number of levels for the scale",
            lambda log_density, dims: -log_density / dims / math.log(2) + 8,
            "8 = log2(256) counts the levels. The offset is the log of the factor between u and x, which is 127.5: the 256 "
            "levels lie on a length of 2.",
        ),
    ),
    hints=(
        "Change of variables in one dimension: p(u) = p(x) dx/du. How long is the image of a bin of length 1?",
        "Check on uniform noise: its density is 127.5/256 in every dimension, and it must cost exactly 8 bits.",
    ),
)


# 2.6


def _slice_cases(generator):
    for _ in range(2):
        snr_t = uniform(generator, 0.01, 2, 1).item()
        yield case(uniform(generator, 0.05, 4, 7), snr_t * uniform(generator, 2, 50, 1).item(), snr_t)


def _slice_truth(variances, snr_s, snr_t):
    """The midpoint rule on E|x - x_hat|^2/2, in the log-SNR."""
    data = GaussianMixture([1.0], torch.zeros(1, len(variances)), torch.diag(variances)[None])
    edges = torch.linspace(math.log(snr_t), math.log(snr_s), 200_001, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    error = gaussian_elbo.expected_error(data, middle.exp())
    return (middle.exp() * error / 2).mean().item() * (edges[-1] - edges[0]).item()


SLICE = Exercise(
    number="2.6",
    title="The area in closed form",
    function="continuous_cost",
    cases=_slice_cases,
    truth=_slice_truth,
    read="'The exact laboratory' and equations (eq-gaussian-error) and (eq-gaussian-limit)",
    mistakes=(
        Mistake(
            "half missing",
            lambda l, snr_s, snr_t: torch.log((1 + l * snr_s) / (1 + l * snr_t)).sum().item(),
            "Twice too large: each slice is *half* the SNR times the error.",
        ),
        Mistake(
            "the 1 forgotten",
            lambda l, snr_s, snr_t: torch.log(l * snr_s / (l * snr_t)).sum().item() / 2,
            "The variances have dropped out, so this cannot be right for any data: the integral of l/(1 + l S) is "
            "log(1 + l S), with the 1.",
        ),
        Mistake(
            "one end only",
            lambda l, snr_s, snr_t: torch.log1p(l * snr_s).sum().item() / 2,
            "This is the area from SNR = 0. The path begins at snr_t: what x_t tells already is not paid for again.",
        ),
        Mistake(
            "in bits",
            lambda l, snr_s, snr_t: torch.log2((1 + l * snr_s) / (1 + l * snr_t)).sum().item() / 2,
            "This is the answer in bits; nats were asked for.",
        ),
        Mistake(
            "the rectangle",
            lambda l, snr_s, snr_t: (snr_s - snr_t) / 2 * (l / (1 + l * snr_t)).sum().item(),
            "This is one large step, a rectangle as high as the error at the noisy end. The area under the "
            "curve is less.",
        ),
        Mistake(
            "mean over the dimensions",
            lambda l, snr_s, snr_t: torch.log((1 + l * snr_s) / (1 + l * snr_t)).mean().item() / 2,
            "The mean over the dimensions instead of their sum.",
        ),
        Mistake(
            "the ends exchanged",
            lambda l, snr_s, snr_t: torch.log((1 + l * snr_t) / (1 + l * snr_s)).sum().item() / 2,
            "The right size and the wrong sign: the ends are exchanged. snr_s is the larger, and an area under a positive "
            "curve is positive.",
        ),
        Mistake(
            "half of one end only",
            lambda l, snr_s, snr_t: (torch.log1p(l * snr_s) - torch.log1p(l * snr_t) / 2).sum().item(),
            "You halved the second log and not the first. `a - b / 2` is a - (b/2): the difference lacks its brackets.",
        ),
        Mistake(
            "difference inside the log",
            lambda l, snr_s, snr_t: torch.log1p(l * (snr_s - snr_t)).sum().item() / 2,
            "You took the difference of the SNRs first and the log afterwards. The antiderivative log(1 + l S) is taken at "
            "both ends, and then the two are subtracted.",
        ),
        Mistake(
            "brackets around 1 + l SNR",
            lambda l, snr_s, snr_t: torch.log(1 + l * snr_s / (1 + l * snr_t)).sum().item() / 2,
            "The 1 of the numerator is not divided by 1 + l SNR(t): 1 + l SNR(s) lacks its brackets (eq-gaussian-limit).",
        ),
    ),
    hints=(
        "The error is a sum over axes, so do one axis: integrate l/(1 + l S)/2 from S = snr_t to snr_s.",
        "The derivative of log(1 + l S) by S is l/(1 + l S).",
    ),
)


# 2.7


GRID_STEPS, GRID_SHARE = 40, 0.7


def _grid_cases(generator):
    for _ in range(2):
        yield case(10 ** uniform(generator, -2.5, 1, 30), 9.0, -9.0, GRID_STEPS)


def grid_excess(levels: torch.Tensor, variances: torch.Tensor) -> float:
    """What the steps between falling log-SNRs cost beyond their limit, in nats."""
    snr = levels.double().exp()
    error = (variances / (1 + variances * snr[1:, None])).sum(1)
    steps = ((snr[:-1] - snr[1:]) / 2 * error).sum()
    return (steps - torch.log((1 + variances * snr[0]) / (1 + variances * snr[-1])).sum() / 2).item()


def _even(arguments):
    variances, high, low, steps = arguments
    return torch.linspace(high, low, steps + 1, dtype=torch.float64)


def _share(arguments, answer) -> float:
    return grid_excess(answer, arguments[0]) / grid_excess(_even(arguments), arguments[0])


def _uneven(arguments, answer) -> bool:
    return not torch.allclose(answer.double(), _even(arguments), rtol=0, atol=1e-3)


def _in_proportion_to_1_over_g(arguments, answer) -> bool:
    """h ~ 1/g, where sum g h^2 is least under sum h = given, if every step could keep its g."""
    variances, high, low, steps = arguments
    fine = torch.linspace(high, low, 4001, dtype=torch.float64)
    told = variances[:, None] * fine.exp()
    g = (told / (1 + told)).square().sum(0)
    share = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(g, dx=1.0)])
    places = torch.searchsorted(share / share[-1], torch.linspace(0, 1, steps + 1, dtype=torch.float64))
    return torch.allclose(answer.double()[1:-1], fine[places[1:-1]], rtol=0, atol=0.05)


def _is_snr(arguments, answer) -> bool:
    """Whether the ends are exp(high) and exp(low)."""
    ends = (answer[0], math.exp(arguments[1])), (answer[-1], math.exp(arguments[2]))
    return all(math.isclose(end.item(), snr, rel_tol=1e-3) for end, snr in ends)


def _in_the_noise(arguments, answer) -> int:
    """How many levels lie below the middle."""
    return int((answer < (arguments[1] + arguments[2]) / 2).sum())


def _in_snr(arguments, answer) -> bool:
    even = torch.linspace(math.exp(arguments[1]), math.exp(arguments[2]), arguments[3] + 1, dtype=torch.float64).log()
    return torch.allclose(answer.double()[:-1], even[:-1], rtol=0, atol=1e-3)


GRID = Exercise(
    number="2.7",
    title="Open: a better staircase",
    function="better_levels",
    cases=_grid_cases,
    truth=None,
    read="'The exact laboratory', where the excess of a staircase is worked out",
    conditions=(
        Condition(
            lambda arguments, answer: isinstance(answer, torch.Tensor) and answer.ndim == 1,
            lambda arguments, answer: (
                f"a tensor of log-SNRs was expected, shape ({arguments[3] + 1},), not {type(answer).__name__}"
            ),
        ),
        Condition(
            lambda arguments, answer: bool(answer.isfinite().all()),
            lambda arguments, answer: f"of the levels {(~answer.isfinite()).sum()} are no finite numbers",
        ),
        Condition(
            lambda arguments, answer: len(answer) == arguments[3] + 1,
            lambda arguments, answer: (
                f"{len(answer)} levels came out, {arguments[3] + 1} were expected: "
                f"{arguments[3]} steps have one end more than there are steps"
            ),
            "number of levels",
        ),
        Condition(
            lambda arguments, answer: bool((answer.diff() < 0).all()),
            lambda arguments, answer: (
                "the levels must fall, from high (data) to low (noise), each below the one before"
            ),
            "levels that do not fall",
        ),
        Condition(
            lambda arguments, answer: not _is_snr(arguments, answer),
            lambda arguments, answer: (
                f"the levels run from {answer[0]:.4g} to {answer[-1]:.3g}: these are SNRs, and their logarithms, from "
                f"{arguments[1]:g} to {arguments[2]:g}, were asked for"
            ),
            "SNRs for log-SNRs",
        ),
        Condition(
            lambda arguments, answer: bool(((answer < 0) | (answer > 1)).any()),
            lambda arguments, answer: (
                f"all your levels lie between 0 and 1, as alpha_bar does; log-SNRs from {arguments[1]:g} to "
                f"{arguments[2]:g} were asked for"
            ),
            "shares of the signal for log-SNRs",
        ),
        Condition(
            lambda arguments, answer: (
                abs(answer[0].item() - arguments[1]) < 1e-3 and abs(answer[-1].item() - arguments[2]) < 1e-3
            ),
            lambda arguments, answer: (
                f"the levels run from {answer[0]:.3f} to {answer[-1]:.3f}, but the ends are given: "
                f"{arguments[1]:g} and {arguments[2]:g}. Moving them moves work to the decoder and the prior"
            ),
            "ends moved",
        ),
        Condition(
            lambda arguments, answer: not _in_snr(arguments, answer),
            lambda arguments, answer: (
                f"equal steps in the SNR itself cost {_share(arguments, answer):.2f} times as much as equal steps in "
                f"its logarithm, where at most {GRID_SHARE} was asked for: nearly all of them lie at the very "
                "end, and one "
                "step has to cross the whole noisy part"
            ),
            "uniform in the SNR",
        ),
        Condition(
            _uneven,
            lambda arguments, answer: (
                "these are equal steps in log-SNR: the staircase to beat, not one that beats it. Where is the curve "
                "flat, so that long steps cost little?"
            ),
            "uniform in log-SNR",
        ),
        Condition(
            lambda arguments, answer: (
                _share(arguments, answer) <= GRID_SHARE or not _in_proportion_to_1_over_g(arguments, answer)
            ),
            lambda arguments, answer: (
                f"your staircase's excess is {_share(arguments, answer):.3f} times that of equal steps in log-SNR, where "
                f"at most {GRID_SHARE} was asked for. Its steps are in proportion to 1/g, with g = sum over i of "
                "(l_i S/(1 + l_i S))^2. That would be best if each step kept its g when it grows; but g belongs to the "
                "place, and a longer step there also means fewer of them"
            ),
            "steps in proportion to 1/g",
        ),
        Condition(
            lambda arguments, answer: (
                _share(arguments, answer) <= 1 or _in_the_noise(arguments, answer) < 0.6 * len(answer)
            ),
            lambda arguments, answer: (
                f"your staircase's excess is {_share(arguments, answer):.3g} times that of equal steps in log-SNR, where "
                f"at most {GRID_SHARE} was asked for: {_in_the_noise(arguments, answer)} of its {len(answer)} levels lie in "
                "the noisy half, where the error of x_hat hardly changes and long steps cost little. The short ones belong "
                "where it falls"
            ),
            "crowded in the noise",
        ),
        Condition(
            lambda arguments, answer: _share(arguments, answer) <= GRID_SHARE,
            lambda arguments, answer: (
                f"your staircase's excess is {_share(arguments, answer):.3f} times that of equal steps in log-SNR; "
                f"at most {GRID_SHARE} was asked for"
            ),
        ),
    ),
    reached=lambda arguments, answer: (
        f"your staircase's excess is {_share(arguments, answer):.3f} times that of equal steps in log-SNR, wanted was "
        f"{GRID_SHARE} at most"
    ),
    hints=(
        "One step of length h in log-SNR costs about h^2/4 times S^2 |dE/dS| too much, where E is the error at "
        "the SNR S. "
        "Why: what lies between the step and the curve is nearly a triangle.",
        "For Gaussian data S^2 |dE/dS| = sum over i of (l_i S/(1 + l_i S))^2. Call it g. g belongs to a place, not to a "
        "step: the excess is the integral of g h/4 over the log-SNR, with h the length of the steps there, and the number "
        "of steps is the integral of 1/h. Minimize the first with the second given.",
        "The minimum has h proportional to 1/sqrt(g). So: add up sqrt(g) along a fine grid, and cut its total "
        "into equal parts.",
        "torch.searchsorted, or a loop, inverts a running sum. The ends must be exactly the given ones.",
    ),
)


# 2.8


def _variance_cases(generator):
    for k in (2, 30, 700):
        for l in (0.01, uniform(generator, 0.2, 0.8, 1).item(), 1.0):
            yield case(l, *_bars(k), given=f"with data of variance {l:.3g}, at k = {k}")


def _variance_truth(l, alpha_bar, alpha_bar_before):
    """x_{k-1} and x_k are jointly Gaussian: the conditional variance, without any posterior given x."""
    keep = alpha_bar / alpha_bar_before
    before = alpha_bar_before * l + 1 - alpha_bar_before
    return before * (1 - keep) / (keep * before + 1 - keep)


def _best(l, bar, before, leftover=None, power=2, small=None):
    beta = 1 - bar / before
    c_0 = before**0.5 * beta / (1 - bar)
    left = l * (1 - bar) / (bar * l + 1 - bar) if leftover is None else leftover
    return (beta * (1 - before) / (1 - bar) if small is None else small) + c_0**power * left


VARIANCE = Exercise(
    number="2.8",
    title="The best variance of a step",
    function="best_variance",
    cases=_variance_cases,
    truth=_variance_truth,
    read="'Which variance?', where the spread of x_{k-1} is split in two",
    mistakes=(
        Mistake(
            "beta-tilde",
            lambda l, bar, before: (1 - bar / before) * (1 - before) / (1 - bar),
            "This is beta-tilde, the spread for one who knows x. The sampler only guesses x, and the spread of x "
            "around the guess comes on top.",
        ),
        Mistake(
            "beta",
            lambda l, bar, before: 1 - bar / before,
            "This is beta, right for data of variance 1 and too large for any narrower ones.",
        ),
        Mistake(
            "prior variance for the leftover",
            lambda l, bar, before: _best(l, bar, before, leftover=l),
            "The full variance of the data is added. x_k has told something about x: what is left is l/(1 + l SNR), "
            "equation (eq-gaussian-error).",
        ),
        Mistake(
            "coefficient not squared",
            lambda l, bar, before: _best(l, bar, before, power=1),
            "The spread of c_0 x is c_0^2 times that of x, not c_0 times.",
        ),
        Mistake(
            "noise variance for the leftover",
            lambda l, bar, before: _best(l, bar, before, leftover=(1 - bar) / bar),
            "The leftover variance of x is taken as 1/SNR, as if nothing were known of the data beforehand: "
            "it is l/(1 + l SNR), which is smaller.",
        ),
        Mistake(
            "coefficient forgotten",
            lambda *a: _best(*a, power=0),
            "You add the leftover variance of x itself. x enters x_{k-1} with the coefficient c_0, and its spread with "
            "c_0^2.",
        ),
        Mistake(
            "SNR of the wrong end",
            lambda l, bar, before: _best(l, bar, before, leftover=l / (1 + l * _snr(before))),
            "The leftover variance of x is taken at the SNR of k - 1. What is known is x_k: its SNR decides how much of x is "
            "still open.",
        ),
        Mistake(
            "beta for beta-tilde",
            lambda l, bar, before: _best(l, bar, before, small=1 - bar / before),
            "The first part is beta. If x is known as well, the spread of x_{k-1} is beta-tilde (eq-posterior-mean), and "
            "the second part comes on top of that.",
        ),
        Mistake(
            "deviation for variance",
            lambda *a: _best(*a) ** 0.5,
            "This is the standard deviation; the variance was asked for.",
        ),
    ),
    hints=(
        "Total variance: the spread of x_{k-1} given x_k is the mean of its spread given both, plus the spread "
        "of its mean.",
        "The mean given both is c_t x_k + c_0 x, and x_k is given: only x varies.",
        "How much does x still vary once x_k is known? Equation (eq-gaussian-error) with one l.",
    ),
)

EXERCISES = (BACKWARD, KL, WEIGHT, DECODER, BITS, SLICE, GRID, VARIANCE)
