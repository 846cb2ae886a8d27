"""The oracle: distributions whose diffused density, score and denoiser are known in closed form.

If x is a mixture of Gaussians, x_t = alpha x + sigma eps is one too, of N(alpha mu_k, alpha^2 Sigma_k + sigma^2 I) with
the same weights w_k. It is this *diffused* mixture that is scored, never the one of the data. With the eigenvectors U_k
of Sigma_k as axes every formula is a division by d = alpha^2 l_k + sigma^2, l_k the eigenvalues. See chapter 4.
"""

import math

import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.predictions import all_finite, any_zero, expand
from diffusion_book.schedules.base import Schedule, Time, as_float64


class GaussianMixture:
    """p(x) = sum_k w_k N(x; mu_k, Sigma_k), and what follows for x_t = alpha x + sigma eps, all in float64.

    weights (K,), means (K, D), covariances (K,) for Sigma_k = variance * I, or (K, D, D). A component is a class.
    Methods take x_t of (B, D), or (B, ...) with D entries a row, and alpha and sigma as numbers or (B,). `labels`, one
    int or (B,), conditions a row on that component; K conditions on nothing. Answers have the dtype and device of x_t.
    Raises BookError for weights that are no probabilities, covariances that are not positive, and misfitting shapes.
    Source: Bishop 2006, eq. 2.113-2.117.
    """

    def __init__(self, weights, means, covariances):
        parameters = (as_float64(value).detach().cpu() for value in (weights, means, covariances))
        self.weights, self.means, self.covariances = parameters
        self._check()
        self.weights = self.weights / self.weights.sum()
        self.isotropic = self.covariances.ndim == 1
        if self.isotropic:  # any axes are eigenvectors, and l of (K, 1) broadcasts over them
            self._l, self._U = self.covariances[:, None], None
        else:
            self._l, self._U = torch.linalg.eigh(self.covariances)
        if not bool((self._l > 0).all()):
            raise BookError(f"covariances must be positive, but the least variance along an axis is {self._l.min():g}")

    def _check(self):
        weights, means, covariances = self.weights, self.means, self.covariances
        if weights.ndim != 1 or means.ndim != 2 or len(means) != len(weights) or 0 in means.shape:
            raise BookError(f"weights must be (K,), means (K, D): got {tuple(weights.shape)}, {tuple(means.shape)}")
        K, D = means.shape
        if covariances.shape not in [(K,), (K, D, D)]:
            raise BookError(f"covariances must be ({K},) or ({K}, {D}, {D}), but got {tuple(covariances.shape)}")
        if not bool((weights >= 0).all()) or not abs(weights.sum().item() - 1) <= 1e-6:
            raise BookError(f"weights must be at least 0 and sum to 1, but got {weights.tolist()}")
        if not all_finite(means) or not all_finite(covariances):
            raise BookError("means and covariances must be finite")
        if covariances.ndim == 3 and not torch.allclose(covariances, covariances.mT, rtol=1e-6, atol=1e-12):
            raise BookError("covariances must be symmetric: use (S + S.mT) / 2 if that is what you mean")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def mean(self) -> torch.Tensor:
        """E[x] = sum_k w_k mu_k, (D,)."""
        return self.weights @ self.means

    @property
    def covariance(self) -> torch.Tensor:
        """Cov[x] = sum_k w_k (Sigma_k + (mu_k - E[x])(mu_k - E[x])^T), (D, D)."""
        offset = self.means - self.mean
        full = torch.diag_embed(self._l.expand_as(offset)) if self.isotropic else self.covariances
        return torch.einsum("k,kij->ij", self.weights, full + offset[:, :, None] * offset[:, None, :])

    def _to_axes(self, x):  # (B, K, D)
        return x if self.isotropic else torch.einsum("kji,bkj->bki", self._U, x)

    def _from_axes(self, z):  # (B, K, D)
        return z if self.isotropic else torch.einsum("kij,bkj->bki", self._U, z)

    def _components(self, x_t, alpha, sigma, labels=None):
        """z = U^T (x_t - alpha mu) of (B, K, D), d = alpha^2 l + sigma^2, alpha, and log p(k, x_t) of (B, K)."""
        D = self.means.shape[1]
        if x_t.ndim < 2 or x_t.shape[1:].numel() != D:
            raise BookError(f"x must be (B, {D}), or have {D} entries in each row, but got {tuple(x_t.shape)}")
        x_t = x_t.to(self.means).reshape(len(x_t), 1, D)
        alpha, sigma = expand(alpha, x_t), expand(sigma, x_t)
        z = self._to_axes(x_t - alpha * self.means)
        d = alpha**2 * self._l + sigma**2
        if any_zero(d):
            raise BookError("alpha and sigma are both 0: x_t is then 0 whatever x is, and has no density")
        log_normal = -(z**2 / d + torch.log(2 * math.pi * d)).sum(-1) / 2
        return z, d, alpha, self._log_weights(labels, len(x_t)) + log_normal

    def _log_weights(self, labels, B):
        """log w_k of (K,), or of (B, K) with labels: 0 at a row's own component and -inf at the others."""
        if labels is None:
            return self.weights.log()
        labels, K = torch.as_tensor(labels).cpu().reshape(-1, 1), len(self)
        if len(labels) not in (1, B) or labels.is_floating_point() or not bool(((labels >= 0) & (labels <= K)).all()):
            asked = f"one integer, or {B}, from 0 to {K - 1}, or {K} for no condition"
            raise BookError(f"labels must be {asked}, but got {labels.flatten().tolist()}")
        return torch.where(labels == K, self.weights, (labels == torch.arange(K)).double()).log()

    def log_prob(self, x_t, alpha: Time = 1.0, sigma: Time = 0.0, labels=None) -> torch.Tensor:
        """log p(x_t) = log sum_k w_k N(x_t; alpha mu_k, alpha^2 Sigma_k + sigma^2 I), in nats; by default log p(x)."""
        *_, log_joint = self._components(x_t, alpha, sigma, labels)
        return torch.logsumexp(log_joint, -1).to(x_t)

    def responsibilities(self, x_t, alpha: Time = 1.0, sigma: Time = 0.0, labels=None) -> torch.Tensor:
        """r_k = p(k | x_t) = w_k N(x_t; k) / sum_j w_j N(x_t; j), (B, K)."""
        *_, log_joint = self._components(x_t, alpha, sigma, labels)
        return torch.softmax(log_joint, -1).to(x_t)

    def denoise(self, x_t, alpha: Time, sigma: Time, labels=None) -> torch.Tensor:
        """E[x | x_t] = sum_k r_k (mu_k + alpha Sigma_k (alpha^2 Sigma_k + sigma^2 I)^-1 (x_t - alpha mu_k)), like x_t.

        x_t/alpha at sigma = 0, and the mean of the data at alpha = 0.
        """
        return self._moments(x_t, alpha, sigma, labels)[0]

    def score(self, x_t, alpha: Time = 1.0, sigma: Time = 0.0, labels=None) -> torch.Tensor:
        """grad log p(x_t) = -sum_k r_k (alpha^2 Sigma_k + sigma^2 I)^-1 (x_t - alpha mu_k); by default of the data."""
        return self._moments(x_t, alpha, sigma, labels)[1]

    def eps(self, x_t, alpha: Time, sigma: Time, labels=None) -> torch.Tensor:
        """E[eps | x_t] = -sigma score: (x_t - alpha x_hat)/sigma in the form that is exact, and 0, at sigma = 0 too."""
        return -expand(sigma, x_t) * self.score(x_t, alpha, sigma, labels)

    def v(self, x_t, alpha: Time, sigma: Time, labels=None) -> torch.Tensor:
        """E[v | x_t] = alpha E[eps | x_t] - sigma E[x | x_t]. Source: Salimans & Ho 2022, section 4."""
        return self.velocity(x_t, alpha, sigma, -sigma, alpha, labels)

    def velocity(self, x_t, alpha: Time, sigma: Time, alpha_rate: Time, sigma_rate: Time, labels=None) -> torch.Tensor:
        """E[dx_t/dt | x_t] = alpha' E[x | x_t] + sigma' E[eps | x_t], the field of the probability-flow ODE."""
        x_hat, score = self._moments(x_t, alpha, sigma, labels)
        return expand(alpha_rate, x_t) * x_hat - expand(sigma_rate, x_t) * expand(sigma, x_t) * score

    def _moments(self, x_t, alpha, sigma, labels):
        """(E[x | x_t], grad log p(x_t)): the r-weighted sums over the components."""
        z, d, alpha, log_joint = self._components(x_t, alpha, sigma, labels)
        r = torch.softmax(log_joint, -1)[..., None]
        x_hat = (r * (self.means + self._from_axes(alpha * self._l / d * z))).sum(1)
        score = -(r * self._from_axes(z / d)).sum(1)
        return x_hat.reshape(x_t.shape).to(x_t), score.reshape(x_t.shape).to(x_t)

    def diffused(self, alpha: float, sigma: float) -> "GaussianMixture":
        """The distribution of x_t = alpha x + sigma eps: means alpha mu_k, covariances alpha^2 Sigma_k + sigma^2 I."""
        noise = sigma**2 if self.isotropic else sigma**2 * torch.eye(self.means.shape[1], dtype=torch.float64)
        return GaussianMixture(self.weights, alpha * self.means, alpha**2 * self.covariances + noise)

    def given(self, components) -> "GaussianMixture":
        """p(x | k in components), for one component or several: their weights, divided by their sum."""
        k = torch.as_tensor(components).cpu().reshape(-1)
        if k.is_floating_point() or not len(k) or not bool(((k >= 0) & (k < len(self))).all()):
            raise BookError(f"components are numbered 0 to {len(self) - 1}, but got {components}")
        weights = self.weights[k] if self.weights[k].sum() > 0 else torch.ones(len(k))
        return GaussianMixture(weights / weights.sum(), self.means[k], self.covariances[k])

    def posterior(self, x_t: torch.Tensor, alpha: float, sigma: float) -> "GaussianMixture":
        """p(x | x_t) of one x_t, (D,): weights r_k, means E[x | x_t, k], covariances
        sigma^2 Sigma_k (alpha^2 Sigma_k + sigma^2 I)^-1. Its mean is `denoise`.

        Raises BookError at sigma = 0, where x is known and has no density.
        """
        if sigma == 0:
            raise BookError("at sigma = 0 the posterior is the single point x_t / alpha")
        z, d, _, log_joint = self._components(x_t[None], alpha, sigma)
        means = self.means + self._from_axes(alpha * self._l / d * z)[0]
        spread = sigma**2 * self._l / d
        covariances = spread[:, 0] if self.isotropic else self._U @ (spread[..., None] * self._U.mT)
        return GaussianMixture(torch.softmax(log_joint[0], -1), means, covariances)

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """x ~ p(x), (n, D) in float64."""
        return self.sample_labelled(n, seed)[0]

    def sample_labelled(self, n: int, seed: int | torch.Generator = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, k) ~ p(x, k), (n, D) and (n,): the points with the components they come from."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        labels = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        x = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        for k in range(len(self)):
            z = self._l[k].sqrt() * x[labels == k]
            x[labels == k] = self.means[k] + (z if self._U is None else z @ self._U[k].T)
        return x, labels

    def denoiser(self, schedule: Schedule) -> "ExactDenoiser":
        """E[x | x_t] under `schedule`, with the face that samplers know."""
        return ExactDenoiser(self, schedule)


