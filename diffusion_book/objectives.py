"""What is minimized: the denoising loss under any row, and the laws from which its times are drawn. See chapter 2."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from diffusion_book.denoiser import Denoiser
from diffusion_book.elbo import bits_per_dim, discretized_log_likelihood, posterior_kl
from diffusion_book.errors import BookError
from diffusion_book.posterior import log_variance_range
from diffusion_book.predictions import expand, loss_scale


def denoising_loss(
    denoiser: Denoiser,
    x: torch.Tensor,
    t: torch.Tensor,
    eps: torch.Tensor,
    weight: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """(B,) losses, the mean over an image's dimensions of |y_hat - y|^2 at x_t = alpha x + sigma eps, y = a x + b eps.

    x (B, ...), t (B,) in (0, 1], eps like x. With `weight`, a function of the log-SNR such as `predictions.min_snr`, it is
    weight |x_hat - x|^2 whatever the row: the row's own weight, `loss_scale`, is taken out.
    Raises BookError where shapes do not fit. Source: Ho et al. 2020, eq. 14; Salimans & Ho 2022, section 4.
    """
    x_t = _noised(denoiser, x, t, eps)
    loss = _square_error(denoiser, x, t, eps, denoiser.output(x_t, t))
    if weight is None:
        return loss
    own = loss_scale(denoiser.prediction, denoiser.schedule, t)
    return loss * (weight(denoiser.schedule.logsnr(t)) / own).to(loss)


def _noised(denoiser, x, t, eps):
    if eps.shape != x.shape or t.shape != x.shape[:1]:
        raise BookError(f"x {tuple(x.shape)}, t {tuple(t.shape)} and eps {tuple(eps.shape)} do not fit: one t a row")
    alpha, sigma = denoiser.schedule(t)
    return expand(alpha, x) * x + expand(sigma, x) * eps


def _square_error(denoiser, x, t, eps, y):
    return (y - denoiser.prediction.target(denoiser.schedule, t, x, eps)).square().flatten(1).mean(1)


def hybrid_loss(
    denoiser: Denoiser, x: torch.Tensor, t: torch.Tensor, eps: torch.Tensor, steps: int, weight: float = 0.001
) -> torch.Tensor:
    """L_simple + weight L_vlb, (B,), for a network with learned variance, called once; t in k/K, K = steps.

    L_simple is `denoising_loss`. L_vlb is K times the term of the step t_k -> t_{k-1} (the decoder's at k = 1), in bits
    per dimension, with the gradient of the mean stopped: it trains the variance alone. x holds u/127.5 - 1.
    Raises BookError for other times, x off the grid at k = 1, and a network without variance channels.
    Source: Nichol & Dhariwal 2021, eq. 16.
    """
    k = (t.double() * steps).round()
    if not bool(((t * steps - k).abs() < 1e-3).all() and (k >= 1).all()):
        raise BookError(f"the hybrid loss needs the times k/{steps}, k = 1..{steps}, of Steps({steps}), but got {t}")
    t, s = k / steps, (k - 1) / steps  # in float64 whatever t was, so that s is 0 at k = 1
    x_t = _noised(denoiser, x, t, eps)
    y, output = denoiser.outputs(x_t, t)
    x_hat = denoiser.prediction.solve_x(denoiser.schedule, t, x_t, y.detach())
    bits = _variational_term(denoiser.schedule, x, x_hat, output, t, s)
    return _square_error(denoiser, x, t, eps, y) + weight * steps * bits


def _variational_term(schedule, x, x_hat, output, t, s):
    """(B,) terms of the bound in bits per dimension, with the variance that the network's `output` says."""
    low, high = (expand(end, x) for end in log_variance_range(schedule, t, s))
    log_variance = low + (output + 1) / 2 * (high - low)
    first, nats = s == 0, x.new_zeros(len(x))
    if first.any():
        decoded = discretized_log_likelihood(x[first], x_hat[first], (log_variance[first] / 2).exp())
        nats[first] = -decoded.flatten(1).sum(1)
    if not first.all():
        kept = (part[~first] for part in (x, x_hat, log_variance, t, s))
        nats[~first] = posterior_kl(schedule, *kept)
    return bits_per_dim(nats, x[0].numel())


@dataclass(frozen=True)
class Uniform:
    """t = low + (high - low) u."""

    low: float = 1e-5
    high: float = 1.0

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogitNormal:
    """log(t/(1 - t)) ~ N(mean, std^2): most of the training at middling noise. Source: Esser et al. 2024, eq. 19."""

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))


