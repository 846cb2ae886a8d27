"""The probability-flow ODE as an invertible map: encoding, decoding and the exact log-density of a model. See chapter 6.

dx/dt = velocity(x, t),    log p_0(x_0) = log p_1(x_1) + integral from 0 to 1 of div velocity(x_t, t) dt.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torchdiffeq import odeint

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.divergence import Divergence, exact
from diffusion_book.elbo import bits_per_dim, scaling_offset
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.schedules.base import Schedule

FIXED = ("euler", "midpoint", "heun2", "rk4")
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun", "fehlberg2")


def solve_ode(
    field: Callable, state, times, method: str = "dopri5", rtol: float = 1e-6, atol: float = 1e-6
) -> tuple[torch.Tensor | tuple, int]:
    """(state at times[-1], evaluations of field(t, state)) of d state/dt = field, times rising or falling.

    The state is a tensor or a tuple of tensors. An adaptive method chooses its own steps between times[0] and times[-1],
    one choice for the whole batch, so that the estimated error of each step, over atol + rtol |state|, has a root mean
    square of at most 1 over all entries (of each part of a tuple). "euler", "midpoint", "heun2" and "rk4" step from each
    of the times to the next. Raises BookError for an unknown method, times that turn back, and a solution that is not
    finite or needs steps that are too small. Source: Chen et al. 2018; torchdiffeq.
    """
    if method not in FIXED + ADAPTIVE:
        raise BookError(
            f"there is no solver {method!r}: choose {', '.join(ADAPTIVE)}, or, on a grid, {', '.join(FIXED)}"
        )
    times = torch.as_tensor([float(t) for t in times], dtype=torch.float64)
    steps = times.diff()
    if len(times) < 2 or not bool((steps > 0).all() or (steps < 0).all()):
        raise BookError(f"times must rise or fall strictly and be at least two, but got {times.tolist()}")
    if method in ADAPTIVE:
        times = times[[0, -1]]
    low, high = times.min().item(), times.max().item()
    options = {"step_t": times[1:]} if method in ADAPTIVE else {}  # end on the last time instead of stepping over it
    evaluations = 0

    def counted(t, state):
        nonlocal evaluations
        evaluations += 1
        return field(min(max(t.item(), low), high), state)

    try:
        path = odeint(counted, state, times, method=method, rtol=rtol, atol=atol, options=options)
    except AssertionError as error:  # the solver's word for a step of length 0 or a state that is not finite
        raise BookError(
            f"the solver {method} gave up ({error}): start further from t = 0, where the field may be infinite, or "
            f"allow a larger error than rtol = {rtol:g}, atol = {atol:g}"
        ) from error
    return (tuple(part[-1] for part in path) if isinstance(path, tuple) else path[-1]), evaluations


@torch.no_grad()
def encode(denoiser: PosteriorMean, x: torch.Tensor, times=None, **options) -> torch.Tensor:
    """x at the last of the rising `times`, along the probability-flow ODE; by default from first_t to last_t.

    `options` are those of `solve_ode`. The inverse is `decode` with the same times.
    """
    times = span(denoiser) if times is None else sorted(float(t) for t in times)
    return solve_ode(lambda t, x: denoiser.velocity(x, t), x, times, **options)[0]


@torch.no_grad()
def decode(denoiser: PosteriorMean, x: torch.Tensor, times=None, **options) -> torch.Tensor:
    """The way back: from x at the last time to the first. Source: Song et al. 2021, section 4.3 and appendix D."""
    times = span(denoiser) if times is None else sorted(float(t) for t in times)
    return solve_ode(lambda t, x: denoiser.velocity(x, t), x, times[::-1], **options)[0]


def slerp(a: torch.Tensor, b: torch.Tensor, w: float) -> torch.Tensor:
    """[sin((1 - w) angle) a + sin(w angle) b]/sin(angle), row by row: from a (w = 0) to b (w = 1) around the origin.

    angle is that between the rows a and b, (B, ...). For rows of one length the result has it too. Raises BookError
    where two rows point the same or opposite ways, so that no arc or no single one leads across. Source: Shoemake 1985.
    """
    rows_a, rows_b = a.flatten(1), b.flatten(1)
    cosine = (rows_a * rows_b).sum(1) / (rows_a.norm(dim=1) * rows_b.norm(dim=1))
    angle = torch.acos(cosine.clamp(-1, 1))
    if not bool((torch.sin(angle) > 1e-6).all()):
        raise BookError("two rows point the same way, or opposite ways: there is no single arc between them")
    left, right = torch.sin((1 - w) * angle) / torch.sin(angle), torch.sin(w * angle) / torch.sin(angle)
    return (left[:, None] * rows_a + right[:, None] * rows_b).view_as(a)


def gaussian_flow(
    gaussian: GaussianMixture, schedule: Schedule, x: torch.Tensor, t: float, s: float
) -> tuple[torch.Tensor, float]:
    """(x_s, log det of the map) of the probability-flow ODE from t to s, either way, for data N(m, S), without a solver.

    x_s = alpha_s m + U (d_s/d_t)^1/2 U^T (x_t - alpha_t m), d = alpha^2 l + sigma^2, and S = U diag(l) U^T; the log det
    is sum_i log(d_s/d_t)/2. x is (B, D). Raises BookError for a mixture of more than one Gaussian.
    """
    if len(gaussian) != 1:
        raise BookError(f"the flow is known in closed form for one Gaussian, but this mixture has {len(gaussian)}")
    l, U = torch.linalg.eigh(gaussian.covariance)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    ratio = (alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)
    moved = (x.to(l) - alpha_t * gaussian.mean) @ U * ratio.sqrt() @ U.T
    return (alpha_s * gaussian.mean + moved).to(x), (ratio.log().sum() / 2).item()


@torch.no_grad()
def continuity(
    field: Callable[[torch.Tensor], torch.Tensor], log_prob: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    """d log p_t(x)/dt at a point that stands still, (B,), if p_t flows along `field`: -div v - v . grad log p_t.

    The continuity equation dp/dt = -div(v p), divided by p. `log_prob` is log p_t, x (B, D). Compare
    `sde.fokker_planck`, the same change for the SDE.
    """
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(log_prob(y).sum(), y)
    velocity, divergence = exact(field, x)
    return -divergence - (velocity * gradient).flatten(1).sum(1)


def span(denoiser: PosteriorMean) -> list[float]:
    """[first_t, last_t] of the denoiser's schedule: the times at which its velocity is finite."""
    return [denoiser.schedule.first_t, denoiser.schedule.last_t]


