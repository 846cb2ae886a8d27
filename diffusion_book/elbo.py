"""The evidence lower bound: -log p(x) <= prior + diffusion + reconstruction, on a grid 0 = t_0 < t_1 < ... < t_K.

    prior            KL(q(x_{t_K} | x) || p(x_{t_K})),
    diffusion        sum over k = 2..K of E KL(q(x_{t_{k-1}} | x_{t_k}, x) || p(x_{t_{k-1}} | x_{t_k})),
    reconstruction   E[-log p(x | x_{t_1})],

every one (B,) in nats, summed over the dimensions of a row. See chapter 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.posterior import log_variance_range, posterior
from diffusion_book.predictions import all_finite, any_zero, combine, expand
from diffusion_book.schedules.base import Schedule, Time, as_float64

Variance = Callable[[PosteriorMean, torch.Tensor, Time, Time], tuple[torch.Tensor, torch.Tensor]]


# The variances of p(x_s | x_t). Each answers (x_hat, log variance) for the step t -> s, from one call of the denoiser.


def smaller(denoiser: PosteriorMean, x_t: torch.Tensor, t: Time, s: Time) -> tuple[torch.Tensor, torch.Tensor]:
    """beta_tilde, that of q(x_s | x_t, x); at s = 0 that of the next step, as `log_variance_range` clips it."""
    return denoiser(x_t, t), _like(log_variance_range(denoiser.schedule, t, s)[0], x_t)


def larger(denoiser: PosteriorMean, x_t: torch.Tensor, t: Time, s: Time) -> tuple[torch.Tensor, torch.Tensor]:
    """beta, that of the forward step; sigma_t^2 at s = 0. Source, of both: Ho et al. 2020, section 3.2."""
    *_, beta = posterior(denoiser.schedule, t, s)
    return denoiser(x_t, t), _like(as_float64(beta).log(), x_t)


def learned(denoiser: PosteriorMean, x_t: torch.Tensor, t: Time, s: Time) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network says, between the two. Source: Nichol & Dhariwal 2021, eq. 15."""
    return denoiser.with_log_variance(x_t, t, s)


def _like(value: Time, x: torch.Tensor) -> torch.Tensor:
    return expand(as_float64(value).reshape(-1), x)


# The three terms


def gaussian_kl(mean1: Time, var1: Time, mean2: Time, var2: Time) -> torch.Tensor:
    """KL(N(mean1, var1) || N(mean2, var2)) = [log(var2/var1) + var1/var2 - 1 + (mean1 - mean2)^2/var2] / 2, in nats.

    Elementwise, by broadcasting. Raises BookError for a variance that is not positive. Source: Bishop 2006, ex. 2.13.
    """
    numbers = (mean1, var1, mean2, var2)
    mean1, var1, mean2, var2 = (v if isinstance(v, torch.Tensor) else as_float64(v) for v in numbers)
    if not bool((var1 > 0).all() and (var2 > 0).all()):
        raise BookError(f"variances must be positive, but the least are {var1.min():g} and {var2.min():g}")
    excess = (var1 - var2) / var2  # var1/var2 = 1 + excess, so that nearly equal variances keep their digits
    return (excess - torch.log1p(excess) + (mean1 - mean2) ** 2 / var2) / 2


def prior_kl(schedule: Schedule, x: torch.Tensor, t: Time = 1.0) -> torch.Tensor:
    """KL(q(x_t | x) || N(0, (alpha^2 + sigma^2) I)), (B,), at the last time t of the grid.

    The prior is that of `samplers.prior`: N(0, I) for every variance-preserving schedule.
    """
    alpha, sigma = (_like(value, x) for value in schedule(t))
    return gaussian_kl(alpha * x, sigma**2, 0.0, alpha**2 + sigma**2).flatten(1).sum(1)


def diffusion_term(denoiser: PosteriorMean, x: torch.Tensor, t: Time, s: Time, eps: torch.Tensor) -> torch.Tensor:
    """(SNR(s) - SNR(t))/2 |x - x_hat|^2 at x_t = alpha x + sigma eps, (B,): the step t -> s with variance beta_tilde.

    It is KL(q(x_s | x_t, x) || q(x_s | x_t, x_hat)), `step_kl` with `smaller`. t and s are numbers or (B,).
    Raises BookError at s = 0, where the SNR is infinite. Source: Kingma et al. 2021, section 4.
    """
    logsnr_s, logsnr_t = (as_float64(denoiser.schedule.logsnr(time)) for time in (s, t))
    if bool(logsnr_s.isinf().any()):
        raise BookError("the SNR is infinite at s = 0: the step to clean data is scored by `reconstruction_term`")
    fall = logsnr_s.exp() * -torch.expm1(logsnr_t - logsnr_s)  # SNR(s) - SNR(t), also where they nearly agree
    return fall.to(x) / 2 * _square_error(denoiser, x, t, eps)


