"""The exercises of chapter 3: DDPM on real images."""

import math

import torch
from torch import nn

from diffusion_book.checks.draws import normal
from diffusion_book.checks.exercise import Case, Condition, Exercise, Mistake
from diffusion_book.schedules import Discrete, betas

F64 = torch.float64


def _integer(generator, low, high):
    return int(torch.randint(low, high, (), generator=generator))


# 3.1 --------------------------------------------------------------------------------------------------------------


def _step_cases(generator):
    for k in (1, 2, _integer(generator, 3, 10), _integer(generator, 10, 40)):
        x, eps_hat, z = (normal(generator, 4, 3) for _ in range(3))
        chain = 0.01 + 0.3 * torch.rand(40, generator=generator, dtype=F64)
        yield Case(
            lambda x=x, e=eps_hat, z=z, b=chain, k=k: (x.clone(), e.clone(), z.clone(), b.clone(), k), f"at k = {k}"
        )


def _step(x, eps_hat, z, betas, k):
    """Through x_hat and the posterior's mean, which is where the formula comes from."""
    beta = betas[k - 1].item()
    now, before = math.prod(1 - b for b in betas[:k].tolist()), math.prod(1 - b for b in betas[: k - 1].tolist())
    x_hat = (x - math.sqrt(1 - now) * eps_hat) / math.sqrt(now)
    mean = math.sqrt(1 - beta) * (1 - before) / (1 - now) * x + math.sqrt(before) * beta / (1 - now) * x_hat
    return mean + (math.sqrt(beta) * z if k > 1 else 0.0)


def _step_with(x, eps_hat, z, betas, k, beta=None, noise=None, product=None, kept=None):
    beta = betas[k - 1] if beta is None else beta
    product = torch.cumprod(1 - betas, 0)[k - 1] if product is None else product
    noise = (beta.sqrt() if k > 1 else 0.0) if noise is None else noise
    return (x - beta / (1 - product).sqrt() * eps_hat) / (1 - beta if kept is None else kept).sqrt() + noise * z


def _small_variance(x, eps_hat, z, betas, k):
    alpha_bar = torch.cat([torch.ones(1, dtype=F64), torch.cumprod(1 - betas, 0)])
    variance = betas[k - 1] * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k])
    return _step_with(x, eps_hat, z, betas, k, noise=variance.sqrt())


STEP = Exercise(
    "3.1",
    "One step of algorithm 2",
    "ddpm_step",
    _step_cases,
    _step,
    "The step back, in chapter 3",
    mistakes=(
        Mistake(
            "one step's alpha for the product",
            lambda x, eps_hat, z, betas, k: _step_with(x, eps_hat, z, betas, k, product=1 - betas[k - 1]),
            "Under the root of the noise's coefficient you used one step's 1 - beta_k. What x_k holds is the noise "
            "of all "
            "steps up to k: the product alpha_bar_k belongs there (eq-ddpm-step).",
        ),
        Mistake(
            "the product for one step's alpha",
            lambda x, eps_hat, z, betas, k: _step_with(
                x, eps_hat, z, betas, k, kept=torch.cumprod(1 - betas, 0)[k - 1]
            ),
            "You divide by sqrt(alpha_bar_k), which would undo all k steps at once. One step is undone here, and it "
            "multiplied by sqrt(1 - beta_k).",
        ),
        Mistake(
            "noise added before the division",
            lambda x, eps_hat, z, betas, k: _step_with(
                x, eps_hat, z, betas, k, noise=(betas[k - 1] / (1 - betas[k - 1])).sqrt() if k > 1 else 0.0
            ),
            "Your fresh noise stands inside the bracket, and is divided by sqrt(1 - beta_k) as well. It is added to the mean.",
        ),
        Mistake(
            "variance used as deviation",
            lambda x, eps_hat, z, betas, k: _step_with(x, eps_hat, z, betas, k, noise=betas[k - 1] if k > 1 else 0.0),
            "You multiplied the fresh noise by the variance v_k. A standard normal times c has variance c squared.",
        ),
        Mistake(
            "noise added at the last step",
            lambda x, eps_hat, z, betas, k: _step_with(x, eps_hat, z, betas, k, noise=betas[k - 1].sqrt()),
            "Your step from k = 1 to 0 adds noise. Nothing comes after it to take that noise away: the picture stays "
            "grainy.",
        ),
        Mistake(
            "counted from zero",
            lambda x, eps_hat, z, betas, k: _step_with(
                x, eps_hat, z, betas, k, beta=betas[k], product=torch.cumprod(1 - betas, 0)[k]
            ),
            "You took the entry after the right one: the tensor counts from 0, the chain from 1, so its entry 0 is "
            "beta_1.",
        ),
        Mistake(
            "the other variance",
            _small_variance,
            "That is the posterior's variance beta_tilde_k. The exercise asks for DDPM's other choice, v_k = beta_k.",
        ),
        Mistake(
            "noise put in instead of taken out",
            lambda x, eps_hat, z, betas, k: _step_with(x, -eps_hat, z, betas, k),
            "You add the network's noise to x_k. It is its guess of what has been added, and is taken off.",
        ),
        Mistake(
            "no root over 1 - alpha_bar",
            lambda x, eps_hat, z, betas, k: _step_with(
                x, eps_hat * (1 - torch.cumprod(1 - betas, 0)[k - 1]) ** -0.5, z, betas, k
            ),
            "You divide the noise by 1 - alpha_bar_k, which is its variance in x_k. The deviation belongs there, "
            "sqrt(1 - alpha_bar_k) (eq-ddpm-step).",
        ),
        Mistake(
            "no root over 1 - beta",
            lambda x, eps_hat, z, betas, k: _step_with(x, eps_hat, z, betas, k, kept=(1 - betas[k - 1]) ** 2),
            "You divide the bracket by 1 - beta_k. The step that is undone multiplied the signal by the root of that.",
        ),
        Mistake(
            "x_k left out of the division",
            lambda x, eps_hat, z, betas, k: _step_with(x * (1 - betas[k - 1]).sqrt(), eps_hat, z, betas, k),
            "Only the noise is divided by sqrt(1 - beta_k), and x_k is not. `a - b / c` is a - (b/c): the difference lacks "
            "its brackets (eq-ddpm-step).",
        ),
        Mistake(
            "no fresh noise",
            lambda x, eps_hat, z, betas, k: _step_with(x, eps_hat, z, betas, k, noise=0.0),
            "You return the mean. At every step but the last the fresh noise z, of variance v_k, is added to it.",
        ),
    ),
    hints=(
        "Three numbers are needed: beta_k, alpha_bar_k and whether this is the last step.",
        "torch.cumprod(1 - betas, 0) holds alpha_bar_1 at its position 0.",
        "Take the mean first; then ask whether k is 1.",
    ),
)

