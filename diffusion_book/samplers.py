"""Samplers: a sampler is a step from time t to an earlier time s, and one loop that takes the steps.

step(denoiser, x, t, s, memory, noise) -> x_s. `memory` is a dict that lives for one trajectory, `noise()` gives a fresh
standard normal tensor like x. `step.order` says that with n steps over a fixed interval the error at its end falls like
n^-order (where noise is drawn: the error of the law, the weak order); `step.nfe` is the evaluations of the denoiser in
an interior step. The step to sigma = 0 returns x_hat. See chapters 3, 5 and 7.
"""

import math
from collections.abc import Callable, Iterator

import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.posterior import posterior
from diffusion_book.predictions import combine
from diffusion_book.schedules.base import Schedule

Step = Callable[[PosteriorMean, torch.Tensor, float, float, dict, Callable[[], torch.Tensor]], torch.Tensor]


def prior(schedule: Schedule, noise: Callable[[], torch.Tensor], t: float = 1.0) -> torch.Tensor:
    """N(0, (alpha^2 + sigma^2) I), where a trajectory starts: exact where alpha = 0 or the data are N(0, I).

    Otherwise it is the usual stand-in, with the right second moment for data of unit variance. `t` is times[0].
    """
    alpha, sigma = schedule(t)
    return (alpha**2 + sigma**2) ** 0.5 * noise()


@torch.no_grad()
def trajectory(denoiser: PosteriorMean, x: torch.Tensor, times, step: Step, noise=None) -> Iterator[tuple]:
    """Walk x from times[0] down to times[-1]; after each step yield (s, x_s, x_hat), with the last x_hat it was told.

    No gradient is kept. Raises BookError for times that do not fall strictly within [0, 1], and if a step draws noise
    where none is given.
    """
    times = [float(t) for t in times]
    falling = all(t > s for t, s in zip(times, times[1:], strict=False))
    if len(times) < 2 or not falling or times[0] > 1 or times[-1] < 0:
        raise BookError(f"times must fall strictly within [0, 1] and be at least two, but got {times}")
    seen = _Remembering(denoiser)
    memory: dict = {}
    for t, s in zip(times, times[1:], strict=False):
        x = step(seen, x, t, s, memory, noise or _no_noise)
        yield s, x, seen.last


def sample(denoiser: PosteriorMean, x: torch.Tensor, times, step: Step, noise=None) -> torch.Tensor:
    """x at the end of `trajectory`."""
    for _, x_s, _ in trajectory(denoiser, x, times, step, noise):
        end = x_s
    return end


class _Remembering(PosteriorMean):
    """The denoiser, keeping its last answer, so that the loop can show x_hat without asking again."""

    def __init__(self, denoiser):
        self.denoiser, self.schedule, self.last = denoiser, denoiser.schedule, None

    def __call__(self, x_t, t):
        self.last = self.denoiser(x_t, t)
        return self.last

    def with_fraction(self, x_t, t):
        self.last, fraction = self.denoiser.with_fraction(x_t, t)
        return self.last, fraction


def _no_noise():
    raise BookError("this step draws noise: pass noise=Noise(seed, x.shape) to `sample` or `trajectory`")


def declare(order: int, nfe: int):
    """Write a step's order and evaluations onto it."""

    def mark(step):
        step.order, step.nfe = order, nfe
        return step

    return mark


@declare(order=1, nfe=1)
def ancestral(denoiser, x, t, s, memory, noise):
    """x_s ~ q(x_s | x_t, x_hat), with the posterior variance beta_tilde. Source: Ho et al. 2020, algorithm 2."""
    x_hat = denoiser(x, t)
    c_t, c_0, beta_tilde, _ = posterior(denoiser.schedule, t, s)
    if denoiser.schedule(s)[1] == 0:
        return x_hat
    return c_t * x + c_0 * x_hat + math.sqrt(beta_tilde) * noise()


@declare(order=1, nfe=1)
def ancestral_beta(denoiser, x, t, s, memory, noise):
    """The same mean with the variance beta of the forward step: the larger of DDPM's two choices."""
    x_hat = denoiser(x, t)
    c_t, c_0, _, beta = posterior(denoiser.schedule, t, s)
    if denoiser.schedule(s)[1] == 0:
        return x_hat
    return c_t * x + c_0 * x_hat + math.sqrt(beta) * noise()


@declare(order=1, nfe=1)
def ancestral_learned(denoiser, x, t, s, memory, noise):
    """The same mean with a variance between the two, which the network says. Needs `Denoiser.log_variance`.

    Source: Nichol & Dhariwal 2021, eq. 15.
    """
    if denoiser.schedule(s)[1] == 0:
        return denoiser(x, t)
    x_hat, log_variance = denoiser.with_log_variance(x, t, s)
    c_t, c_0, *_ = posterior(denoiser.schedule, t, s)
    return c_t * x + c_0 * x_hat + (log_variance / 2).exp() * noise()