@dataclass(frozen=True)
class Steps:
    """t_k = k/K with k uniform in 1..K: the times of a discrete chain."""

    steps: int = 1000

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return ((u * self.steps).floor() + 1).clamp(max=self.steps) / self.steps


class ImportanceSteps:
    """t_k = k/K with k drawn as p_k ~ sqrt(E[L_k^2]), from the last `length` losses of every step; uniform until then.

    `law(u)` gives times; a loss there times `law.weights(t)` = 1/(K p_k) has the mean of the uniform law, with a smaller
    variance. `law.record(t, losses)` after each batch. A share `floor` of the draws stays uniform, so that no step is
    lost for good (0 is the paper's formula). `state` and `restore` carry it over a break as tensors.
    Source: Nichol & Dhariwal 2021, section 3.3 and eq. 18; the floor: their code.
    """

    def __init__(self, steps: int = 1000, length: int = 10, floor: float = 0.001):
        if steps < 1 or length < 1 or not 0 <= floor <= 1:
            raise BookError(f"needs steps and length of at least 1, floor in [0, 1]: got {steps}, {length}, {floor}")
        self.steps, self.length, self.floor = steps, length, floor
        self.squares = torch.zeros(steps, length, dtype=torch.float64)  # of the last losses, in a ring
        self.counts = torch.zeros(steps, dtype=torch.int64)  # losses seen of each step

    @property
    def probabilities(self) -> torch.Tensor:
        """(p_1, ..., p_K)."""
        root = self.squares.mean(1).sqrt()
        if bool((self.counts < self.length).any()) or root.sum() == 0:
            return torch.full((self.steps,), 1 / self.steps, dtype=torch.float64)
        return (1 - self.floor) * root / root.sum() + self.floor / self.steps

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        edges = self.probabilities.cumsum(0)
        k = torch.searchsorted(edges / edges[-1], u.cpu().double(), right=True) + 1
        return (k.clamp(max=self.steps).double() / self.steps).to(u)

    def weights(self, t: torch.Tensor) -> torch.Tensor:
        """1/(K p_k), like t."""
        return (1 / (self.steps * self.probabilities[self._index(t)])).to(t)

    def record(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Remember the unweighted losses (B,) at the times t (B,). Raises BookError for losses that are not finite."""
        losses = losses.detach().cpu().double()
        if losses.shape != t.shape or not bool(losses.isfinite().all()):
            raise BookError(f"needs one finite loss a time, but got {losses.tolist()} for {t.tolist()}")
        for k, loss in zip(self._index(t).tolist(), losses, strict=True):
            self.squares[k, self.counts[k] % self.length] = loss**2
            self.counts[k] += 1

    def _index(self, t):
        index = (t.cpu().double() * self.steps).round().long() - 1
        if not bool(((index >= 0) & (index < self.steps)).all()):
            raise BookError(f"times must be k/{self.steps} with k = 1..{self.steps}, but got {t.tolist()}")
        return index

    def state(self) -> dict[str, torch.Tensor]:
        """The history, as tensors that a checkpoint can hold."""
        return {"squares": self.squares.clone(), "counts": self.counts.clone()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a `state`. Raises BookError for one of another size."""
        if state["squares"].shape != self.squares.shape:
            shapes = tuple(state["squares"].shape), tuple(self.squares.shape)
            raise BookError(
                f"this history is of (steps, length) = {shapes[0]}, the law of {shapes[1]}: make them agree"
            )
        self.squares, self.counts = state["squares"].clone(), state["counts"].clone()


TimeLaw = Uniform | LogitNormal | Steps


def spread(start: torch.Tensor, n: int) -> torch.Tensor:
    """n numbers in (0, 1), evenly spaced from a random `start`: each is uniform, together they cover the interval.

    Source: Kingma et al. 2021, appendix I.1 (the low-discrepancy sampler).
    """
    u = (start + torch.arange(n, dtype=torch.float64) / n) % 1
    return u.clamp(1e-6, 1 - 1e-6)