# 3.2 --------------------------------------------------------------------------------------------------------------


def _time_cases(generator):
    for width in (4, 2 * _integer(generator, 4, 9), 32):
        t = torch.rand(5, generator=generator, dtype=F64)
        yield Case(lambda t=t, width=width: (t.clone(), width), f"with width = {width}")


def _time(t, width):
    half = width // 2
    angle = [[1000 * time / 10_000 ** (2 * i / width) for i in range(half)] for time in t.tolist()]
    rows = [[math.cos(a) for a in row] + [math.sin(a) for a in row] for row in angle]
    return torch.tensor(rows, dtype=F64)


def _time_with(t, width, scale=1000.0, exponent=lambda i, width: -2 * i / width, first=0, swap=False, weave=False):
    i = torch.arange(first, first + width // 2, dtype=F64)
    angle = scale * t[:, None] * 10_000 ** exponent(i, width)
    pair = (angle.sin(), angle.cos()) if swap else (angle.cos(), angle.sin())
    return torch.stack(pair, -1).flatten(1) if weave else torch.cat(pair, 1)


def _to_the_end(i, width):
    """The exponents of Ho et al.'s code: from 0 to -1, both reached."""
    return -i / (width / 2 - 1)


TIME = Exercise(
    "3.2",
    "A clock with many hands",
    "time_features",
    _time_cases,
    _time,
    "What time is it?, in chapter 3",
    mistakes=(
        Mistake(
            "no decay of the frequencies",
            lambda t, width: _time_with(t, width, exponent=lambda i, _: 0 * i),
            "All your hands turn equally fast, so that all columns say the same, and two times one turn apart, about "
            "6.3 "
            "steps of a thousand, look alike. Each pair needs a frequency of its own (eq-time-features).",
        ),
        Mistake(
            "time not scaled to steps",
            lambda t, width: _time_with(t, width, scale=1.0),
            "Your angles are those of t between 0 and 1: the fastest hand turns by one radian in all, and neighbouring "
            "steps can hardly be told apart. The factor 1000 is missing.",
        ),
        Mistake(
            "half the exponent",
            lambda t, width: _time_with(t, width, exponent=lambda i, width: -i / width),
            "Your frequencies fall half as fast as they should in the exponent: i runs over pairs, and there are "
            "width/2 of them.",
        ),
        Mistake(
            "frequencies that rise",
            lambda t, width: _time_with(t, width, exponent=lambda i, width: 2 * i / width),
            "Your frequencies grow with i. The first pair is the fastest, 1000 t itself, and the rest are slower.",
        ),
        Mistake(
            "sines before cosines",
            lambda t, width: _time_with(t, width, swap=True),
            "The values are right, but the two halves stand in the other order: cosines first. A network trained "
            "with one "
            "order cannot read the other.",
        ),
        Mistake(
            "sines and cosines woven",
            lambda t, width: _time_with(t, width, weave=True),
            "The values are right, but cosine and sine alternate. Here the cosines fill the first half, the sines "
            "the second.",
        ),
        Mistake(
            "the last frequency at 1/10000",
            lambda t, width: _time_with(t, width, exponent=_to_the_end),
            "You divided by width/2 - 1, as the code of Ho et al. does, so that the last hand has omega = 1/10000. "
            "Here, as in Vaswani et al., the divisor is width/2 (eq-time-features).",
        ),
        Mistake(
            "the code of Ho et al.",
            lambda t, width: _time_with(t, width, exponent=_to_the_end, swap=True),
            "These are the features of Ho et al.'s code. They differ from the book's (eq-time-features) in two ways: "
            "sines come first, and the divisor is width/2 - 1 in place of width/2.",
        ),
        Mistake(
            "the order of Vaswani et al.",
            lambda t, width: _time_with(t, width, swap=True, weave=True),
            "The values are right, but they alternate, sine first, as in Vaswani et al. Here the cosines fill the first "
            "half, the sines the second.",
        ),
        Mistake(
            "1000 for 10000",
            lambda t, width: _time_with(t, width, exponent=lambda i, width: -1.5 * i / width),
            "Your frequencies are powers of 1000. There are two numbers in (eq-time-features): 1000 turns t into steps, "
            "and 10000 is what the frequencies are powers of.",
        ),
        Mistake(
            "the power before the product",
            lambda t, width: _time_with(t, width, scale=0.0),
            "Your angles are all next to 0. Did you write something like `10000 ** -2 * i / width`? Python takes the power "
            "first: the whole exponent needs brackets.",
        ),
        Mistake(
            "pairs counted from one",
            lambda t, width: _time_with(t, width, first=1),
            "Your i begins at 1. It begins at 0, where omega is 1: without it the fastest hand is missing, the one that "
            "tells neighbouring steps apart.",
        ),
        Mistake(
            "turns for radians",
            lambda t, width: _time_with(t, width, scale=2000 * math.pi),
            "Your angles hold a factor 2 pi: the fastest hand turns once around in each step of a thousand, and shows the "
            "same at all of them. It should turn by one radian (eq-time-features).",
        ),
    ),
    rtol=1e-4,  # frequencies made in float32 are right, too: they are off by 2e-5 at most
    hints=(
        "There are width/2 frequencies omega_i, i = 0, 1, ..., and omega_0 = 1.",
        "t has shape (B,) and omega (width/2,): t[:, None] * omega is a table of angles.",
        "torch.cat joins the two halves along dim=1.",
    ),
)

# 3.3 --------------------------------------------------------------------------------------------------------------


def _norm_cases(generator):
    # in the small one the 1e-5 counts
    for groups, channels, size in ((2, 8, 1.0), (3, 6, 1.0), (2, 4, 0.01)):
        x = size * (2 * normal(generator, 3, channels, 3, 4) + normal(generator, 3, channels, 1, 1))
        scale, shift = normal(generator, 3, channels), normal(generator, 3, channels)
        yield Case(
            lambda x=x, a=scale, b=shift, g=groups: (x.clone(), a.clone(), b.clone(), g),
            f"{channels} channels in {groups} groups" + (", of small values" if size < 1 else ""),
        )


def _norm(x, scale, shift, groups):
    normed = nn.functional.group_norm(x, groups, eps=1e-5)
    return torch.addcmul(shift[:, :, None, None] + normed, scale[:, :, None, None], normed)


def _norm_with(x, scale, shift, groups, dims=(2, 3, 4), unbiased=False, one=1.0, inside=1e-5, outside=0.0, power=0.5):
    B, C, H, W = x.shape
    grouped = x.reshape(B, groups, C // groups, H, W)
    mean = grouped.mean(dims, keepdim=True)
    variance = grouped.var(dims, unbiased=unbiased, keepdim=True)
    normed = ((grouped - mean) / ((variance + inside) ** power + outside)).reshape(x.shape)
    return (one + scale[:, :, None, None]) * normed + shift[:, :, None, None]


NORM = Exercise(
    "3.3",
    "Norm, scale and shift",
    "modulated_norm",
    _norm_cases,
    _norm,
    "The residual block, in chapter 3",
    mistakes=(
        Mistake(
            "scale without the one",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, one=0.0),
            "You multiply by scale, not by 1 + scale. Where scale is 0 your answer is shift alone: what was given is "
            "erased instead of left alone.",
        ),
        Mistake(
            "one group for all channels",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, 1),
            "Your mean and variance are taken over all channels together. Each group of C/groups neighbouring "
            "channels has its own.",
        ),
        Mistake(
            "1e-5 outside the root",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, inside=0.0, outside=1e-5),
            "You add 1e-5 to the standard deviation. It belongs to the variance, under the root.",
        ),
        Mistake(
            "each channel alone",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, x.shape[1]),
            "Your mean and variance are those of single channels. A group shares one of each among its C/groups "
            "channels.",
        ),
        Mistake(
            "statistics over the batch",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, dims=(0, 2, 3, 4)),
            "Your statistics mix the images of the batch, and with them their noise levels: an image's answer would "
            "depend on its "
            "neighbours. Leave dimension 0 alone.",
        ),
        Mistake(
            "batch norm",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, x.shape[1], dims=(0, 2, 3, 4)),
            "This is a batch norm: one mean and variance a channel, over all images. An image's answer would depend on its "
            "neighbours in the batch. Each image's groups have their own.",
        ),
        Mistake(
            "unbiased variance",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, unbiased=True),
            "You divide the squares by n - 1, as .var() does unless told otherwise. A norm divides by n.",
        ),
        Mistake(
            "scale and shift exchanged",
            lambda x, scale, shift, groups: _norm_with(x, shift, scale, groups),
            "Scale and shift have changed places.",
        ),
        Mistake(
            "shift inside the bracket",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift * (1 + scale), groups),
            "Your shift is multiplied by 1 + scale as well. It is added last.",
        ),
        Mistake(
            "no root",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, power=1.0),
            "You divide by the variance, not by its root: a group of twice the spread would come out half as wide.",
        ),
        Mistake(
            "1e-5 forgotten",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, groups, inside=0.0),
            "The 1e-5 under the root is missing. On large values it does not show; a group without any spread would be "
            "divided by 0.",
        ),
        Mistake(
            "std() as it comes",
            lambda x, scale, shift, groups: _norm_with(
                x, scale, shift, groups, unbiased=True, inside=0.0, outside=1e-5
            ),
            "You divide by .std() + 1e-5. Two things differ: .std() divides the squares by n - 1 unless told otherwise, and "
            "the 1e-5 belongs to the variance, under the root.",
        ),
        Mistake(
            "groups taken for channels a group",
            lambda x, scale, shift, groups: _norm_with(x, scale, shift, x.shape[1] // groups),
            "You made C/groups groups of `groups` channels each. It is the other way round: `groups` of them, with "
            "C/groups channels each.",
        ),
    ),
    hints=(
        "Reshape x to (B, groups, C/groups, H, W); then a group is one index of dimension 1.",
        "The mean and the variance of a group run over the last three dimensions; keepdim=True keeps the shapes in "
        "step.",
        "scale[:, :, None, None] has shape (B, C, 1, 1).",
    ),
)

