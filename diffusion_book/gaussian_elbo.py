"""An exact laboratory: for Gaussian data every term of the bound is known, and so is the log-likelihood it bounds.

For x ~ N(m, S) the best denoiser leaves E|x - x_hat|^2 = sum_i l_i/(1 + l_i SNR), l the eigenvalues of S. Everything
here is a sum over them, in nats, without a single sample. See chapter 2.
"""

import math
from dataclasses import dataclass

import torch

from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.schedules.base import Schedule, as_float64


def expected_error(data: GaussianMixture, snr: torch.Tensor) -> torch.Tensor:
    """E|x - E[x | x_t]|^2 = sum_i l_i/(1 + l_i SNR), shaped like the SNR: l sigma^2/(alpha^2 l + sigma^2) a dimension.

    Raises BookError for a mixture of more than one Gaussian.
    """
    l = _variances(data)
    return (l / (1 + l * snr[..., None])).sum(-1)


def expected_diffusion(data: GaussianMixture, schedule: Schedule, times: torch.Tensor) -> torch.Tensor:
    """E (SNR(s) - SNR(t))/2 |x - x_hat|^2 of each step s -> t of the rising times (K + 1,), all above 0: (K,)."""
    snr = schedule.logsnr(as_float64(times)).exp()
    return (snr[:-1] - snr[1:]) / 2 * expected_error(data, snr[1:])


def continuous_diffusion(data: GaussianMixture, schedule: Schedule, s: float, t: float) -> float:
    """The limit of infinitely many steps from s to t: sum_i log[(1 + l_i SNR(s))/(1 + l_i SNR(t))] / 2.

    The integral of E|x - x_hat|^2/2 over the SNR: the information about x that x_s holds and x_t does not.
    """
    return _information(data, schedule, s) - _information(data, schedule, t)


def _information(data, schedule, t):
    """I(x; x_t) = sum_i log(1 + l_i SNR)/2."""
    return (torch.log1p(_variances(data) * math.exp(schedule.logsnr(t))).sum() / 2).item()


def expected_prior(data: GaussianMixture, schedule: Schedule, t: float = 1.0) -> float:
    """E KL(q(x_t | x) || N(0, (alpha^2 + sigma^2) I)), the expectation of `elbo.prior_kl`."""
    alpha, sigma = schedule(t)
    total, D = alpha**2 + sigma**2, data.means.shape[1]
    second_moment = (_variances(data).sum() + data.mean.square().sum()).item()
    return (D * math.log(total / sigma**2) + (D * sigma**2 + alpha**2 * second_moment) / total - D) / 2


def expected_reconstruction(data: GaussianMixture, schedule: Schedule, t: float) -> float:
    """E[-log p(x | x_t)] with the best decoder, N(x_hat, Cov[x | x_t]): sum_i log(2 pi e l_i/(1 + l_i SNR))/2."""
    return entropy(data) - _information(data, schedule, t)


def entropy(data: GaussianMixture) -> float:
    """E[-log p(x)] = sum_i log(2 pi e l_i)/2: what the negative ELBO bounds from above."""
    return (torch.log(2 * math.pi * math.e * _variances(data)).sum() / 2).item()


@dataclass(frozen=True)
class GaussianELBO:
    """The expected negative ELBO of the best denoiser, in nats; `limit` is what `steps`, (K,), sum to for K -> inf."""

    prior: float
    steps: torch.Tensor
    reconstruction: float
    limit: float
    entropy: float

    @property
    def excess(self) -> float:
        """What the finite steps cost; it falls as 1/K on a grid uniform in log-SNR."""
        return self.steps.sum().item() - self.limit

    @property
    def total(self) -> float:
        return self.prior + self.steps.sum().item() + self.reconstruction

    @property
    def gap(self) -> float:
        """total - entropy: the excess, and KL(q(x_t) || prior) at the last time, the floor that no step removes.

        q(x_t) is the law of noised data.
        """
        return self.total - self.entropy


def gaussian_elbo(data: GaussianMixture, schedule: Schedule, times) -> GaussianELBO:
    """Every term on times that rise or fall strictly, 0 left out: the decoder stands at the first one above it.

    Raises BookError for a mixture of more than one Gaussian and for fewer than two times above 0.
    """
    times = as_float64(times).sort().values
    times = times[times > 0]
    if len(times) < 2:
        raise BookError(f"a grid needs two times above 0 at least, but has {times.tolist()}")
    first, last = times[0].item(), times[-1].item()
    return GaussianELBO(
        expected_prior(data, schedule, last),
        expected_diffusion(data, schedule, times),
        expected_reconstruction(data, schedule, first),
        continuous_diffusion(data, schedule, first, last),
        entropy(data),
    )


def _variances(data: GaussianMixture) -> torch.Tensor:
    """The eigenvalues l of the covariance, (D,)."""
    if len(data) != 1:
        raise BookError(f"the terms are known in closed form for one Gaussian, but this mixture has {len(data)}")
    return torch.linalg.eigvalsh(data.covariance)