def continuous_diffusion_loss(denoiser: PosteriorMean, x: torch.Tensor, t: Time, eps: torch.Tensor) -> torch.Tensor:
    """-1/2 dlogsnr/dt SNR |x - x_hat|^2, (B,): the diffusion terms of infinitely many steps are its integral over t.

    -dlogsnr/dt SNR = 2 alpha (alpha sigma' - sigma alpha')/sigma^3, in which nothing is infinite at alpha = 0.
    Raises BookError at sigma = 0 and where a rate is infinite. Source: Kingma et al. 2021, section 5.
    """
    (alpha, sigma), rates = denoiser.schedule(t), denoiser.schedule.rates(t)
    if any_zero(sigma) or not all(all_finite(rate) for rate in rates):
        raise BookError(f"the rate of the log-SNR is infinite at t = {t}: use t >= {denoiser.schedule.first_t:g}")
    fall = 2 * alpha * (alpha * rates[1] - sigma * rates[0]) / sigma**3  # -d SNR/dt
    return as_float64(fall).to(x) / 2 * _square_error(denoiser, x, t, eps)


def _square_error(denoiser, x, t, eps):
    return (x - denoiser(_noised(denoiser, x, t, eps), t)).square().flatten(1).sum(1)


def _noised(denoiser, x, t, eps):
    if eps.shape != x.shape or (isinstance(t, torch.Tensor) and t.shape not in [(), x.shape[:1]]):
        raise BookError(f"x {tuple(x.shape)} and eps {tuple(eps.shape)} must agree, and t be a number or one a row")
    alpha, sigma = denoiser.schedule(t)
    return combine(alpha, x, sigma, eps)


def step_kl(
    denoiser: PosteriorMean, x: torch.Tensor, t: Time, s: Time, eps: torch.Tensor, variance: Variance = smaller
) -> torch.Tensor:
    """KL(q(x_s | x_t, x) || N(c_t x_t + c_0 x_hat, variance)), (B,), for 0 < s < t, with any of the variances above."""
    x_hat, log_variance = variance(denoiser, _noised(denoiser, x, t, eps), t, s)
    return posterior_kl(denoiser.schedule, x, x_hat, log_variance, t, s)


def posterior_kl(
    schedule: Schedule, x: torch.Tensor, x_hat: torch.Tensor, log_variance: torch.Tensor, t: Time, s: Time
) -> torch.Tensor:
    """KL(N(c_0 x, beta_tilde) || N(c_0 x_hat, e^log_variance)), (B,): of the means only c_0 (x - x_hat) is different.

    Raises BookError at s = 0, where beta_tilde = 0.
    """
    _, c_0, beta_tilde, _ = (_like(value, x) for value in posterior(schedule, t, s))
    return gaussian_kl(c_0 * x, beta_tilde, c_0 * x_hat, log_variance.exp()).flatten(1).sum(1)


def discretized_log_likelihood(x: torch.Tensor, mean: torch.Tensor, deviation: Time) -> torch.Tensor:
    """log P(x), like x: the mass that N(mean, deviation^2) gives to the bin of x, one of 256 of width 2/255.

    x holds u/127.5 - 1, u = 0..255; the bins of -1 and 1 reach to -inf and inf, so that the masses sum to 1.
    deviation is a number or broadcasts with x. The arithmetic is that of x's dtype: give float64 where digits matter.
    Raises BookError for x off the grid, and a deviation that is not positive. Source: Ho et al. 2020, eq. 13.
    """
    u = (x + 1) * 127.5
    level = u.round()
    if bool(((u - level).abs() > 1e-3).any() or (level < 0).any() or (level > 255).any()):
        raise BookError("the decoder scores 8-bit values: x must be u/127.5 - 1 with u = 0, ..., 255, not dequantized")
    deviation = deviation if isinstance(deviation, torch.Tensor) else torch.full((), deviation, dtype=x.dtype)
    if not bool((deviation > 0).all()):
        raise BookError(f"the decoder's deviation must be positive, but its least is {deviation.min():g}")
    low, high = (x - 1 / 255 - mean) / deviation, (x + 1 / 255 - mean) / deviation
    # a bin above the mean is mirrored below it, where the cdf keeps its digits: Phi(b) - Phi(a) = Phi(-a) - Phi(-b)
    above = low > 0
    log_a, log_b = (torch.special.log_ndtr(torch.where(above, -m, n)) for m, n in ((high, low), (low, high)))
    difference = (log_a - log_b).clamp(max=-torch.finfo(x.dtype).tiny)
    inside = log_b + torch.log(-torch.expm1(difference))
    ends = torch.where(level == 0, torch.special.log_ndtr(high), torch.special.log_ndtr(-low))
    return torch.where((level == 0) | (level == 255), ends, inside)