# 3.4 --------------------------------------------------------------------------------------------------------------


def _attention_cases(generator):
    for places, d in ((5, 4), (7, 3)):
        q, k, v = (1.5 * normal(generator, 2, 2, places, d) for _ in range(3))
        yield Case(lambda q=q, k=k, v=v: (q.clone(), k.clone(), v.clone()), f"{places} places, d = {d}")


def _attention(q, k, v):
    return nn.functional.scaled_dot_product_attention(q, k, v)


def _weights(scores, v, dim=-1):
    return scores.softmax(dim) @ v


ATTENTION = Exercise(
    "3.4",
    "Every place asks every other",
    "attend",
    _attention_cases,
    _attention,
    "Attention, in chapter 3",
    mistakes=(
        Mistake(
            "softmax over the queries",
            lambda q, k, v: _weights(q @ k.mT / q.shape[-1] ** 0.5, v, dim=-2),
            "Your softmax runs over the places that ask. Each asking place should share out a weight of 1 among the "
            "places it "
            "looks at: the rows of the weights sum to 1, yours sum to 1 down the columns.",
        ),
        Mistake(
            "no scaling",
            lambda q, k, v: _weights(q @ k.mT, v),
            "A product of two vectors of length d is a sum of d terms, and its deviation is sqrt(d) times that of one "
            "term. You did not divide it away.",
        ),
        Mistake(
            "divided by d",
            lambda q, k, v: _weights(q @ k.mT / q.shape[-1], v),
            "You divided by d; the deviation of a sum of d independent terms grows like its root.",
        ),
        Mistake(
            "scaled by the number of places",
            lambda q, k, v: _weights(q @ k.mT / q.shape[-2] ** 0.5, v),
            "You divided by the root of the number of places. What grows the products is the length d of the vectors.",
        ),
        Mistake(
            "queries and keys exchanged",
            lambda q, k, v: _weights(k @ q.mT / q.shape[-1] ** 0.5, v),
            "Queries and keys have changed places: your row i holds what key i answers to all queries.",
        ),
        Mistake(
            "softmax over the heads",
            lambda q, k, v: _weights(q @ k.mT / q.shape[-1] ** 0.5, v, dim=1),
            "Your softmax runs over dimension 1, the heads, as F.softmax does when no dim is given. Each head looks for "
            "itself: the weights sum to 1 over the places that are looked at.",
        ),
        Mistake(
            "scaled after the softmax",
            lambda q, k, v: _weights(q @ k.mT, v) / q.shape[-1] ** 0.5,
            "You divided the weights by sqrt(d), and not the scores: your weights no longer sum to 1, and the softmax saw "
            "the scores in full size.",
        ),
        Mistake(
            "multiplied by the root",
            lambda q, k, v: _weights(q @ k.mT * q.shape[-1] ** 0.5, v),
            "You multiplied the scores by sqrt(d). They are too large already, and it is divided by.",
        ),
        Mistake(
            "scaled by the width of all heads",
            lambda q, k, v: _weights(q @ k.mT / (q.shape[1] * q.shape[-1]) ** 0.5, v),
            "You divided by the root of heads times d. A score is a product of two vectors of one head, and their length "
            "is d.",
        ),
        Mistake(
            "no softmax",
            lambda q, k, v: q @ k.mT / q.shape[-1] ** 0.5 @ v,
            "The scores are used as weights as they are. The softmax makes them positive and lets each row sum to 1.",
        ),
    ),
    hints=(
        "The scores are a table: a row for each place that asks, a column for each place that is asked.",
        "k.transpose(-1, -2) turns (places, d) into (d, places).",
        "Which dimension of the table must sum to 1?",
    ),
)