class ExactDenoiser(PosteriorMean):
    """The mixture's E[x | x_t] under a schedule, each view by its own closed form, also at sigma = 0 and alpha = 0.

    `given(labels)` binds a component to each row, K meaning none. Raises BookError where the velocity is infinite.
    """

    def __init__(self, mixture: GaussianMixture, schedule: Schedule, cond=None):
        self.mixture, self.schedule, self.cond = mixture, schedule, cond

    def given(self, cond) -> "ExactDenoiser":
        return ExactDenoiser(self.mixture, self.schedule, cond)

    def __call__(self, x_t, t):
        return self.mixture.denoise(x_t, *self.schedule(t), self.cond)

    def eps(self, x_t, t):
        return self.mixture.eps(x_t, *self.schedule(t), self.cond)

    def score(self, x_t, t):
        return self.mixture.score(x_t, *self.schedule(t), self.cond)

    def v(self, x_t, t):
        return self.mixture.v(x_t, *self.schedule(t), self.cond)

    def velocity(self, x_t, t):
        rates = self.schedule.rates(t)
        if all(all_finite(rate) for rate in rates):
            return self.mixture.velocity(x_t, *self.schedule(t), *rates, self.cond)
        # sigma' is infinite where sigma begins like sqrt(t), but f x - g^2/2 score, the same field, need not be
        f, g = self.schedule.drift(t), self.schedule.diffusion(t)
        if not (all_finite(f) and all_finite(g)):
            raise BookError(f"the velocity is undefined at t = {t}: the first usable t is {self.schedule.first_t:g}")
        return expand(f, x_t) * x_t - expand(g, x_t) ** 2 / 2 * self.score(x_t, t)


