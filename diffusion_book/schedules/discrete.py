"""A chain of K steps as a schedule on [0, 1]."""

import torch

from diffusion_book.errors import BookError
from diffusion_book.schedules.base import Schedule, as_float64


class Discrete(Schedule):
    """The K-step chain of DDPM: alpha(t_k) = sqrt(alpha_bar_k), sigma(t_k) = sqrt(1 - alpha_bar_k), t_k = k/K.

    `betas` is (beta_1, ..., beta_K), each in (0, 1]; only the last may be 1 (zero terminal SNR).
    Between steps the log-SNR is linear in t; below t_1, where it runs to +inf, sigma is; above t_{K-1}, alpha is,
    if alpha_bar_K = 0. Rates at a knot are those of the interval below it. Networks are trained at the t_k only.
    Raises BookError for betas out of range. Source: Ho et al. 2020, eq. 4. See chapter 1.
    """

    def __init__(self, betas: torch.Tensor):
        betas = torch.as_tensor(betas).double().cpu()
        if (
            betas.ndim != 1
            or len(betas) < 2
            or not bool(((betas > 0) & (betas <= 1)).all())
            or bool((betas[:-1] == 1).any())
        ):
            raise BookError("betas must be a 1-D tensor of at least two numbers in (0, 1), the last of which may be 1")
        self.betas = betas
        alpha_bar = torch.cumprod(1 - betas, 0)
        if bool((alpha_bar[:-1] == 0).any()):
            gone = int((alpha_bar == 0).nonzero()[0]) + 1
            raise BookError(
                f"after step {gone} of {len(betas)} no signal is left, not even in float64: use smaller betas or fewer steps"
            )
        # 1 - alpha_bar from the betas, not by subtraction: sigma(t_1) = sqrt(beta_1) keeps all its digits
        noise = -torch.expm1(torch.cumsum(torch.log1p(-betas), 0))
        self.steps = len(betas)
        self.alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar])  # alpha_bar_0 = 1, ..., alpha_bar_K
        self._knots = torch.cat([torch.full((1,), torch.inf, dtype=torch.float64), alpha_bar.log() - noise.log()])
        self.first_t = 1 / self.steps
        self.last_t = 1.0 if alpha_bar[-1] > 0 else (self.steps - 1) / self.steps

    def __repr__(self) -> str:
        return f"Discrete({self.steps} steps, alpha_bar from {self.alpha_bar[1]:.6g} to {self.alpha_bar[-1]:.6g})"

    def times(self) -> torch.Tensor:
        """(t_0, ..., t_K) = (0, 1/K, ..., 1)."""
        return torch.arange(self.steps + 1, dtype=torch.float64) / self.steps

    def _interval(self, t):
        """k with t in (t_{k-1}, t_k], where in the interval t lies (0 to 1), and the log-SNRs at its two ends."""
        # the 1e-9 undoes the rounding of k/K * K, so that t_k belongs to interval k
        k = torch.ceil(t * self.steps - 1e-9).clamp(1, self.steps).long()
        fraction = (t * self.steps - (k - 1)).clamp(0, 1)
        knots = self._knots.to(t.device)
        return k, fraction, knots[k - 1], knots[k]

    def curves(self, t):
        k, fraction, high, low = self._interval(t)
        logsnr = high + fraction * (low - high)
        alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        first, last = (k == 1), low.isinf()
        sigma = torch.where(first, fraction * torch.sigmoid(-low).sqrt(), sigma)
        alpha = torch.where(first, (1 - sigma**2).sqrt(), alpha)
        alpha = torch.where(last, (1 - fraction) * torch.sigmoid(high).sqrt(), alpha)
        sigma = torch.where(last, (1 - alpha**2).sqrt(), sigma)
        return alpha, sigma

    def curve_rates(self, t):
        k, _, high, low = self._interval(t)
        alpha, sigma = self.curves(t)
        # sigma^2 = sigmoid(-logsnr), so d sigma/d logsnr = -sigma alpha^2 / 2; alpha follows from alpha^2 + sigma^2 = 1
        sigma_rate = -sigma * alpha**2 / 2 * (low - high) * self.steps
        sigma_rate = torch.where(k == 1, torch.sigmoid(-low).sqrt() * self.steps, sigma_rate)
        alpha_rate = alpha * sigma**2 / 2 * (low - high) * self.steps
        alpha_rate = torch.where(k == 1, -sigma * sigma_rate / alpha, alpha_rate)
        alpha_rate = torch.where(low.isinf(), -torch.sigmoid(high).sqrt() * self.steps, alpha_rate)
        sigma_rate = torch.where(low.isinf(), -alpha * alpha_rate / sigma, sigma_rate)
        return alpha_rate, sigma_rate

    def inverse_logsnr(self, logsnr):
        asked = logsnr
        logsnr = as_float64(logsnr)
        knots = self._knots.to(logsnr.device)
        # knots fall with k; searchsorted wants them rising
        k = torch.searchsorted(-knots, -logsnr.contiguous()).clamp(1, self.steps)
        high, low = knots[k - 1], knots[k]
        fraction = (high - logsnr) / (high - low)
        fraction = torch.where(k == 1, torch.sigmoid(-logsnr).sqrt() / torch.sigmoid(-low).sqrt(), fraction)
        fraction = torch.where(low.isinf(), 1 - torch.sigmoid(logsnr).sqrt() / torch.sigmoid(high).sqrt(), fraction)
        t = (k - 1 + fraction.clamp(0, 1)) / self.steps
        return t if isinstance(asked, torch.Tensor) else t.item()