# 3.5 --------------------------------------------------------------------------------------------------------------


def _average_cases(generator):
    for updates, decay in ((3, 0.999), (_integer(generator, 20, 40), 0.5), (12, 0.3)):
        history = normal(generator, updates, 4).cumsum(0)
        yield Case(lambda h=history, decay=decay: (h.clone(), decay), f"{updates} updates, decay {decay}")


def _ramp(n, decay):
    return min(decay, (1 + n) / (10 + n))


def _averaged(history, decay):
    """As a weighted sum: w_m is what is left of row m after all later updates."""
    weights = [1.0] + [1 - _ramp(n, decay) for n in range(1, len(history))]
    for m in range(len(history)):
        for n in range(m + 1, len(history)):
            weights[m] *= _ramp(n, decay)
    return torch.tensor(weights, dtype=F64) @ history


def _average_with(history, decay, d=_ramp, start=None, swap=False):
    average = history[0] if start is None else start
    for n in range(1 if start is None else 0, len(history)):
        kept = 1 - d(n, decay) if swap else d(n, decay)
        average = kept * average + (1 - kept) * history[n]
    return average


AVERAGE = Exercise(
    "3.5",
    "The running average",
    "averaged",
    _average_cases,
    _averaged,
    "A second copy, moving slowly, in chapter 3",
    mistakes=(
        Mistake(
            "the newest weights",
            lambda history, decay: history[-1].clone(),
            "You return the weights after the last update: what training holds, not their average. Sampling with "
            "these is the "
            "commonest way to lose what the average has gained.",
        ),
        Mistake(
            "the decay on the wrong side",
            lambda history, decay: _average_with(history, decay, swap=True),
            "You keep 1 - d of the average and take d of the new weights: your average follows the newest weights "
            "almost at once.",
        ),
        Mistake(
            "no ramp",
            lambda history, decay: _average_with(history, decay, d=lambda _, decay: decay),
            "You used the final decay from the first update on. With 0.999 the random start would weigh more than a "
            "third after a "
            "thousand updates; d_n (eq-ema) is small in the beginning. If you did write it, look at its brackets.",
        ),
        Mistake(
            "started at zero",
            lambda history, decay: _average_with(history, decay, start=torch.zeros_like(history[0])),
            "Your average starts at 0. It starts as a copy of the weights after the first update.",
        ),
        Mistake(
            "plain mean",
            lambda history, decay: history.mean(0),
            "That is the mean of all weights since the start, in which the first, worst ones count as much as the "
            "last.",
        ),
        Mistake(
            "count begins at zero",
            lambda history, decay: _average_with(history, decay, d=lambda n, decay: _ramp(n - 1, decay)),
            "Your n is one too small: the second row is the first that is averaged in, with n = 1 and so d_1 = 2/11 "
            "at most.",
        ),
        Mistake(
            "count begins at two",
            lambda history, decay: _average_with(history, decay, d=lambda n, decay: _ramp(n + 1, decay)),
            "Your n is one too large: the second row, theta_2, enters with d_1 (eq-ema).",
        ),
        Mistake(
            "the last row left out",
            lambda history, decay: _average_with(history[:-1], decay),
            "The last row is missing from your average: there are N rows, and row N enters as well.",
        ),
        Mistake(
            "the ramp alone",
            lambda history, decay: _average_with(history, decay, d=lambda n, _: (1 + n) / (10 + n)),
            "You used the ramp (1 + n)/(10 + n) all the way, which rises toward 1. d_n never exceeds `decay`.",
        ),
        Mistake(
            "the larger of the two",
            lambda history, decay: _average_with(history, decay, d=lambda n, decay: max(decay, (1 + n) / (10 + n))),
            "You took the larger of the decay and the ramp. It is the smaller (eq-ema), so that the average follows fast "
            "in the beginning.",
        ),
    ),
    hints=(
        "Begin with a copy of history[0], then take the rows one after the other.",
        "Row number n, counted from 0 as Python does, enters with d_n.",
        "The average moves toward the new weights by the fraction 1 - d_n of the way.",
    ),
)