class EmpiricalDenoiser(PosteriorMean):
    """E[x | x_t] if the data set were all there is: sum_i p_i x_i, p = softmax_i(-|x_t - alpha x_i|^2 / (2 sigma^2)).

    The optimum of the denoising loss, which only copies its data. `data` is (N, ...), x_t (B, ...); the data is read in
    chunks, so memory grows with B * chunk only. Given a class it is EmpiricalDenoiser(data[labels == k], schedule).
    x_t/alpha at sigma = 0, where eps, score and velocity raise BookError; the mean of the data at alpha = 0.
    Source: Karras et al. 2022, appendix B.3.
    """

    def __init__(self, data: torch.Tensor, schedule: Schedule, chunk: int = 2048):
        if data.ndim < 2 or len(data) == 0 or not data.is_floating_point():
            raise BookError(f"data must be floating point of shape (N, ...), but got {data.dtype} {tuple(data.shape)}")
        self.data, self.schedule, self.chunk = data, schedule, chunk

    def __call__(self, x_t, t):
        if x_t.shape[1:] != self.data.shape[1:]:
            raise BookError(f"x_t must be (B, *{tuple(self.data.shape[1:])}), but got {tuple(x_t.shape)}")
        rows = x_t.to(self.data.device, torch.float64).flatten(1)
        alpha, sigma = (expand(as_float64(value), rows) for value in self.schedule(t))
        clean = sigma == 0
        width = torch.where(clean, 1.0, sigma)
        best, total, weighted = rows.new_full((len(rows), 1), -math.inf), 0.0, 0.0
        for chunk in self.data.flatten(1).split(self.chunk):
            chunk = chunk.double()
            # -|x_t - alpha x_i|^2 / 2 without its |x_t|^2 / 2, which is the same for all i
            closeness = alpha * rows @ chunk.T - alpha**2 * (chunk**2).sum(-1) / 2
            # a softmax in one pass: whenever a closer x_i turns up, what was summed before it shrinks
            before, best = best, torch.maximum(best, closeness.detach().max(-1, keepdim=True).values)
            p, keep = ((value - best).div(width).div(width).exp() for value in (closeness, before))
            total, weighted = keep * total + p.sum(-1, keepdim=True), keep * weighted + p @ chunk
        x_hat = torch.where(clean, rows / torch.where(clean, alpha, 1.0), weighted / total)
        return x_hat.reshape(x_t.shape).to(x_t)
