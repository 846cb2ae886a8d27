"""The denoiser E[x | x_t]: everything a sampler needs to know about a model.

By Tweedie's formula the best guess of the clean x is also the score, the noise and the velocity:

    eps_hat = (x_t - alpha x_hat)/sigma,     score = -eps_hat/sigma,     velocity = alpha' x_hat + sigma' eps_hat.

See chapter 4.
"""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from diffusion_book.errors import BookError
from diffusion_book.posterior import log_variance_range
from diffusion_book.predictions import Prediction, all_finite, any_zero, expand
from diffusion_book.schedules.base import Schedule, Time


class PosteriorMean:
    """Anything that answers E[x | x_t] when called with (x_t, t): a network, the exact oracle, a guided pair.

    x_t is (B, ...); t is a number, or (B,) with a time for each row. Subclasses write `__call__` alone.
    """

    schedule: Schedule

    def __call__(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        raise NotImplementedError

    def given(self, cond) -> "PosteriorMean":
        """The same denoiser with its condition bound."""
        raise TypeError(f"{type(self).__name__} takes no condition")

    def eps(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        """E[eps | x_t] = (x_t - alpha x_hat)/sigma. Raises BookError at sigma = 0."""
        return self._noise(x_t, t, self(x_t, t))

    def _noise(self, x_t, t, x_hat):
        alpha, sigma = self.schedule(t)
        if any_zero(sigma):
            raise BookError(f"the noise is undefined at sigma = 0: the first usable t is {self.schedule.first_t:g}")
        return (x_t - expand(alpha, x_t) * x_hat) / expand(sigma, x_t)

    def score(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        """grad log p_t(x_t) = -E[eps | x_t]/sigma. Raises BookError at sigma = 0."""
        _, sigma = self.schedule(t)
        return -self.eps(x_t, t) / expand(sigma, x_t)

    def v(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        """alpha eps_hat - sigma x_hat."""
        alpha, sigma = self.schedule(t)
        x_hat = self(x_t, t)
        return expand(alpha, x_t) * self._noise(x_t, t, x_hat) - expand(sigma, x_t) * x_hat

    def velocity(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        """dx/dt of the probability-flow ODE: alpha' x_hat + sigma' eps_hat.

        Raises BookError where a rate is infinite.
        """
        rates = alpha_rate, sigma_rate = self.schedule.rates(t)
        if not all(all_finite(rate) for rate in rates):
            raise BookError(f"the velocity is undefined at t = {t}: the first usable t is {self.schedule.first_t:g}")
        x_hat = self(x_t, t)
        return expand(alpha_rate, x_t) * x_hat + expand(sigma_rate, x_t) * self._noise(x_t, t, x_hat)

    def with_fraction(self, x_t: torch.Tensor, t: Time) -> tuple[torch.Tensor, torch.Tensor]:
        """(x_hat, v), v the fraction of the way from log beta_tilde to log beta. Raises BookError where none is learned."""
        raise BookError(f"{type(self).__name__} has no learned variance: sample with `ancestral` or `ancestral_beta`")

    def with_log_variance(self, x_t: torch.Tensor, t: Time, s: Time) -> tuple[torch.Tensor, torch.Tensor]:
        """(x_hat, log_variance), from one call of the network; see `log_variance`."""
        x_hat, fraction = self.with_fraction(x_t, t)
        low, high = (expand(end, x_t) for end in log_variance_range(self.schedule, t, s))
        return x_hat, low + fraction * (high - low)

    def log_variance(self, x_t: torch.Tensor, t: Time, s: Time) -> torch.Tensor:
        """log of the variance of p(x_s | x_t), like x_t: v log beta + (1 - v) log beta_tilde of the step t -> s.

        v = (output + 1)/2, output the last C of the network's 2C channels: -1 says beta_tilde, 1 says beta; it is not
        clipped. At s = 0 beta_tilde is clipped as in `log_variance_range`. Raises BookError where no variance is
        learned. Source: Nichol & Dhariwal 2021, eq. 15; the factor (output + 1)/2: their code.
        """
        return self.with_log_variance(x_t, t, s)[1]

    def on(self, schedule: Schedule) -> "PosteriorMean":
        """This denoiser under another schedule B, by matching the SNR.

        At time t of B it is asked at t_A with logsnr_A(t_A) = logsnr_B(t), on
        x_t sqrt(alpha_A^2 + sigma_A^2)/sqrt(alpha_B^2 + sigma_B^2): E[x | x_t] depends on x_t only up to scale.
        A log-SNR beyond the own range is clamped to it, with one warning.
        """
        return OnSchedule(self, schedule)


class FromFunction(PosteriorMean):
    """A plain function (x_t, t) -> E[x | x_t] as a denoiser under `schedule`."""

    def __init__(self, function: Callable[[torch.Tensor, Time], torch.Tensor], schedule: Schedule):
        self.function, self.schedule = function, schedule

    def __call__(self, x_t, t):
        return self.function(x_t, t)


class OnSchedule(PosteriorMean):
    """See `PosteriorMean.on`."""

    def __init__(self, inner: PosteriorMean, schedule: Schedule):
        self.inner, self.schedule = inner, schedule
        self.warned = False

    def __call__(self, x_t, t):
        alpha, sigma = self.schedule(t)
        if not isinstance(sigma, torch.Tensor) and sigma == 0:
            return x_t / alpha
        return self.inner(*self._translated(x_t, t))

    def with_fraction(self, x_t, t):
        return self.inner.with_fraction(*self._translated(x_t, t))

    def _translated(self, x_t, t):
        """(x_t, t) as the inner denoiser knows it."""
        alpha, sigma = self.schedule(t)
        own = self.inner.schedule
        logsnr = self.schedule.logsnr(t)
        own_t = own.inverse_logsnr(logsnr)
        self._warn_if_clamped(own.logsnr(own_t), logsnr)
        own_alpha, own_sigma = own(own_t)
        scale = ((own_alpha**2 + own_sigma**2) / (alpha**2 + sigma**2)) ** 0.5
        return expand(scale, x_t) * x_t, own_t

    def _warn_if_clamped(self, reached, wanted):
        reached, wanted = torch.as_tensor(reached), torch.as_tensor(wanted)
        same = torch.isclose(reached, wanted, rtol=1e-6, atol=1e-6)
        if not self.warned and not bool(same.all()):
            self.warned = True
            worst = wanted[~same].reshape(-1)[0].item()
            warnings.warn(
                f"the denoiser was not made for logsnr = {worst:.2f}; it is asked at the end of its own range instead",
                stacklevel=4,
            )

    def given(self, cond):
        return OnSchedule(self.inner.given(cond), self.schedule)


class Denoiser(PosteriorMean):
    """A network with the schedule and the prediction it was trained for.

    net(x, t, cond) is fed x = x_t / sqrt(alpha^2 sigma_data^2 + sigma^2), which has unit variance for data of standard
    deviation sigma_data, and t of shape (B,). It runs in its own dtype and device; the answer comes back in x_t's.
    At sigma = 0 the answer is x_t / alpha, without a call.
    """

    def __init__(self, net: nn.Module, schedule: Schedule, prediction: Prediction, sigma_data: float = 1.0, cond=None):
        self.net, self.schedule, self.prediction, self.sigma_data, self.cond = (
            net,
            schedule,
            prediction,
            sigma_data,
            cond,
        )
        self.dtype = next((p.dtype for p in net.parameters()), None)

    def given(self, cond) -> "Denoiser":
        return Denoiser(self.net, self.schedule, self.prediction, self.sigma_data, cond)

    def output(self, x_t: torch.Tensor, t: Time) -> torch.Tensor:
        """y_hat, the bare prediction in the network's own terms. Training goes through this call."""
        return self._ask(x_t, t, *self.schedule(t))

    def outputs(self, x_t: torch.Tensor, t: Time) -> tuple[torch.Tensor, torch.Tensor]:
        """(y_hat, the variance channels), both like x_t, from one call. Raises BookError if there are no such channels."""
        y, channels = self._ask_all(x_t, t, *self.schedule(t)), x_t.shape[1]
        if y.shape[1] != 2 * channels:
            raise BookError(
                f"a learned variance needs {2 * channels} channels, but this network returns {y.shape[1]}: make it with "
                "learned_variance=True, or sample with `ancestral` or `ancestral_beta`"
            )
        return y[:, :channels], y[:, channels:]

    def with_fraction(self, x_t, t):
        y, output = self.outputs(x_t, t)
        return self.prediction.solve_x(self.schedule, t, x_t, y), (output + 1) / 2

    def _ask(self, x_t, t, alpha, sigma):
        y = self._ask_all(x_t, t, alpha, sigma)
        # a learned variance is in the channels after the first C
        return y if y.shape == x_t.shape else y[:, : x_t.shape[1]]

    def _ask_all(self, x_t, t, alpha, sigma):
        scale = (alpha**2 * self.sigma_data**2 + sigma**2) ** -0.5
        # on a variance-preserving schedule there is nothing to scale
        x = x_t if isinstance(scale, float) and abs(scale - 1) < 1e-12 else expand(scale, x_t) * x_t
        dtype = self.dtype or x_t.dtype
        # in bf16 a thousand times would collapse into a few dozen: t keeps at least float32
        t_dtype = dtype if dtype == torch.float64 else torch.float32
        if isinstance(t, torch.Tensor):
            times = t.to(x_t.device, t_dtype).expand(len(x_t))
        else:
            times = x_t.new_full((x_t.shape[0],), t, dtype=t_dtype)
        return _cast(self.net(_cast(x, dtype), times, self.cond), x_t.dtype)

    def __call__(self, x_t, t):
        alpha, sigma = self.schedule(t)
        if not any_zero(sigma):
            return self.prediction.solve_x(self.schedule, t, x_t, self._ask(x_t, t, alpha, sigma))
        if not isinstance(t, torch.Tensor) or t.ndim == 0:
            return x_t / alpha
        # some rows are clean already: ask the network about the others only
        x_hat, noisy = x_t / expand(alpha, x_t), sigma > 0
        if noisy.any():
            x_hat[noisy] = self._rows(noisy)(x_t[noisy], t[noisy])
        return x_hat

    def _rows(self, keep: torch.Tensor) -> "Denoiser":
        if isinstance(self.cond, dict):
            return self.given({name: value[keep] for name, value in self.cond.items()})
        return self.given(None if self.cond is None else self.cond[keep])


def clipped(denoiser: PosteriorMean, low: float = -1.0, high: float = 1.0) -> PosteriorMean:
    """The denoiser with x_hat clipped to [low, high], the range that data can have. Source: Ho et al. 2020 (code)."""
    return Clipped(denoiser, low, high)


class Clipped(PosteriorMean):
    """See `clipped`."""

    def __init__(self, inner: PosteriorMean, low: float, high: float):
        self.inner, self.schedule, self.low, self.high = inner, inner.schedule, low, high

    def __call__(self, x_t, t):
        return self.inner(x_t, t).clamp(self.low, self.high)

    def with_fraction(self, x_t, t):
        x_hat, fraction = self.inner.with_fraction(x_t, t)
        return x_hat.clamp(self.low, self.high), fraction

    def given(self, cond):
        return Clipped(self.inner.given(cond), self.low, self.high)


def _cast(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """x.to(dtype), which would take a microsecond even where there is nothing to do."""
    return x if x.dtype == dtype else x.to(dtype)