# 3.8 --------------------------------------------------------------------------------------------------------------


class _Net(nn.Module):
    """A small network whose dropout always drops the same entries, so that what it does can be recognised."""

    def __init__(self, weight, kept):
        super().__init__()
        self.weight, self.kept = weight, kept

    def forward(self, x, t):
        t = torch.as_tensor(t, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))  # a number, or (B,) as in the book
        h = torch.tanh(self.weight * x + 4 * t)
        return 2 * h * self.kept if self.training else h


def _chain_cases(generator):
    for K in (3, _integer(generator, 4, 9)):
        weight, kept = normal(generator, 4), (torch.arange(4) % 2).to(F64)
        x, z = normal(generator, 2, 4), normal(generator, K, 2, 4)
        chain = 0.05 + 0.3 * torch.rand(K, generator=generator, dtype=F64)
        yield Case(
            lambda w=weight, d=kept, x=x, b=chain, z=z: (_Net(w, d), x.clone(), b.clone(), z.clone()), f"K = {K}"
        )


def _chain(model, x, betas, z):
    model.eval()
    for k in range(len(betas), 0, -1):
        x = _step(x, model(x, k / len(betas)), z[k - 1], betas, k)
    return x


def _chain_with(model, x, betas, z, train=False, time=lambda k, K: k / K, skipped=0, last=1, noise_until=2):
    model.train(train)
    K, alpha_bar = len(betas), torch.cumprod(1 - betas, 0)
    for k in range(K - skipped, last - 1, -1):
        noise = betas[k - 1].sqrt() if k >= noise_until else 0.0
        x = _step_with(x, model(x, time(k, K)), z[k - 1], betas, k, noise=noise, product=alpha_bar[k - 1])
    return x


