"""What a network predicts: every target is a row y = a x + b eps, and one formula turns each into every other.

With x_t = alpha x + sigma eps, a prediction y of a row (a, b) is the second equation of a 2x2 linear system:

    x_hat = (b x_t - sigma y) / (alpha b - sigma a),     eps_hat = (alpha y - a x_t) / (alpha b - sigma a).

See chapter 8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from diffusion_book.errors import BookError
from diffusion_book.schedules.base import Schedule, Time

Row = tuple[Time, Time]


def expand(coefficient: Time, x: torch.Tensor) -> Time:
    """A coefficient per image, (B,), made ready to multiply x of shape (B, ...). A number stays a number."""
    if not isinstance(coefficient, torch.Tensor):
        return coefficient
    return coefficient.to(x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def combine(a: Time, x: torch.Tensor, b: Time, y: torch.Tensor) -> torch.Tensor:
    """a x + b y, with coefficients as in `expand`. Two numbers take two passes over memory instead of three."""
    if isinstance(a, float) and isinstance(b, float):
        return (a * x).add_(y, alpha=b)
    return expand(a, x) * x + expand(b, y) * y


@dataclass(frozen=True)
class Prediction:
    """A target y = a x + b eps. `row(schedule, t)` gives (a, b), each like t (Python floats for a Python float).

    `needs_signal`: the row says nothing of x where alpha = 0.
    """

    name: str
    row: Callable[[Schedule, Time], Row] = field(repr=False)
    needs_signal: bool = False

    def target(self, schedule: Schedule, t: Time, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """y = a x + b eps, what the network should say."""
        a, b = self.row(schedule, t)
        return combine(a, x, b, eps)

    def solve(self, schedule: Schedule, t: Time, x_t: torch.Tensor, y: torch.Tensor):
        """(x_hat, eps_hat) from x_t and y.

        Raises BookError where the system has no solution: eps and score at alpha = 0, a row that is x_t itself.
        """
        (alpha, sigma), (a, b) = schedule(t), self.row(schedule, t)
        determinant = alpha * b - sigma * a
        if any_zero(determinant):
            self._refuse(schedule, t)
        x_hat = combine(b / determinant, x_t, -sigma / determinant, y)
        eps_hat = combine(alpha / determinant, y, -a / determinant, x_t)
        return x_hat, eps_hat

    def solve_x(self, schedule: Schedule, t: Time, x_t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x_hat alone: the half of `solve` that a sampler needs."""
        (alpha, sigma), (a, b) = schedule(t), self.row(schedule, t)
        determinant = alpha * b - sigma * a
        if any_zero(determinant):
            self._refuse(schedule, t)
        return combine(b / determinant, x_t, -sigma / determinant, y)

    def _refuse(self, schedule, t):
        alpha, _ = schedule(t)
        if self.needs_signal and any_zero(alpha):
            raise BookError(
                f"a network that predicts {self.name} says nothing about x at t = {t}, where alpha = 0: "
                f"start at t = {schedule.last_t:g} or earlier, or use a network that predicts x, v or velocity"
            )
        raise BookError(f"{self.name} does not determine x at t = {t}: the first usable t is {schedule.first_t:g}")


def any_zero(value: Time) -> bool:
    return value == 0 if isinstance(value, float) else bool(torch.as_tensor(value == 0).any())


def all_finite(value: Time) -> bool:
    return bool(value.isfinite().all()) if isinstance(value, torch.Tensor) else math.isfinite(value)


def _constant(value: float, t: Time) -> Time:
    return value if isinstance(t, (float, int)) else torch.full_like(t, value, dtype=torch.float64)


def _v_row(schedule, t):
    alpha, sigma = schedule(t)
    return -sigma, alpha


def _score_row(schedule, t):
    _, sigma = schedule(t)
    if any_zero(sigma):
        raise BookError(
            f"the score of x_t given x is infinite at sigma = 0: the first usable t is {schedule.first_t:g}"
        )
    return _constant(0.0, t), -1 / sigma