def ddim(eta: float = 0.0) -> Step:
    """x_s = alpha_s x_hat + sqrt(sigma_s^2 - eta^2 beta_tilde) eps_hat + eta sqrt(beta_tilde) z.

    eta = 0 is deterministic, eta = 1 is `ancestral`. Raises BookError for eta < 0, and for an eta so large that the
    remaining variance is negative. Source: Song et al. 2021 (DDIM), eq. 12 and 16. See chapter 7.
    """
    if not eta >= 0:
        raise BookError(f"eta scales the noise and must be 0 or more, but got {eta}")

    @declare(order=1, nfe=1)
    def step(denoiser, x, t, s, memory, noise):
        x_hat = denoiser(x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        if sigma_s == 0:
            return x_hat
        # alpha_s x_hat + kept eps_hat, with eps_hat = (x - alpha_t x_hat)/sigma_t written out: two passes, not five
        beta_tilde = max(sigma_s**2 - (sigma_s**2 * alpha_t / (sigma_t * alpha_s)) ** 2, 0.0) if eta else 0.0
        remaining = sigma_s**2 - eta**2 * beta_tilde
        if remaining < 0:
            most = sigma_s / math.sqrt(beta_tilde)
            raise BookError(
                f"eta = {eta:g} leaves a negative variance from t = {t:g} to {s:g}: at most {most:.3f} here"
            )
        kept = math.sqrt(remaining) / sigma_t
        mean = combine(kept, x, alpha_s - kept * alpha_t, x_hat)
        return mean + eta * math.sqrt(beta_tilde) * noise() if eta else mean

    return step


@declare(order=1, nfe=1)
def euler(denoiser, x, t, s, memory, noise):
    """d(x/alpha) = eps_hat d(sigma/alpha), one Euler step. The same as ddim(0), which stays finite where alpha = 0."""
    alpha_t, ratio_t, alpha_s, ratio_s = _ratios(denoiser.schedule, t, s)
    x_hat = denoiser(x, t)
    if ratio_s == 0:
        return x_hat
    slope = (x / alpha_t - x_hat) / ratio_t
    return alpha_s * (x / alpha_t + (ratio_s - ratio_t) * slope)


@declare(order=2, nfe=2)
def heun(denoiser, x, t, s, memory, noise):
    """Heun's rule for d(x/alpha) = eps_hat d(sigma/alpha): the mean of the slopes at both ends of an Euler step.

    Source: Karras et al. 2022, algorithm 1, for any schedule.
    """
    alpha_t, ratio_t, alpha_s, ratio_s = _ratios(denoiser.schedule, t, s)
    x_hat = denoiser(x, t)
    if ratio_s == 0:
        return x_hat
    z_t = x / alpha_t
    slope = (z_t - x_hat) / ratio_t
    z_s = z_t + (ratio_s - ratio_t) * slope
    slope_s = (z_s - denoiser(alpha_s * z_s, s)) / ratio_s
    return alpha_s * (z_t + (ratio_s - ratio_t) * (slope + slope_s) / 2)


def heun_churn(
    churn: float = 0.1, ratio_min: float = 0.05, ratio_max: float = 50.0, noise_scale: float = 1.003
) -> Step:
    """EDM's stochastic sampler: raise the noise by the factor 1 + churn with fresh noise, then take a Heun step down.

    `churn` is S_churn/N of the paper, at most sqrt(2) - 1; it acts where ratio_min <= sigma/alpha <= ratio_max, and
    never above the schedule's own top. The order holds for churn = S_churn/N and noise_scale = 1: a churn that does not
    shrink with the step, and any other noise_scale, leaves an error that no number of steps removes.
    Source: Karras et al. 2022, algorithm 2.
    """
    if not 0 <= churn <= math.sqrt(2) - 1:
        raise BookError(f"churn must lie in [0, sqrt(2) - 1] = [0, 0.414], but got {churn}")

    @declare(order=2, nfe=2)
    def step(denoiser, x, t, s, memory, noise):
        schedule = denoiser.schedule
        alpha_t, ratio_t, _, _ = _ratios(schedule, t, s)
        raised = ratio_t * (1 + churn)
        top = schedule.inverse_logsnr(-2 * math.log(raised))
        if churn == 0 or not ratio_min <= ratio_t <= ratio_max or top >= 1:
            return heun(denoiser, x, t, s, memory, noise)
        alpha_top, _ = schedule(top)
        x_top = alpha_top * (x / alpha_t + math.sqrt(raised**2 - ratio_t**2) * noise_scale * noise())
        return heun(denoiser, x_top, top, s, memory, noise)

    return step


def _ratios(schedule: Schedule, t: float, s: float) -> tuple[float, float, float, float]:
    """(alpha_t, sigma_t/alpha_t, alpha_s, sigma_s/alpha_s). Raises BookError where alpha = 0."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    if alpha_t == 0:
        raise BookError(
            f"sigma/alpha is infinite at t = {t:g}: start at t <= {schedule.last_t:g}, or use ddim(0) or heun_t"
        )
    return alpha_t, sigma_t / alpha_t, alpha_s, sigma_s / alpha_s


@declare(order=2, nfe=1)
def dpmpp_2m(denoiser, x, t, s, memory, noise):
    """DPM-Solver++(2M): the exponential integrator in lambda = logsnr/2, with x_hat extrapolated from the step before.

    x_s = sigma_s/sigma_t x - alpha_s (e^-h - 1) D, h = lambda_s - lambda_t, r = h_before/h,
    D = (1 + 1/2r) x_hat - 1/2r x_hat_before. The first step is of first order. Source: Lu et al. 2022b, algorithm 2.
    """
    (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
    x_hat = denoiser(x, t)
    if sigma_s == 0:
        return x_hat
    # lambda = -inf where alpha = 0: then h is infinite, e^-h is 0 and the extrapolation after it has weight 0
    decay = (sigma_s * alpha_t) / (alpha_s * sigma_t)
    if decay == 1:  # a stretch where the schedule stands still: there is nothing to integrate
        return x
    h = -math.log(decay) if decay > 0 else math.inf
    guess = x_hat
    if "x_hat" in memory:
        weight = h / (2 * memory["h"])
        guess = (1 + weight) * x_hat - weight * memory["x_hat"]
    memory["x_hat"], memory["h"] = x_hat, h
    return sigma_s / sigma_t * x - alpha_s * (decay - 1) * guess


@declare(order=1, nfe=1)
def euler_t(denoiser, x, t, s, memory, noise):
    """dx = velocity dt, one Euler step in t: how flow matching samples. Source: Lipman et al. 2023, section 3."""
    if denoiser.schedule(s)[1] == 0:
        return denoiser(x, t)
    return x + (s - t) * denoiser.velocity(x, t)


@declare(order=2, nfe=2)
def heun_t(denoiser, x, t, s, memory, noise):
    """dx = velocity dt, Heun's rule in t."""
    if denoiser.schedule(s)[1] == 0:
        return denoiser(x, t)
    velocity = denoiser.velocity(x, t)
    return x + (s - t) / 2 * (velocity + denoiser.velocity(x + (s - t) * velocity, s))


def euler_maruyama(eta: float = 1.0) -> Step:
    """dx = [f x - (1 + eta^2)/2 g^2 score] dt + eta g dw, backward in t, one Euler-Maruyama step.

    eta = 0 is the probability-flow ODE, eta = 1 Anderson's reverse SDE. Raises BookError for eta < 0 and where a
    rate is infinite. Source: Song et al. 2021, eq. 6 and 13; the family: Huang et al. 2021. See chapter 5.
    """
    if not eta >= 0:
        raise BookError(f"eta scales the noise and must be 0 or more, but got {eta}")

    @declare(order=1, nfe=1)
    def step(denoiser, x, t, s, memory, noise):
        schedule = denoiser.schedule
        if schedule(s)[1] == 0:
            return denoiser(x, t)
        f, g = schedule.drift(t), schedule.diffusion(t)
        if not (math.isfinite(f) and math.isfinite(g)):
            raise BookError(
                f"the SDE's rates are infinite at t = {t:g}: start at t = {schedule.last_t:g} or earlier, and so that no "
                "step is longer than 1/|f(t)|, or take ddim(1), which has no such limit"
            )
        drift = f * x - (1 + eta**2) / 2 * g**2 * denoiser.score(x, t)
        x_s = x + (s - t) * drift
        return x_s + eta * g * math.sqrt(t - s) * noise() if eta else x_s

    return step


def stochastic_heun(eta: float = 1.0) -> Step:
    """The SDE of `euler_maruyama`, its drift and g averaged over both ends of an Euler-Maruyama step with the same noise.

    Weak order 2, because g does not depend on x; for eta = 0 Heun's rule. Raises BookError as `euler_maruyama` does.
    Source: Kloeden & Platen 1992, section 15.1. See chapter 5.
    """
    predict = euler_maruyama(eta)

    @declare(order=2, nfe=2)
    def step(denoiser, x, t, s, memory, noise):
        schedule = denoiser.schedule
        if schedule(s)[1] == 0:
            return denoiser(x, t)
        z = noise() if eta else 0.0
        guess = predict(denoiser, x, t, s, memory, lambda: z)
        # Euler-Maruyama from the guess at s with the same increment: the average of both moves is Heun's
        f, g_s = schedule.drift(s), schedule.diffusion(s)
        again = (s - t) * (f * guess - (1 + eta**2) / 2 * g_s**2 * denoiser.score(guess, s))
        return (x + guess + again + eta * g_s * math.sqrt(t - s) * z) / 2

    return step