@dataclass(frozen=True)
class LogDensity:
    """log p of each row in nats, (B,), as the sum of the two parts below; `code` is where the ODE took the rows."""

    prior: torch.Tensor  # log p of the code under the prior
    volume: torch.Tensor  # integral of div velocity: the log of the volume that the flow gains on the way there
    code: torch.Tensor
    evaluations: int

    @property
    def log_p(self) -> torch.Tensor:
        return self.prior + self.volume

    def bits_per_dim(self, scale: float = 128.0) -> torch.Tensor:
        """-log p in bits per dimension of the 8-bit image of which x = u/scale - 1 was made (`elbo.dequantize`: 128)."""
        return bits_per_dim(-self.log_p, self.code[0].numel(), scaling_offset(scale))


@torch.no_grad()
def log_density(
    denoiser: PosteriorMean,
    x: torch.Tensor,
    times=None,
    divergence: Divergence = exact,
    log_prior: Callable[[torch.Tensor], torch.Tensor] | None = None,
    **options,
) -> LogDensity:
    """log p of x (B, ...) at the first of the rising `times`, under the model whose samples the ODE draws.

    log p(x) = log_prior(code) + integral of div velocity along the way. By default the times are first_t and last_t,
    the divergence exact (D backward passes an evaluation; `divergence.hutchinson(fixed(v))` needs one), and the prior
    N(0, (alpha^2 + sigma^2) I) as in `samplers.prior`. `options` are those of `solve_ode`.
    Source: Song et al. 2021, eq. 39; Chen et al. 2018, theorem 1.
    """
    times = span(denoiser) if times is None else sorted(float(t) for t in times)

    def field(t, state):
        return divergence(lambda y: denoiser.velocity(y, t), state[0])

    (code, volume), evaluations = solve_ode(field, (x, x.new_zeros(len(x))), times, **options)
    if log_prior is None:
        alpha, sigma = denoiser.schedule(times[-1])
        prior = log_normal(code, alpha**2 + sigma**2)
    else:
        prior = log_prior(code)
    return LogDensity(prior, volume, code, evaluations)


def log_normal(x: torch.Tensor, variance: float) -> torch.Tensor:
    """log N(x; 0, variance I) of each row, (B,), in nats."""
    rows = x.flatten(1)
    return -(rows.square().sum(1) / variance + rows.shape[1] * math.log(2 * math.pi * variance)) / 2