def _velocity_row(schedule, t):
    rates = schedule.rates(t)
    if not all(all_finite(rate) for rate in rates):
        raise BookError(f"the velocity of x_t is infinite at t = {t}: the first usable t is {schedule.first_t:g}")
    return rates


# Sources: eps, Ho et al. 2020, eq. 12; x and v, Salimans & Ho 2022, section 4; velocity, Lipman et al. 2023, eq. 23;
# score, Song & Ermon 2019, eq. 5.
X = Prediction("x", lambda schedule, t: (_constant(1.0, t), _constant(0.0, t)))
EPS = Prediction("eps", lambda schedule, t: (_constant(0.0, t), _constant(1.0, t)), needs_signal=True)
V = Prediction("v", _v_row)
VELOCITY = Prediction("velocity", _velocity_row)
SCORE = Prediction("score", _score_row, needs_signal=True)


def edm(sigma_data: float = 0.5) -> Prediction:
    """EDM's network output F, where x_hat = c_skip x_t + c_out F.

    Its row is (sigma/(sd c), -alpha sd/c) with c^2 = alpha^2 sd^2 + sigma^2 and sd = sigma_data: -v of the
    variance-preserving schedule with the same SNR, on data divided by sd. Source: Karras et al. 2022, eq. 7.
    """

    def row(schedule, t):
        alpha, sigma = schedule(t)
        scale = (alpha**2 * sigma_data**2 + sigma**2) ** 0.5
        return sigma / (sigma_data * scale), -alpha * sigma_data / scale

    return Prediction(f"edm({sigma_data!r})", row)


def loss_scale(prediction: Prediction, schedule: Schedule, t: Time) -> Time:
    """(a - b alpha/sigma)^2, the factor in |y_hat - y|^2 = (a - b alpha/sigma)^2 |x_hat - x|^2.

    Raises BookError at sigma = 0.
    """
    (alpha, sigma), (a, b) = schedule(t), prediction.row(schedule, t)
    if any_zero(sigma):
        raise BookError(f"nothing is left to predict at sigma = 0: the first usable t is {schedule.first_t:g}")
    return (a - b * alpha / sigma) ** 2


# The weightings, as curves of the log-SNR that multiply |x_hat - x|^2. They meet on one plot in chapter 8.


def snr(logsnr: torch.Tensor) -> torch.Tensor:
    """e^logsnr: the simple loss, |eps_hat - eps|^2. Source: Ho et al. 2020, eq. 14."""
    return logsnr.exp()


def truncated_snr(logsnr: torch.Tensor) -> torch.Tensor:
    """max(SNR, 1): never less than the plain error of x. Source: Salimans & Ho 2022, section 4."""
    return logsnr.exp().clamp(min=1)


def min_snr(logsnr: torch.Tensor, gamma: float = 5.0) -> torch.Tensor:
    """min(SNR, gamma): the simple loss, capped where noise is small. Source: Hang et al. 2023, eq. 8."""
    return logsnr.exp().clamp(max=gamma)


def p2(logsnr: torch.Tensor, gamma: float = 1.0, k: float = 1.0) -> torch.Tensor:
    """SNR / (k + SNR)^gamma. Source: Choi et al. 2022, eq. 8 (there as a weight on the simple loss)."""
    return logsnr.exp() / (k + logsnr.exp()) ** gamma


def edm_weight(logsnr: torch.Tensor, sigma_data: float = 0.5) -> torch.Tensor:
    """(sigma^2 + sd^2)/(sigma sd)^2 at sigma = e^(-logsnr/2), or SNR + 1/sd^2. Source: Karras et al. 2022, table 1."""
    return logsnr.exp() + 1 / sigma_data**2


def sigmoid_weight(logsnr: torch.Tensor, bias: float = 0.0) -> torch.Tensor:
    """SNR sigmoid(bias - logsnr). Source: Kingma & Gao 2023, section 4 (a sigmoid weight on the simple loss)."""
    return logsnr.exp() * torch.sigmoid(bias - logsnr)