def reconstruction_term(
    denoiser: PosteriorMean, x: torch.Tensor, t: Time, eps: torch.Tensor, variance: Variance = smaller
) -> torch.Tensor:
    """L_0 = -log p(x | x_t), (B,), at the first time t > 0 of the grid: the discretized N(x_hat, variance)."""
    x_hat, log_variance = variance(denoiser, _noised(denoiser, x, t, eps), t, 0.0)
    return -discretized_log_likelihood(x, x_hat, (log_variance / 2).exp()).flatten(1).sum(1)


def gaussian_reconstruction(
    denoiser: PosteriorMean, x: torch.Tensor, t: Time, eps: torch.Tensor, variance: Time | None = None
) -> torch.Tensor:
    """-log N(x; x_hat, variance I) at x_t = alpha x + sigma eps, (B,): the last term for values that are dequantized.

    By default the variance is sigma^2/alpha^2, what one noisy look leaves of a value nothing else is known of; then the
    term is D log(2 pi sigma^2/alpha^2)/2 + |eps - eps_hat|^2/2. It is a density, whose unit `bits_per_dim` takes into
    account by `scaling_offset`. Raises BookError at sigma = 0 unless a variance is given. See chapter 6.
    """
    alpha, sigma = denoiser.schedule(t)
    variance = _like((sigma / alpha) ** 2 if variance is None else variance, x)
    if not bool((variance > 0).all()):
        raise BookError(f"the decoder's variance must be positive, but its least is {variance.min():g}")
    x_hat = denoiser(_noised(denoiser, x, t, eps), t)
    return ((x - x_hat).square() / variance + (2 * math.pi * variance).log()).flatten(1).sum(1) / 2


# Their sum


@dataclass(frozen=True)
class NegativeELBO:
    """The terms of one draw of the noise, in nats: prior and reconstruction (B,), steps (B, K - 1) from t_1 upwards."""

    prior: torch.Tensor
    steps: torch.Tensor
    reconstruction: torch.Tensor

    @property
    def diffusion(self) -> torch.Tensor:
        """The sum of the steps, (B,)."""
        return self.steps.sum(1)

    @property
    def total(self) -> torch.Tensor:
        """prior + diffusion + reconstruction, (B,): in expectation at least -log p(x)."""
        return self.prior + self.diffusion + self.reconstruction

    def bits_per_dim(self, dims: int) -> torch.Tensor:
        """The total, (B,). It is of 8-bit values already, by the decoder's bins: no offset."""
        return bits_per_dim(self.total, dims)


@torch.no_grad()
def negative_elbo(
    denoiser: PosteriorMean, x: torch.Tensor, times, noise: Callable[[], torch.Tensor], variance: Variance = smaller
) -> NegativeELBO:
    """The three terms on a grid of times, with fresh noise for each step: reconstruction first, then upwards.

    `times` rise or fall strictly in [0, 1], as grids and `Discrete.times` give them; 0 is added where it is missing.
    x (B, ...) holds u/127.5 - 1. Raises BookError for other grids. Source: Ho et al. 2020, eq. 5.
    """
    times = [float(t) for t in times]
    times = times if times[:1] < times[-1:] else times[::-1]
    if any(s >= t for s, t in pairwise(times)) or not times or times[0] < 0 or not 0 < times[-1] <= 1:
        raise BookError(f"times must rise or fall strictly in [0, 1], with one above 0 at least, but got {times}")
    times = [t for t in times if t > 0]
    reconstruction = reconstruction_term(denoiser, x, times[0], noise(), variance)
    steps = [step_kl(denoiser, x, t, s, noise(), variance) for s, t in pairwise(times)]
    steps = torch.stack(steps, 1) if steps else x.new_zeros(len(x), 0)
    return NegativeELBO(prior_kl(denoiser.schedule, x, times[-1]), steps, reconstruction)


# Units


def bits_per_dim(nats: torch.Tensor, dims: int, offset_bits: float = 0.0) -> torch.Tensor:
    """nats/(dims log 2) + offset_bits. The offset of a density of scaled pixels is `scaling_offset`."""
    return nats / (dims * math.log(2)) + offset_bits


def scaling_offset(scale: float = 127.5) -> float:
    """log2(scale) bits per dimension: what -log2 p(x) lacks to -log2 p(u) for x = u/scale - 1, by change of variables.

    log2(127.5) for u/127.5 - 1, and 7 for `dequantize`, whose scale is 128.
    """
    return math.log2(scale)


def dequantize(u: torch.Tensor, seed: int | torch.Generator = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(u + U[0, 1))/128 - 1 in [-1, 1), like u: 8-bit values, 0..255, spread evenly over their bins.

    The density of the result bounds the probability of u from below. Source: Theis et al. 2016, section 3.1.
    """
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    shift = torch.rand(u.shape, generator=generator, dtype=torch.float64).to(u.device)
    return ((u + shift) / 128 - 1).to(dtype)