def _early(k, K):
    return (k - 1) / K


CHAIN = Exercise(
    "3.8",
    "Find the bug: the sampling loop",
    "sample_chain",
    _chain_cases,
    _chain,
    "What goes wrong, in chapter 3",
    mistakes=(
        Mistake(
            "nothing repaired",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, train=True, time=_early),
            "These are the values of the function as it was. It holds two mistakes: in which state is the network, "
            "and what time "
            "is it told at its first call?",
        ),
        Mistake(
            "off by one between training and sampling",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, time=_early),
            "At step k your network is told a time that it learned to connect with one step less noise. Compare what "
            "it "
            "was told in training at the noise level of x_k.",
        ),
        Mistake(
            "dropout on while sampling",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, train=True),
            "The times are right now, but the network still drops activations at random, as in training: it has not "
            "been told that "
            "training is over.",
        ),
        Mistake(
            "noise added at the last step",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, noise_until=1),
            "The two mistakes are gone, but the step from k = 1 to 0 now adds noise that nothing will take away.",
        ),
        Mistake(
            "the last step left out",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, last=2),
            "Your loop stops at x_1: the step from k = 1 to 0 is missing.",
        ),
        Mistake(
            "one step too late",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, time=lambda k, K: (k + 1) / K),
            "Now the network is told a step too many: at the first call it hears (K + 1)/K, which does not exist.",
        ),
        Mistake(
            "told the number of the step",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, time=lambda k, K: k),
            "You tell the network k. In training it was told a time between 0 and 1: at its first call it hears K where it "
            "knows 1.",
        ),
        Mistake(
            "the first step left out",
            lambda model, x, betas, z: _chain_with(model, x, betas, z, skipped=1),
            "Your loop starts at k = K - 1, and takes x_K for x_{K-1}. It was right to start at K; what the network is told "
            "there was wrong.",
        ),
    ),
    rtol=1e-5,  # a time told as a float32 tensor is right, too
    hints=(
        "A torch module behaves differently in training and in use. Which method tells it that training is over?",
        "Write down the time that the network is told when k = K. Which was it in training?",
        "The chain from K to 1 is right, and so are the coefficients.",
    ),
)

