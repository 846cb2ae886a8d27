"""Stochastic differential equations dx = drift(x, t) dt + diffusion(x, t) dw: paths, and the SDEs of a schedule.

Solvers here walk a given Brownian path, so that two grids can be compared path by path. Sampling goes through the steps
of `samplers`, which are the same formulas on the way back. See chapter 5.
"""

from collections.abc import Callable

import torch

from diffusion_book import divergence
from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.schedules.base import Schedule, as_float64

Coefficient = Callable[[torch.Tensor, float], torch.Tensor | float]
SDE = tuple[Coefficient, Coefficient]


def brownian(times, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Increments w(t_{i+1}) - w(t_i) ~ N(0, |t_{i+1} - t_i|) of independent Brownian motions: (N, *shape), float64."""
    lengths = as_float64(times).diff().abs()
    z = torch.randn(len(lengths), *shape, generator=generator, dtype=torch.float64)
    return lengths.sqrt().reshape(-1, *[1] * len(shape)) * z


def coarser(increments: torch.Tensor, factor: int) -> torch.Tensor:
    """The increments of the same path over steps `factor` times as long. Raises BookError if N is no multiple of it."""
    if factor < 1 or len(increments) % factor:
        raise BookError(f"{len(increments)} increments cannot be gathered in groups of {factor}")
    return increments.reshape(-1, factor, *increments.shape[1:]).sum(1)


def euler_maruyama(sde: SDE, x: torch.Tensor, times, increments: torch.Tensor) -> torch.Tensor:
    """x_{i+1} = x_i + drift(x_i, t_i) (t_{i+1} - t_i) + diffusion(x_i, t_i) dw_i: the path, (N + 1, ...), of Ito's SDE.

    Strong order 1/2, and 1 where the diffusion does not depend on x; weak order 1. Times may rise or fall.
    Source: Kloeden & Platen 1992, section 10.2.
    """
    drift, diffusion = sde
    path = [x]
    for t, s, dw in _steps(times, increments):
        x = x + (s - t) * drift(x, t) + diffusion(x, t) * dw
        path.append(x)
    return torch.stack(path)


def heun(sde: SDE, x: torch.Tensor, times, increments: torch.Tensor) -> torch.Tensor:
    """Predict by Euler-Maruyama, then take the means of both coefficients at the two ends: the path, (N + 1, ...).

    Where the diffusion depends on t alone, weak order 2 and strong order 1. Where it depends on x, this is the path of
    Stratonovich's equation, not of Ito's: the diffusion at the far end knows the increment.
    Source: Rumelin 1982; Kloeden & Platen 1992, section 15.1.
    """
    drift, diffusion = sde
    path = [x]
    for t, s, dw in _steps(times, increments):
        drift_t, diffusion_t = drift(x, t), diffusion(x, t)
        guess = x + (s - t) * drift_t + diffusion_t * dw
        x = x + (s - t) / 2 * (drift_t + drift(guess, s)) + (diffusion_t + diffusion(guess, s)) / 2 * dw
        path.append(x)
    return torch.stack(path)


def _steps(times, increments):
    times = [float(t) for t in times]
    if len(increments) != len(times) - 1:
        raise BookError(f"{len(times)} times need {len(times) - 1} increments, but got {len(increments)}")
    return zip(times, times[1:], increments, strict=False)


def ito(sde: SDE, phi: Callable[[torch.Tensor], torch.Tensor]) -> SDE:
    """Ito's rule: dphi(x) = (drift phi' + diffusion^2 phi''/2) dt + diffusion phi' dw, as functions of (x, t).

    `phi` acts on each entry of x by itself and has two derivatives. Source: Ito 1951; Kloeden & Platen 1992, section 3.3.
    """
    drift, diffusion = sde

    def derivatives(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (first,) = torch.autograd.grad(phi(x).sum(), x, create_graph=True)
            second = x.new_zeros(x.shape)
            if first.requires_grad:
                (second,) = torch.autograd.grad(first.sum(), x, materialize_grads=True)
        return first.detach(), second

    def drift_of_phi(x, t):
        first, second = derivatives(x)
        return drift(x, t) * first + diffusion(x, t) ** 2 * second / 2

    return drift_of_phi, lambda x, t: diffusion(x, t) * derivatives(x)[0]


def forward(schedule: Schedule) -> SDE:
    """dx = f x dt + g dw with f = alpha'/alpha and g^2 = -sigma^2 dlogsnr/dt, whose x_t is alpha x + sigma eps in law.

    Source: Song et al. 2021, eq. 5; f and g for any schedule: Kingma et al. 2021, appendix B.
    """
    return lambda x, t: schedule.drift(t) * x, lambda x, t: schedule.diffusion(t)


def reverse(denoiser: PosteriorMean, eta: float = 1.0) -> SDE:
    """dx = [f x - (1 + eta^2)/2 g^2 score] dt + eta g dw, to be walked from t = 1 down; one law x_t for every eta.

    eta = 1 is Anderson's reversal, eta = 0 the probability-flow ODE. Source: Anderson 1982; Song et al. 2021, eq. 6.
    """
    schedule = denoiser.schedule

    def drift(x, t):
        return schedule.drift(t) * x - (1 + eta**2) / 2 * schedule.diffusion(t) ** 2 * denoiser.score(x, t)

    return drift, lambda x, t: eta * schedule.diffusion(t)


def ornstein_uhlenbeck(
    x: torch.Tensor, times, rate: float, width: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(path, increments) of dx = -rate x dt + width dw without any error of time steps, and of the w that drives it.

    Over a step h, x' = e^{-rate h} x + I. I and dw are jointly Gaussian, Var I = width^2 (1 - e^{-2 rate h})/(2 rate),
    Var dw = h, Cov = width (1 - e^{-rate h})/rate. x (...) float64, path (N + 1, ...). Source: Gillespie 1996.
    """
    path, increments = [x], []
    for h in as_float64(times).diff().tolist():
        variance = width**2 * -torch.expm1(as_float64(-2 * rate * h)) / (2 * rate)
        covariance = width * -torch.expm1(as_float64(-rate * h)) / rate
        z, rest = (torch.randn(x.shape, generator=generator, dtype=torch.float64) for _ in range(2))
        dw = h**0.5 * z
        integral = covariance / h * dw + (variance - covariance**2 / h).clamp(min=0).sqrt() * rest
        x = torch.exp(as_float64(-rate * h)) * x + integral
        path.append(x)
        increments.append(dw)
    return torch.stack(path), torch.stack(increments)


def fokker_planck(schedule: Schedule, log_prob: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, t: float):
    """d log p_t(x)/dt of the forward SDE: -D f - f x . grad log p + (g^2/2) (|grad log p|^2 + div grad log p), (B,).

    The Fokker-Planck equation dp/dt = -div(f x p) + (g^2/2) div grad p, divided by p. `log_prob` is log p_t, x (B, D).
    Source: Risken 1996, eq. 4.94; Song et al. 2021, appendix D.1.
    """

    def score(y):
        return torch.autograd.grad(log_prob(y).sum(), y, create_graph=True)[0]

    f, g = schedule.drift(t), schedule.diffusion(t)
    with torch.no_grad():
        gradient, laplacian = divergence.exact(score, x)
    transport = x.shape[1] * f + f * (x * gradient).sum(1)
    return g**2 / 2 * (gradient.square().sum(1) + laplacian) - transport
