"""Schedules made from others or learned: Shifted and Learned."""

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from diffusion_book.errors import BookError
from diffusion_book.schedules.base import Schedule, as_float64, check_time
from diffusion_book.schedules.discrete import Discrete


@dataclass(frozen=True)
class Shifted(Schedule):
    """The schedule `base` run on another clock, so that its log-SNR is lower by 2 log(factor) at every t.

    (alpha, sigma)(t) = base(t'), with t' from logsnr_base(t') = logsnr_base(t) - 2 log(factor). On the linear path this
    is t' = factor t / (1 + (factor - 1) t), the shift of Stable Diffusion 3. Where base cannot show the wanted log-SNR,
    t' stays at the end of its range. A chain is shifted with `betas.shifted` instead, which makes it a new chain.
    Source: Hoogeboom et al. 2023, section 3.1; Esser et al. 2024, eq. 23. See chapter 1.
    """

    base: Schedule = field()
    factor: float = 1.0

    def __post_init__(self):
        if isinstance(self.base, Discrete):
            raise TypeError(
                "a Discrete chain has no curve beyond its last step: use Discrete(betas.shifted(b, factor))"
            )
        if not self.factor > 0:
            raise BookError(f"the shift factor must be positive, but got {self.factor}")

    @property
    def last_t(self):
        return self.base.last_t

    def _evaluate(self, curve, t):  # the base decides whether its values may be remembered
        return self.base._evaluate(curve, t)

    def _wanted(self, t):
        return self.base._logsnr(t) - 2 * math.log(self.factor)

    def _inner(self, t):
        return self.base.inverse_logsnr(self._wanted(t))

    def curves(self, t):
        return self.base.curves(self._inner(t))

    def curve_rates(self, t):
        inner = self._inner(t)
        alpha_rate, sigma_rate = self.base.curve_rates(inner)
        rate = self._inner_rate(t, inner)
        return alpha_rate * rate, sigma_rate * rate

    def _diffusion(self, t):
        inner = self._inner(t)
        return self.base._diffusion(inner) * self._inner_rate(t, inner).sqrt()

    def _inner_rate(self, t, inner):
        """dt'/dt, from sigma/alpha at t' being factor times sigma/alpha at t."""
        (alpha, sigma), (inner_alpha, inner_sigma) = self.base.curves(t), self.base.curves(inner)
        # (alpha at t' / alpha at t)^2, in whichever of its two forms is not 0/0
        gain = torch.where(alpha > sigma, inner_alpha / alpha, inner_sigma / (self.factor * sigma)) ** 2
        turn = self._turn(t) / self._turn(inner)
        # both infinite only at t = 0, where sigma begins like sqrt(t): the ratio of the two is then the factor
        turn = torch.where(turn.isnan(), self.factor, turn)
        # where base cannot show the wanted log-SNR, t' stands still at the end of its range
        missed = self.base._logsnr(inner) - self._wanted(t)
        return torch.where(missed.abs() > 1e-6, 0.0, self.factor * turn * gain)

    def _turn(self, t):
        alpha, sigma = self.base.curves(t)
        alpha_rate, sigma_rate = self.base.curve_rates(t)
        return alpha * sigma_rate - sigma * alpha_rate

    def inverse_logsnr(self, logsnr):
        return self.base.inverse_logsnr(logsnr + 2 * math.log(self.factor))


class Learned(nn.Module, Schedule):
    """Variance preserving with a learned log-SNR: a monotone network of t, pinned to its two ends.

    logsnr(t) = high + (low - high) (m(t) - m(0))/(m(1) - m(0)), m(t) = w t + sum_j v_j sigmoid(a_j t + c_j), all
    weights positive through softplus. alpha^2 = sigmoid(logsnr). At t = 0 sigma jumps to 0, as VE does.
    Source: Kingma et al. 2021, appendix H (there as a network of three positive layers). Trained in chapter 8.
    """

    def __init__(self, high: float = 13.0, low: float = -5.0, width: int = 64):
        super().__init__()
        self.high, self.low = high, low
        self.slope = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.inner = nn.Parameter(torch.full((width,), 10.0, dtype=torch.float64))
        self.outer = nn.Parameter(torch.full((width,), -4.0, dtype=torch.float64))
        self.offset = nn.Parameter(torch.linspace(-10.0, 0.0, width, dtype=torch.float64))

    def __call__(self, t):  # nn.Module and Schedule both define it; this object is called as a schedule
        return Schedule.__call__(self, t)

    def _evaluate(self, curve, t):  # a learned curve moves: remember nothing
        check_time(t)
        if isinstance(t, torch.Tensor):
            return curve(t.double())
        with torch.no_grad():
            value = curve(as_float64(t))
        return tuple(v.item() for v in value) if isinstance(value, tuple) else value.item()

    def monotone(self, t):
        positive = nn.functional.softplus
        bumps = torch.sigmoid(positive(self.inner) * t[..., None] + self.offset)  # (..., width)
        return positive(self.slope) * t + (positive(self.outer) * bumps).sum(-1)

    def _logsnr(self, t):
        start, end = self.monotone(torch.zeros_like(t)), self.monotone(torch.ones_like(t))
        inside = self.high + (self.low - self.high) * (self.monotone(t) - start) / (end - start)
        return torch.where(t == 0, torch.inf, inside)

    def curves(self, t):
        logsnr = self._logsnr(t)
        return torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()

    def curve_rates(self, t):
        with torch.enable_grad():
            time = t.detach().clone().requires_grad_(True)
            (rate,) = torch.autograd.grad(self._logsnr(time).sum(), time, create_graph=True)
        alpha, sigma = self.curves(t)
        return alpha * sigma**2 / 2 * rate, -sigma * alpha**2 / 2 * rate

    @torch.no_grad()
    def inverse_logsnr(self, logsnr):
        """By bisection: sixty halvings of [0, 1] reach float64."""
        target = as_float64(logsnr)
        left, right = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(60):
            middle = (left + right) / 2
            above = self._logsnr(middle) > target
            left, right = torch.where(above, middle, left), torch.where(above, right, middle)
        t = torch.where(target.isposinf(), torch.zeros_like(right), right)
        return t if isinstance(logsnr, torch.Tensor) else t.item()