# 3.6 --------------------------------------------------------------------------------------------------------------


def _shorter_cases(generator):
    # the first stops before K, as leading does: whoever reads one too far gets wrong values there, and no IndexError yet
    for K, n, end in ((12, 4, False), (10, 4, True), (30, 6, True)):
        chain = 0.01 + 0.2 * torch.rand(K, generator=generator, dtype=F64)
        keep = (torch.randperm(K - 2, generator=generator)[: n - end] + 2).sort().values.tolist() + [K] * end
        yield Case(lambda b=chain, keep=keep: (b.clone(), list(keep)), f"K = {K}, keep = {keep}")


def _shorter(betas, keep):
    """1 - beta'_j is the product of 1 - beta over the steps that are jumped over, the kept one included."""
    edges = [0, *keep]
    return torch.stack([1 - (1 - betas[a:b]).prod() for a, b in zip(edges, edges[1:], strict=False)])


def _picked(betas, keep):
    return betas[[k - 1 for k in keep]]


def _sums(betas, keep):
    edges = [0, *keep]
    return torch.stack([betas[a:b].sum() for a, b in zip(edges, edges[1:], strict=False)])


def _ratios(betas, keep, move=0, first=0, power=1.0):
    alpha_bar = torch.cat([torch.ones(1, dtype=F64), torch.cumprod(1 - betas, 0)])
    kept = alpha_bar[[first, *(k + move for k in keep)]]
    return 1 - (kept[1:] / kept[:-1]) ** power


def _neighbours(betas, keep):
    alpha_bar = torch.cat([torch.ones(1, dtype=F64), torch.cumprod(1 - betas, 0)])
    return torch.stack([1 - alpha_bar[k] for k in keep])


SHORTER = Exercise(
    "3.6",
    "A shorter chain",
    "shorter_chain",
    _shorter_cases,
    _shorter,
    "A shorter chain is another DDPM, in chapter 3",
    mistakes=(
        Mistake(
            "the old betas kept",
            _picked,
            "You kept the betas of the steps that stay. Each new step has to add the noise of all the steps it jumps "
            "over, and yours "
            "would end far from pure noise.",
        ),
        Mistake(
            "betas added up",
            _sums,
            "You added the betas over each stretch. Signals multiply: the fractions 1 - beta do, and a sum is right "
            "only for tiny betas.",
        ),
        Mistake(
            "off by one step",
            lambda betas, keep: _ratios(betas, keep, move=-1),
            "Your products end one step too early: step k keeps alpha_bar_k, which includes beta_k.",
        ),
        Mistake(
            "from the data each time",
            _neighbours,
            "You gave each step all the noise since the clean image. A step starts from the kept step before it.",
        ),
        Mistake(
            "counted from zero",
            lambda betas, keep: _ratios(betas, keep, move=1),
            "Your products end one step too late: torch.cumprod(1 - betas, 0) holds alpha_bar_1 at its position 0, so "
            "position k is already alpha_bar_{k+1}, and for k = K there is none.",
        ),
        Mistake(
            "no alpha_bar_0 in front",
            lambda betas, keep: _ratios(betas, keep, move=1, first=1),
            "You read position 0 of torch.cumprod(1 - betas, 0) as alpha_bar_0 = 1, but it holds alpha_bar_1, and all the "
            "others stand one place too early as well. The 1 has to be put in front.",
        ),
        Mistake(
            "what is kept for what is added",
            lambda betas, keep: 1 - _ratios(betas, keep),
            "Your numbers are 1 - beta', the fraction of the squared signal that each step keeps. The betas were asked for.",
        ),
        Mistake(
            "roots of the ratios",
            lambda betas, keep: _ratios(betas, keep, power=0.5),
            "You took the root of the ratio. That is the factor of the signal, and 1 - beta' is its square (eq-respaced).",
        ),
    ),
    hints=(
        "Demand that the new chain has the old alpha_bar at every kept step, and solve for one beta'.",
        "alpha_bar'_j = (1 - beta'_j) alpha_bar'_{j-1}, and before the first kept step alpha_bar is 1.",
    ),
)

# 3.7 --------------------------------------------------------------------------------------------------------------

