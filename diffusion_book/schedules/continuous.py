"""Schedules with a formula for every t: VP, Cosine, LinearPath, VE, EDM, SubVP."""

import math
from dataclasses import dataclass

import torch

from diffusion_book.errors import BookError
from diffusion_book.schedules.base import Schedule, Time, as_float64


def _check(schedule, holds: bool, wanted: str) -> None:
    """Parameters out of range would become NaN further on."""
    if not holds:
        raise BookError(f"{type(schedule).__name__} needs {wanted}, but is {schedule}")


def _quadratic_root(B, beta_min, beta_max):
    """The t with beta_min t + (beta_max - beta_min) t^2 / 2 = B, in the form that keeps its digits near t = 0."""
    slope = beta_max - beta_min
    t = 2 * B / (beta_min + (beta_min**2 + 2 * slope * B).clamp(min=0).sqrt())
    return torch.where(B.isinf(), torch.ones_like(B), t).clamp(0, 1)


def _like(value: torch.Tensor, asked: Time):
    """The tensor itself if a tensor was asked with, otherwise a Python float."""
    return value if isinstance(asked, torch.Tensor) else value.item()


@dataclass(frozen=True)
class VP(Schedule):
    """Variance preserving: alpha = exp(-B/2), sigma = sqrt(1 - exp(-B)), B(t) = integral of beta from 0 to t.

    beta(t) = beta_min + (beta_max - beta_min) t, the continuous limit of the linear betas: its SDE has
    f = -beta/2 and g^2 = beta. Source: Song et al. 2021, eq. 11 and 32-33. See chapter 1.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        _check(self, self.beta_min > 0 and self.beta_max > 0, "positive betas")

    def beta(self, t):
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t):
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2

    def curves(self, t):
        B = self.integral(t)
        return torch.exp(-B / 2), torch.sqrt(-torch.expm1(-B))

    def curve_rates(self, t):
        alpha, sigma = self.curves(t)
        beta = self.beta(t)
        return -beta / 2 * alpha, beta * alpha**2 / (2 * sigma)

    def _diffusion(self, t):
        return self.beta(t).sqrt()

    def inverse_logsnr(self, logsnr):
        # alpha^2/sigma^2 = 1/(e^B - 1), hence B = log(1 + e^-logsnr)
        B = torch.nn.functional.softplus(-as_float64(logsnr))
        return _like(_quadratic_root(B, self.beta_min, self.beta_max), logsnr)


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha = cos(pi t/2), sigma = sin(pi t/2): a quarter of a circle at constant speed, alpha(1) = 0 exactly.

    The chain of Nichol & Dhariwal 2021 adds a small offset and clips its betas; `betas.cosine` is that one.
    Source: Salimans & Ho 2022, section 4 (this form). See chapter 1.
    """

    last_t = 1 - 1e-5

    def curves(self, t):
        # sin(pi/2 (1 - t)) rather than cos(pi t/2): it is exactly 0 at t = 1
        return torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t)

    def curve_rates(self, t):
        alpha, sigma = self.curves(t)
        return -math.pi / 2 * sigma, math.pi / 2 * alpha

    def inverse_logsnr(self, logsnr):
        return _like(2 / math.pi * torch.atan(torch.exp(-as_float64(logsnr) / 2)), logsnr)


@dataclass(frozen=True)
class LinearPath(Schedule):
    """alpha = 1 - t, sigma = t: the straight path of flow matching, in this book's direction of time.

    Source: Lipman et al. 2023, eq. 20 with sigma_min = 0; Liu et al. 2023, eq. 1; both with t reversed. Chapter 13.
    """

    last_t = 1 - 1e-5

    def curves(self, t):
        return 1 - t, t.clone()

    def curve_rates(self, t):
        return -torch.ones_like(t), torch.ones_like(t)

    def inverse_logsnr(self, logsnr):
        # (1 - t)/t = e^(logsnr/2)
        return _like(torch.sigmoid(-as_float64(logsnr) / 2), logsnr)


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding: alpha = 1, sigma = sigma_min (sigma_max/sigma_min)^t, jumping to sigma = 0 at t = 0.

    The jump is the price of a geometric curve that still ends on clean data; the least noise it can show is sigma_min.
    Source: Song et al. 2021, eq. 30-31. See chapter 5.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        _check(self, 0 < self.sigma_min < self.sigma_max, "0 < sigma_min < sigma_max")

    def curves(self, t):
        sigma = self.sigma_min * (self.sigma_max / self.sigma_min) ** t
        return torch.ones_like(t), torch.where(t == 0, torch.zeros_like(t), sigma)

    def curve_rates(self, t):
        sigma = self.sigma_min * (self.sigma_max / self.sigma_min) ** t
        return torch.zeros_like(t), sigma * math.log(self.sigma_max / self.sigma_min)

    def inverse_logsnr(self, logsnr):
        sigma = torch.exp(-as_float64(logsnr) / 2)
        t = torch.log(sigma / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)
        # below sigma_min only sigma = 0 itself is on the curve; everything between is clamped to just after the jump
        just_after = torch.finfo(torch.float64).tiny
        return _like(torch.where(sigma == 0, torch.zeros_like(t), t.clamp(just_after, 1)), logsnr)


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha = 1, sigma = sigma_max t: the noise level itself is the clock. Source: Karras et al. 2022, table 1."""

    sigma_max: float = 80.0

    def __post_init__(self):
        _check(self, self.sigma_max > 0, "a positive sigma_max")

    def curves(self, t):
        return torch.ones_like(t), self.sigma_max * t

    def curve_rates(self, t):
        return torch.zeros_like(t), torch.full_like(t, self.sigma_max)

    def inverse_logsnr(self, logsnr):
        sigma = torch.exp(-as_float64(logsnr) / 2)
        return _like((sigma / self.sigma_max).clamp(0, 1), logsnr)


@dataclass(frozen=True)
class SubVP(Schedule):
    """alpha = exp(-B/2), sigma = 1 - exp(-B): the signal of VP under less noise.

    Its SDE has f = -beta/2 and g^2 = beta (1 - exp(-2B)). Source: Song et al. 2021, eq. 14 and 29. See chapter 5.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        _check(self, self.beta_min > 0 and self.beta_max > 0, "positive betas")

    def integral(self, t):
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2

    def curves(self, t):
        B = self.integral(t)
        return torch.exp(-B / 2), -torch.expm1(-B)

    def curve_rates(self, t):
        beta = self.beta_min + (self.beta_max - self.beta_min) * t
        B = self.integral(t)
        return -beta / 2 * torch.exp(-B / 2), beta * torch.exp(-B)

    def inverse_logsnr(self, logsnr):
        # sigma/alpha = e^(B/2) - e^(-B/2) = 2 sinh(B/2)
        B = 2 * torch.asinh(torch.exp(-as_float64(logsnr) / 2) / 2)
        return _like(_quadratic_root(B, self.beta_min, self.beta_max), logsnr)
