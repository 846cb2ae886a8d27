"""What every noise schedule is: two curves, alpha(t) and sigma(t), and what follows from them."""

from functools import lru_cache

import torch

from diffusion_book.errors import BookError

Time = float | torch.Tensor


def as_float64(t: Time) -> torch.Tensor:
    """Time as a float64 tensor: the SNR spans e^-20 to e^20, and near its ends 1 - alpha^2 would lose its digits in float32."""
    return torch.as_tensor(t, dtype=torch.float64)


@lru_cache(maxsize=65536)
def _at(curve, t: float):
    """One value of a curve as Python floats. A sampler asks for the same few times again and again."""
    check_time(t)
    value = curve(torch.tensor(t, dtype=torch.float64))
    return tuple(v.item() for v in value) if isinstance(value, tuple) else value.item()


class Schedule:
    """x_t = alpha(t) x + sigma(t) eps, with t = 0 data, t = 1 noise and sigma(0) = 0 exactly.

    A subclass writes down `curves`, `curve_rates` and `inverse_logsnr` on float64 tensors. Everything else follows.
    A Python float `t` gives Python floats, a tensor gives float64 tensors of its shape.
    `first_t` and `last_t` enclose the times at which every rate and ratio below is finite; error messages name them.
    See chapter 1.
    """

    first_t: float = 1e-5
    last_t: float = 1.0

    def curves(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(alpha, sigma) of a float64 tensor of times."""
        raise NotImplementedError

    def curve_rates(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(d alpha/dt, d sigma/dt) of a float64 tensor of times; infinite where the curve is vertical."""
        raise NotImplementedError

    def inverse_logsnr(self, logsnr: Time) -> Time:
        """The time at which the log-SNR is `logsnr`; +inf gives 0. Values out of range are clamped to the ends."""
        raise NotImplementedError

    def __call__(self, t: Time):
        """(alpha, sigma), each shaped like t."""
        return self._evaluate(self.curves, t)

    def rates(self, t: Time):
        """(alpha', sigma'), the derivatives by t, in closed form."""
        return self._evaluate(self.curve_rates, t)

    def logsnr(self, t: Time):
        """log(alpha^2 / sigma^2): +inf at t = 0, and -inf where alpha = 0."""
        return self._evaluate(self._logsnr, t)

    def drift(self, t: Time):
        """f(t) = alpha'/alpha of the forward SDE dx = f x dt + g dw (chapter 5); -inf where alpha = 0."""
        return self._evaluate(self._drift, t)

    def diffusion(self, t: Time):
        """g(t) of the forward SDE, from g^2 = -sigma^2 dlogsnr/dt = 2 sigma (sigma' - f sigma)."""
        return self._evaluate(self._diffusion, t)

    def _evaluate(self, curve, t: Time):
        """A tensor goes through the curve as float64; a Python number comes back as Python floats, remembered."""
        if isinstance(t, float):  # asked first: it is the common case and the quicker question
            return _at(curve, t)
        if not isinstance(t, torch.Tensor):
            return _at(curve, float(t))
        check_time(t)
        return curve(t.double())

    def _logsnr(self, t):
        alpha, sigma = self.curves(t)
        return 2 * (alpha.log() - sigma.log())

    def _drift(self, t):
        alpha, _ = self.curves(t)
        alpha_rate, _ = self.curve_rates(t)
        return alpha_rate / alpha

    def _diffusion(self, t):
        _, sigma = self.curves(t)
        _, sigma_rate = self.curve_rates(t)
        return (2 * sigma * (sigma_rate - self._drift(t) * sigma)).sqrt()


def check_time(t: Time) -> None:
    """Times live in [0, 1]; anything else would extrapolate the curves in silence."""
    low, high = (t.aminmax() if t.numel() else (0.0, 1.0)) if isinstance(t, torch.Tensor) else (t, t)
    inside = bool(low >= 0 and high <= 1)  # no NaN is
    if not inside:
        raise BookError(f"time must lie in [0, 1] (0 = data, 1 = noise), but got {t}")