ALPHA_BAR = Discrete(betas.linear()).alpha_bar.tolist()
SPREAD, TARGET = 0.5, 0.13


def _steps(answer) -> list[int]:
    """The answer as whole numbers; an empty list if it is none."""
    try:
        values = [float(k) for k in answer]
    except (TypeError, ValueError):
        return []
    return [int(k) for k in values] if all(math.isfinite(k) and k == int(k) for k in values) else []


def spread_error(keep: list[int]) -> float:
    """|s - 0.5|, s the exact standard deviation that ancestral sampling along these steps gives to data N(0, 0.5^2)."""
    v, variance, edges = SPREAD**2, 1.0, [0, *keep]
    for j in range(len(keep), 0, -1):
        now, before = ALPHA_BAR[edges[j]], ALPHA_BAR[edges[j - 1]]
        gain = math.sqrt(now) * v / (now * v + 1 - now)  # x_hat = gain x_t
        beta = 1 - now / before
        c_t, c_0 = math.sqrt(1 - beta) * (1 - before) / (1 - now), math.sqrt(before) * beta / (1 - now)
        variance = (c_t + c_0 * gain) ** 2 * variance + beta * (1 - before) / (1 - now)
    return abs(math.sqrt(variance) - SPREAD)


def _jumps_into_the_data(keep: list[int]) -> bool:
    """Whether these ten are worse than equal spacing, and the longest jump is the one that ends in x_0."""
    jumps = [b - a for a, b in zip([0, *keep], keep, strict=False)]
    return jumps[0] == max(jumps) and spread_error(keep) > spread_error(list(range(100, 1001, 100)))


def _rises(_, answer):
    keep = _steps(answer)
    return bool(keep) and all(a < b for a, b in zip([0, *keep], keep, strict=False)) and keep[-1] <= 1000


TEN = Exercise(
    "3.7",
    "Open question: the best ten steps",
    "ten_steps",
    lambda generator: [Case(lambda: ())],
    None,
    "A shorter chain is another DDPM, in chapter 3",
    conditions=(
        Condition(
            _rises,
            lambda _, answer: f"your steps are {answer!r}; wanted are whole numbers that rise within 1 to 1000",
            "no walk along the chain",
        ),
        Condition(
            lambda _, answer: len(_steps(answer)) == 10,
            lambda _, answer: f"you kept {len(_steps(answer))} steps, and the budget is 10 calls of the network",
            "not ten steps",
        ),
        Condition(
            lambda _, answer: _steps(answer)[-1] == 1000,
            lambda _, answer: (
                f"your chain starts at step {_steps(answer)[-1]}, but what it is given is pure noise, as at step "
                "1000. Here that can "
                "even look like a gain, because the start is too wide where the result is too narrow: two errors "
                "that happen to cancel"
            ),
            "does not start at the noise",
        ),
        Condition(
            lambda _, answer: _steps(answer) != list(range(100, 1001, 100)),
            lambda _, answer: (
                f"equal spacing: the samples' deviation misses 0.5 by {spread_error(_steps(answer)):.3f}, wanted is "
                f"at most {TARGET}. "
                "Each step adds noise of variance beta_tilde, the smaller of the two variances (beta is the larger), and so "
                "leaves out the spread that comes from what is still unknown of x (eq-total-variance). Where along the "
                "chain is that most?"
            ),
            "equal spacing",
        ),
        Condition(
            lambda _, answer: not _jumps_into_the_data(_steps(answer)),
            lambda _, answer: (
                f"the samples' deviation misses 0.5 by {spread_error(_steps(answer)):.3f}, more than with equal spacing; "
                f"wanted is at most {TARGET}. Your longest jump is the last one, from step {_steps(answer)[0]} to 0, which "
                "adds no noise: the spread of what is still unknown of x at that step is lost"
            ),
            "longest jump into the data",
        ),
        Condition(
            lambda _, answer: spread_error(_steps(answer)) <= TARGET,
            lambda _, answer: (
                f"the samples' deviation misses 0.5 by {spread_error(_steps(answer)):.4f}, wanted is at most {TARGET}"
            ),
        ),
    ),
    reached=lambda _, answer: (
        f"the samples' deviation misses {SPREAD} by {spread_error(_steps(answer)):.4f}, wanted was {TARGET} at most"
    ),
    hints=(
        "The steps need not be equally far apart. Try a power: k_j = 1000 (j/10)^p.",
        "Look at one step's missing variance c_0^2 Var[x given x_k], at the beginning and at the end of the chain.",
        "The target leaves room: a search over the ten numbers goes far below it.",
    ),
)

EXERCISES = (STEP, TIME, NORM, ATTENTION, AVERAGE, SHORTER, TEN, CHAIN)
