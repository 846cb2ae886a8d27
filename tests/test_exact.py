"""The oracle against autograd, quadrature, Monte Carlo and its own limits: everything else is compared with it."""

import math

import pytest
import torch

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.exact import EmpiricalDenoiser, GaussianMixture
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, LinearPath, Schedule, Shifted, SubVP, betas

F64 = torch.float64


def tensor(*values):
    return torch.tensor(values, dtype=F64)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def covariances(K, D, seed=1, floor=0.05):
    root = normal(K, D, D, seed=seed)
    return 0.3 * root @ root.mT + floor * torch.eye(D, dtype=F64)


LINE = GaussianMixture(tensor(0.3, 0.7), tensor([-1.5], [1.0]), tensor(0.04, 0.25))
ROUND = GaussianMixture(tensor(0.2, 0.3, 0.5), tensor([-1.0, 0.5], [1.0, 1.0], [0.3, -1.2]), tensor(0.05, 0.2, 0.4))
FULL = GaussianMixture(tensor(0.25, 0.15, 0.6), tensor([-1.0, 0.5], [1.5, 1.0], [0.3, -1.2]), covariances(3, 2))
WIDE = GaussianMixture(tensor(0.4, 0.6), normal(2, 5, seed=2), covariances(2, 5, seed=3))

mixtures = pytest.mark.parametrize("mixture", [LINE, ROUND, FULL, WIDE], ids=["line", "round", "full", "wide"])
LEVELS = [(1.0, 0.0), (0.95, 0.05), (0.8, 0.6), (1.0, 3.0), (0.1, 0.995)]
levels = pytest.mark.parametrize("alpha, sigma", LEVELS)


def near(mixture, alpha, sigma, n=16):
    """Points where x_t lives."""
    x = mixture.sample(n, seed=5)
    return alpha * x + sigma * normal(*x.shape, seed=6)


def gradient_of_log_prob(mixture, x_t, alpha, sigma):
    x_t = x_t.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(mixture.log_prob(x_t, alpha, sigma).sum(), x_t)
    return gradient


def close(value, expected, tolerance=1e-10):
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


# The density


@mixtures
@levels
def test_log_prob_is_that_of_torch_distributions(mixture, alpha, sigma):
    eye = torch.eye(mixture.means.shape[1], dtype=F64)
    full = mixture.covariances[:, None, None] * eye if mixture.isotropic else mixture.covariances
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(mixture.weights),
        torch.distributions.MultivariateNormal(alpha * mixture.means, alpha**2 * full + sigma**2 * eye),
    )
    x_t = near(mixture, alpha, sigma)
    close(mixture.log_prob(x_t, alpha, sigma), reference.log_prob(x_t))


@pytest.mark.parametrize("mixture", [LINE, ROUND, FULL], ids=["line", "round", "full"])
@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.0), (0.8, 0.6)])
def test_density_integrates_to_one(mixture, alpha, sigma):
    D = mixture.means.shape[1]
    axis = torch.linspace(-9, 9, 601, dtype=F64)
    grid = torch.cartesian_prod(*[axis] * D).reshape(-1, D)
    total = mixture.log_prob(grid, alpha, sigma).exp().sum() * (axis[1] - axis[0]) ** D
    close(total, torch.ones_like(total))


def test_far_away_nothing_overflows():
    x_t = tensor([1e5, -1e5], [-1e7, 0.0])
    for alpha, sigma in [(1.0, 0.0), (1.0, 1e-3), (0.5, 0.5)]:
        for value in (FULL.log_prob, FULL.score, FULL.denoise, FULL.responsibilities):
            assert value(x_t, alpha, sigma).isfinite().all()


# Score and denoiser


@mixtures
@levels
def test_score_is_the_gradient_of_log_prob(mixture, alpha, sigma):
    x_t = near(mixture, alpha, sigma)
    close(mixture.score(x_t, alpha, sigma), gradient_of_log_prob(mixture, x_t, alpha, sigma))


@mixtures
@levels
def test_denoiser_obeys_tweedie(mixture, alpha, sigma):
    x_t = near(mixture, alpha, sigma)
    tweedie = (x_t + sigma**2 * gradient_of_log_prob(mixture, x_t, alpha, sigma)) / alpha
    close(mixture.denoise(x_t, alpha, sigma), tweedie)


@mixtures
@levels
def test_x_hat_eps_hat_and_v_hat_make_up_x_t(mixture, alpha, sigma):
    x_t = near(mixture, alpha, sigma)
    x_hat, eps_hat = mixture.denoise(x_t, alpha, sigma), mixture.eps(x_t, alpha, sigma)
    close(alpha * x_hat + sigma * eps_hat, x_t)
    close(mixture.v(x_t, alpha, sigma), alpha * eps_hat - sigma * x_hat)
    close(mixture.velocity(x_t, alpha, sigma, -3.0, 0.7), -3.0 * x_hat + 0.7 * eps_hat)


@pytest.mark.parametrize("alpha, sigma", [(0.95, 0.05), (0.8, 0.6), (1.0, 3.0), (0.1, 0.995)])
def test_denoiser_and_density_agree_with_quadrature_on_a_line(alpha, sigma):
    x = torch.linspace(-6, 6, 60_001, dtype=F64)
    density = 0.3 * torch.exp(-((x + 1.5) ** 2) / 0.08) / math.sqrt(2 * math.pi * 0.04)
    density += 0.7 * torch.exp(-((x - 1.0) ** 2) / 0.5) / math.sqrt(2 * math.pi * 0.25)
    x_t = tensor([-2.0], [-0.3], [0.1], [1.7])
    joint = density * torch.exp(-((x_t - alpha * x) ** 2) / (2 * sigma**2)) / math.sqrt(2 * math.pi) / sigma
    step = x[1] - x[0]
    close(LINE.log_prob(x_t, alpha, sigma), (joint.sum(-1) * step).log())
    close(LINE.denoise(x_t, alpha, sigma), ((joint * x).sum(-1) / joint.sum(-1))[:, None])


def test_score_agrees_with_monte_carlo_and_the_undiffused_score_does_not():
    alpha, sigma = 0.8, 0.6
    x, x_t = FULL.sample(100_000, seed=1), near(FULL, alpha, sigma, n=6)
    w = torch.exp(-((x_t[:, None] - alpha * x) ** 2).sum(-1) / (2 * sigma**2))[..., None]  # (6, n, 1)
    x_hat = (w * x).sum(1) / w.sum(1)
    standard_error = (w**2 * (x - x_hat[:, None]) ** 2).sum(1).sqrt() / w.sum(1) * alpha / sigma**2
    monte_carlo = (alpha * x_hat - x_t) / sigma**2

    def misses(score):
        return ((score - monte_carlo) / standard_error).abs()

    assert misses(FULL.score(x_t, alpha, sigma)).max() < 4
    assert misses(FULL.score(x_t)).amax(-1).min() > 10  # the score of the data, at the noisy point
    assert misses(FULL.score(x_t / alpha)).amax(-1).min() > 10  # and at the point scaled back


# The limits


@mixtures
def test_without_noise_the_denoiser_returns_the_clean_point(mixture):
    x_t = near(mixture, 1.0, 0.0)
    close(mixture.denoise(x_t, 0.7, 0.0), x_t / 0.7, 1e-14)
    close(mixture.eps(x_t, 0.7, 0.0), torch.zeros_like(x_t), 0)
    close(mixture.score(x_t, 0.7, 0.0), mixture.score(x_t / 0.7) / 0.7)


@mixtures
def test_with_little_noise_the_denoiser_moves_by_sigma_squared_times_the_score(mixture):
    x, sigma = near(mixture, 1.0, 0.0), 1e-5
    close((mixture.denoise(x, 1.0, sigma) - x) / sigma**2, mixture.score(x), 1e-4)


@mixtures
def test_with_much_noise_the_denoiser_falls_back_to_mean_and_covariance(mixture):
    sigma = 1e5
    u = normal(8, mixture.means.shape[1])
    moved = (mixture.denoise(sigma * u, 0.5, sigma) - mixture.mean) * sigma / 0.5
    close(moved, u @ mixture.covariance, 1e-3)


@mixtures
def test_without_signal_only_the_prior_is_left(mixture):
    x_t = normal(8, mixture.means.shape[1])
    close(mixture.denoise(x_t, 0.0, 2.0), mixture.mean.expand_as(x_t), 1e-14)
    close(mixture.responsibilities(x_t, 0.0, 2.0), mixture.weights.expand(8, -1), 1e-13)
    close(mixture.eps(x_t, 0.0, 2.0), x_t / 2, 1e-14)
    close(mixture.score(x_t, 0.0, 2.0), -x_t / 4, 1e-14)


def test_a_nearly_flat_component_keeps_its_digits():
    turn = torch.linalg.qr(normal(3, 3)).Q
    spread = tensor(1.0, 1e-6, 1e-13)
    mixture = GaussianMixture([1.0], torch.zeros(1, 3), (turn * spread @ turn.T)[None])
    x_t = normal(4, 3, seed=1)
    for alpha, sigma in [(1.0, 1e-3), (0.5, 0.8)]:
        gain = turn * (alpha * spread / (alpha**2 * spread + sigma**2)) @ turn.T
        close(mixture.denoise(x_t, alpha, sigma), x_t @ gain, 1e-9)


# Symmetries and other forms of the same thing


def test_full_and_isotropic_covariances_agree():
    full = GaussianMixture(ROUND.weights, ROUND.means, ROUND.covariances[:, None, None] * torch.eye(2, dtype=F64))
    assert ROUND.isotropic
    assert not full.isotropic
    x_t = near(ROUND, 0.8, 0.6)
    for name in ("log_prob", "score", "denoise", "eps", "v", "responsibilities"):
        close(getattr(full, name)(x_t, 0.8, 0.6), getattr(ROUND, name)(x_t, 0.8, 0.6), 1e-13)
    close(full.covariance, ROUND.covariance, 1e-14)
    close(full.posterior(x_t[0], 0.8, 0.6).covariance, ROUND.posterior(x_t[0], 0.8, 0.6).covariance, 1e-13)
    close(full.diffused(0.8, 0.6).covariance, ROUND.diffused(0.8, 0.6).covariance, 1e-14)


@levels
def test_turning_the_data_turns_score_and_denoiser(alpha, sigma):
    R = torch.linalg.qr(normal(5, 5)).Q
    turned = GaussianMixture(WIDE.weights, WIDE.means @ R.T, R @ WIDE.covariances @ R.T)
    x_t = near(WIDE, alpha, sigma)
    close(turned.denoise(x_t @ R.T, alpha, sigma), WIDE.denoise(x_t, alpha, sigma) @ R.T)
    close(turned.score(x_t @ R.T, alpha, sigma), WIDE.score(x_t, alpha, sigma) @ R.T)
    close(turned.log_prob(x_t @ R.T, alpha, sigma), WIDE.log_prob(x_t, alpha, sigma))


@mixtures
@levels
def test_the_diffused_mixture_is_the_distribution_of_x_t(mixture, alpha, sigma):
    x_t, diffused = near(mixture, alpha, sigma), mixture.diffused(alpha, sigma)
    close(diffused.log_prob(x_t), mixture.log_prob(x_t, alpha, sigma))
    close(diffused.score(x_t), mixture.score(x_t, alpha, sigma))
    close(diffused.mean, alpha * mixture.mean)
    eye = torch.eye(mixture.means.shape[1], dtype=F64)
    close(diffused.covariance, alpha**2 * mixture.covariance + sigma**2 * eye)


@pytest.mark.parametrize("mixture", [ROUND, WIDE], ids=["round", "wide"])
def test_a_level_for_each_row_is_each_row_by_itself(mixture):
    alpha, sigma = tensor(0.9, 0.5, 1.0), tensor(0.1, 0.5, 2.0)
    x_t = near(mixture, 0.9, 0.3, n=3)
    for name in ("log_prob", "score", "denoise", "eps", "v", "responsibilities"):
        rows = [getattr(mixture, name)(x_t[i : i + 1], alpha[i].item(), sigma[i].item()) for i in range(3)]
        close(getattr(mixture, name)(x_t, alpha, sigma), torch.cat(rows), 1e-14)


def test_rows_of_any_shape_keep_it():
    mixture = GaussianMixture([0.5, 0.5], normal(2, 12), covariances(2, 12))
    x_t = normal(3, 1, 3, 4)
    assert mixture.denoise(x_t, 0.8, 0.6).shape == x_t.shape
    close(mixture.score(x_t, 0.8, 0.6).flatten(1), mixture.score(x_t.flatten(1), 0.8, 0.6), 0)


def test_answers_have_the_dtype_of_x_t_and_parameters_stay_float64():
    assert GaussianMixture([0.1, 0.9], [[0.1], [0.2]], [0.3, 0.7]).weights.tolist() == [0.1, 0.9]
    x_t = near(FULL, 0.8, 0.6).float()
    for name in ("log_prob", "score", "denoise", "eps", "v", "responsibilities"):
        value = getattr(FULL, name)(x_t, 0.8, 0.6)
        assert value.dtype == torch.float32
        close(value.double(), getattr(FULL, name)(x_t.double(), 0.8, 0.6), 1e-6)


# Classes


@mixtures
@levels
def test_the_whole_is_the_mean_of_the_classes_weighted_by_responsibility(mixture, alpha, sigma):
    x_t, K = near(mixture, alpha, sigma), len(mixture)
    r = mixture.responsibilities(x_t, alpha, sigma)
    assert r.shape == (16, K)
    for name in ("score", "denoise"):
        by_class = torch.stack([getattr(mixture, name)(x_t, alpha, sigma, labels=k) for k in range(K)], 1)
        close((r[..., None] * by_class).sum(1), getattr(mixture, name)(x_t, alpha, sigma))
    density = torch.stack([mixture.log_prob(x_t, alpha, sigma, labels=k).exp() for k in range(K)], 1)
    close(density @ mixture.weights, mixture.log_prob(x_t, alpha, sigma).exp())
    close(mixture.weights * density / (density @ mixture.weights)[:, None], r)


def test_labels_bind_a_class_to_each_row_and_K_binds_none():
    x_t, labels = near(FULL, 0.8, 0.6, n=4), torch.tensor([2, 0, 3, 1])
    for name in ("log_prob", "score", "denoise", "eps", "v"):
        together = getattr(FULL, name)(x_t, 0.8, 0.6, labels=labels)
        for i, k in enumerate(labels.tolist()):
            alone = FULL if k == 3 else FULL.given(k)
            close(together[i], getattr(alone, name)(x_t[i : i + 1], 0.8, 0.6)[0], 1e-13)
    r = FULL.responsibilities(x_t, 0.8, 0.6, labels)
    close(r[[0, 1, 3]], torch.eye(3, dtype=F64)[[2, 0, 1]], 0)
    close(r[2], FULL.responsibilities(x_t[2:3], 0.8, 0.6)[0], 1e-14)


def test_a_set_of_classes_is_their_mixture():
    x_t = near(FULL, 0.8, 0.6)
    r = FULL.responsibilities(x_t, 0.8, 0.6)[:, [0, 2]]
    by_class = torch.stack([FULL.denoise(x_t, 0.8, 0.6, labels=k) for k in (0, 2)], 1)
    close(FULL.given([0, 2]).denoise(x_t, 0.8, 0.6), (r[..., None] * by_class).sum(1) / r.sum(1, keepdim=True))


# The posterior


@mixtures
@pytest.mark.parametrize("alpha, sigma", [(0.95, 0.05), (0.8, 0.6), (0.0, 1.0)])
def test_posterior_obeys_bayes(mixture, alpha, sigma):
    x_t, x = near(mixture, alpha, sigma)[0], near(mixture, 1.0, 0.2)
    D = len(x_t)
    log_noise = -((x_t - alpha * x) ** 2).sum(-1) / (2 * sigma**2) - D / 2 * math.log(2 * math.pi * sigma**2)
    bayes = mixture.log_prob(x) + log_noise - mixture.log_prob(x_t[None], alpha, sigma)
    posterior = mixture.posterior(x_t, alpha, sigma)
    close(posterior.log_prob(x), bayes, 1e-9)
    close(posterior.mean, mixture.denoise(x_t[None], alpha, sigma)[0])


@mixtures
def test_posterior_covariance_is_the_jacobian_of_the_denoiser(mixture):
    alpha, sigma = 0.8, 0.6
    x_t = near(mixture, alpha, sigma)[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: mixture.denoise(x[None], alpha, sigma)[0], x_t)
    close(mixture.posterior(x_t, alpha, sigma).covariance, sigma**2 / alpha * jacobian)


# Samples


@pytest.mark.parametrize("mixture", [ROUND, WIDE], ids=["round", "wide"])
def test_samples_have_the_moments_of_the_mixture(mixture):
    n = 40_000
    x, k = mixture.sample_labelled(n, seed=3)
    share = torch.bincount(k, minlength=len(mixture)) / n
    assert ((share - mixture.weights).abs() < 4 * (mixture.weights * (1 - mixture.weights) / n).sqrt()).all()
    assert ((x.mean(0) - mixture.mean).abs() < 4 * (mixture.covariance.diagonal() / n).sqrt()).all()
    products = (x - mixture.mean)[:, :, None] * (x - mixture.mean)[:, None, :]  # (n, D, D)
    misses = (products.mean(0) - mixture.covariance).abs() / (products.std(0) / math.sqrt(n))
    assert misses.max() < 4
    for component in range(len(mixture)):
        own, expected = x[k == component], mixture.given(component)
        products = (own - expected.mean)[:, :, None] * (own - expected.mean)[:, None, :]
        misses = (products.mean(0) - expected.covariance).abs() / (products.std(0) / math.sqrt(len(own)))
        assert misses.max() < 4
        squared = expected.covariance @ expected.covariance  # what variance * z would give for sqrt(variance) * z
        assert ((products.mean(0) - squared).abs() / (products.std(0) / math.sqrt(len(own)))).max() > 10


def test_samples_are_a_function_of_the_seed():
    assert torch.equal(FULL.sample(5, seed=1), FULL.sample(5, seed=1))
    assert not torch.equal(FULL.sample(5, seed=1), FULL.sample(5, seed=2))
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(FULL.sample(5, generator), FULL.sample(5, seed=1))
    assert not torch.equal(FULL.sample(5, generator), FULL.sample(5, seed=1))


# The denoiser's face

SCHEDULES = {
    "VP": VP(),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "VE": VE(),
    "EDM": EDM(),
    "SubVP": SubVP(),
    "Discrete": Discrete(betas.linear()),
    "zero terminal": Discrete(betas.zero_terminal(betas.scaled_linear(50))),
    "Shifted": Shifted(Cosine(), 3.0),
    "Shifted VP": Shifted(VP(), 0.5),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@schedules
@pytest.mark.parametrize("t", [0.02, 0.3, 0.75])
def test_every_view_is_the_one_that_follows_from_the_denoiser(schedule, t):
    exact = FULL.denoiser(schedule)
    x_t = near(FULL, *schedule(t))
    for name in ("eps", "score", "v", "velocity"):
        derived = getattr(PosteriorMean, name)(exact, x_t, t)  # the general formula, from x_hat
        close(getattr(exact, name)(x_t, t), derived, 1e-8)
    times = torch.full((16,), t, dtype=F64)
    for name in ("__call__", "eps", "score", "v", "velocity"):
        close(getattr(exact, name)(x_t, times), getattr(exact, name)(x_t, t), 1e-11)


@schedules
@pytest.mark.parametrize("t", [0.0213, 0.3013, 0.7513])
def test_velocity_carries_the_density(schedule, t):
    """The continuity equation: d log p/dt + div velocity + velocity . score = 0."""
    x_t, h = near(ROUND, *schedule(t), n=1)[0], 1e-6
    rate = (ROUND.log_prob(x_t[None], *schedule(t + h)) - ROUND.log_prob(x_t[None], *schedule(t - h))) / (2 * h)
    exact = ROUND.denoiser(schedule)
    jacobian = torch.autograd.functional.jacobian(lambda x: exact.velocity(x[None], t)[0], x_t)
    carried = jacobian.trace() + exact.velocity(x_t[None], t)[0] @ exact.score(x_t[None], t)[0]
    close(rate[0], -carried, 1e-5)


@schedules
def test_at_t_0_every_view_is_finite_and_the_limit(schedule):
    exact, x = FULL.denoiser(schedule), near(FULL, 1.0, 0.0)
    close(exact(x, 0.0), x, 1e-14)
    close(exact.score(x, 0.0), FULL.score(x))
    close(exact.eps(x, 0.0), torch.zeros_like(x), 0)
    close(exact.v(x, 0.0), torch.zeros_like(x), 0)
    if not isinstance(schedule, VE):  # whose sigma jumps at 0
        close(exact.velocity(x, 0.0), exact.velocity(x, 1e-12), 1e-5)
    mixed = torch.cat([torch.zeros(8, dtype=F64), torch.full((8,), 0.4, dtype=F64)])
    for name in ("__call__", "eps", "score", "v", "velocity"):
        rows = torch.cat([getattr(exact, name)(x[:8], 0.0), getattr(exact, name)(x[8:], 0.4)])
        close(getattr(exact, name)(x, mixed), rows)


def test_velocity_of_vp_at_t_0_is_that_of_its_sde():
    x = near(FULL, 1.0, 0.0)
    close(FULL.denoiser(VP(0.1, 20)).velocity(x, 0.0), -0.1 / 2 * (x + FULL.score(x)))


@pytest.mark.parametrize("schedule", [Cosine(), LinearPath(), SCHEDULES["zero terminal"]], ids=repr)
def test_at_alpha_0_every_view_is_that_of_pure_noise(schedule):
    exact, x_t = FULL.denoiser(schedule), normal(6, 2)
    assert schedule(1.0) == (0.0, 1.0)
    mean = FULL.mean.expand_as(x_t)
    close(exact(x_t, 1.0), mean, 1e-14)
    close(exact.eps(x_t, 1.0), x_t, 1e-14)
    close(exact.score(x_t, 1.0), -x_t, 1e-14)
    close(exact.v(x_t, 1.0), -mean, 1e-14)
    alpha_rate, sigma_rate = schedule.rates(1.0)
    close(exact.velocity(x_t, 1.0), alpha_rate * mean + sigma_rate * x_t, 1e-13)


def test_given_labels_every_view_is_the_class_alone():
    exact, x_t, labels = FULL.denoiser(VP()), near(FULL, *VP()(0.4), n=4), torch.tensor([1, 2, 3, 0])
    for t in (0.4, 0.0, tensor(0.4, 0.0, 0.2, 1.0)):
        for name in ("__call__", "eps", "score", "v", "velocity"):
            together = getattr(exact.given(labels), name)(x_t, t)
            for i, k in enumerate(labels.tolist()):
                alone = (FULL if k == 3 else FULL.given(k)).denoiser(VP())
                time = t if isinstance(t, float) else t[i : i + 1]
                close(together[i], getattr(alone, name)(x_t[i : i + 1], time)[0], 1e-12)


class Steep(Schedule):
    """sigma = t^(1/4): its flow starts with infinite speed."""

    def curves(self, t):
        return torch.ones_like(t), t**0.25

    def curve_rates(self, t):
        return torch.zeros_like(t), t**-0.75 / 4


def test_an_infinite_velocity_is_an_error_that_names_the_first_usable_t():
    with pytest.raises(BookError, match="first usable t is 1e-05"):
        FULL.denoiser(Steep()).velocity(normal(2, 2), 0.0)


# Bad input

EYE = torch.eye(2, dtype=F64)
POINTS = tensor([0.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize(
    "weights, means, covariance, message",
    [
        ([0.5, 0.6], POINTS, [1.0, 1.0], "sum to 1"),
        ([1.5, -0.5], POINTS, [1.0, 1.0], "at least 0"),
        ([math.nan, 1.0], POINTS, [1.0, 1.0], "sum to 1"),
        ([[0.5, 0.5]], POINTS, [1.0, 1.0], r"weights must be \(K,\)"),
        ([1.0], POINTS, [1.0], r"means \(K, D\)"),
        ([0.5, 0.5], tensor(0.0, 1.0), [1.0, 1.0], r"means \(K, D\)"),
        ([0.5, 0.5], POINTS, [1.0], r"covariances must be \(2,\) or \(2, 2, 2\)"),
        ([0.5, 0.5], POINTS, EYE, r"covariances must be \(2,\) or \(2, 2, 2\)"),
        ([0.5, 0.5], POINTS, [1.0, 0.0], "must be positive"),
        ([0.5, 0.5], POINTS, [1.0, -1.0], "must be positive"),
        ([0.5, 0.5], POINTS, [1.0, math.nan], "must be finite"),
        ([0.5, 0.5], POINTS * math.inf, [1.0, 1.0], "must be finite"),
        ([0.5, 0.5], POINTS, torch.stack([EYE, EYE - 0.6]), "must be positive"),
        ([0.5, 0.5], POINTS, torch.stack([EYE, tensor([1.0, 0.5], [0.0, 1.0])]), "symmetric"),
    ],
)
def test_a_mixture_that_is_none_is_refused(weights, means, covariance, message):
    with pytest.raises(BookError, match=message):
        GaussianMixture(weights, means, covariance)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda: FULL.denoise(normal(4, 3), 0.8, 0.6), r"x must be \(B, 2\)"),
        (lambda: FULL.score(normal(2)), r"x must be \(B, 2\)"),
        (lambda: FULL.log_prob(normal(4, 2), 0.0, 0.0), "both 0"),
        (lambda: FULL.score(normal(4, 2), tensor(1, 0, 1, 1), tensor(0, 0, 1, 1)), "both 0"),
        (lambda: FULL.posterior(normal(2), 1.0, 0.0), "single point"),
        (lambda: FULL.denoise(normal(4, 2), 0.8, 0.6, labels=4), "from 0 to 2, or 3 for no condition"),
        (lambda: FULL.denoise(normal(4, 2), 0.8, 0.6, labels=-1), "from 0 to 2, or 3 for no condition"),
        (lambda: FULL.denoise(normal(4, 2), 0.8, 0.6, labels=torch.tensor([0, 1])), "one integer, or 4"),
        (lambda: FULL.denoise(normal(4, 2), 0.8, 0.6, labels=0.5), "one integer"),
        (lambda: FULL.given(3), "numbered 0 to 2"),
        (lambda: FULL.given([]), "numbered 0 to 2"),
    ],
)
def test_a_question_without_an_answer_is_refused(ask, message):
    with pytest.raises(BookError, match=message):
        ask()


# The empirical distribution

DATA = normal(40, 2, seed=8)


@schedules
@pytest.mark.parametrize("t", [0.3, 0.75, 1.0])
def test_the_empirical_denoiser_is_that_of_a_mixture_of_points(schedule, t):
    n = len(DATA)
    points = GaussianMixture(torch.full((n,), 1 / n, dtype=F64), DATA, torch.full((n,), 1e-16)).denoiser(schedule)
    empirical = EmpiricalDenoiser(DATA, schedule)
    x_t = schedule(t)[0] * DATA[:16] + schedule(t)[1] * normal(16, 2, seed=9)
    for name in ("__call__", "eps", "score", "v", "velocity"):
        close(getattr(empirical, name)(x_t, t), getattr(points, name)(x_t, t), 1e-9)
    times = torch.full((16,), t, dtype=F64)
    close(empirical(x_t, times), empirical(x_t, t), 1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_the_empirical_denoiser_is_a_softmax_over_the_data_in_chunks_of_any_size(chunk):
    data, x_t = normal(40, 1, 3, 4, seed=10), normal(6, 1, 3, 4, seed=11)
    for t in (0.01, 0.2, 0.9):
        alpha, sigma = Cosine()(t)
        distance = torch.cdist(x_t.flatten(1), alpha * data.flatten(1))
        expected = torch.softmax(-(distance**2) / (2 * sigma**2), -1) @ data.flatten(1)
        close(EmpiricalDenoiser(data, Cosine(), chunk)(x_t, t), expected.reshape(x_t.shape), 1e-9)


def test_the_ends_of_the_empirical_denoiser():
    empirical, x_t = EmpiricalDenoiser(DATA, Cosine(), chunk=16), normal(3, 2)
    close(empirical(x_t, 0.0), x_t, 0)
    close(empirical(x_t, 1.0), DATA.mean(0).expand(3, 2), 1e-14)
    mixed = empirical(x_t, tensor(0.0, 0.5, 1.0))
    close(mixed, torch.cat([x_t[:1], empirical(x_t[1:2], 0.5), DATA.mean(0)[None]]), 1e-13)
    for view in (empirical.eps, empirical.score, empirical.velocity):
        with pytest.raises(BookError, match="first usable t"):
            view(x_t, 0.0)


@pytest.mark.parametrize("t", [1e-4, 1e-12, 1e-200])
def test_with_little_noise_the_empirical_denoiser_returns_the_nearest_example(t):
    x_t = DATA[:5] + 1e-3
    nearest = DATA[torch.cdist(x_t, DATA).argmin(-1)]
    close(EmpiricalDenoiser(DATA, LinearPath(), chunk=16)(x_t, t), nearest, 1e-12)


def test_the_empirical_denoiser_answers_in_the_dtype_of_x_t():
    x_t = normal(3, 2).float()
    value = EmpiricalDenoiser(DATA.float(), VP())(x_t, 0.4)
    assert value.dtype == torch.float32
    close(value.double(), EmpiricalDenoiser(DATA.float().double(), VP())(x_t.double(), 0.4), 1e-6)


def test_ten_thousand_images_are_read_in_chunks():
    data = torch.zeros(10_000, 784)
    data[1234] = 1.0
    value = EmpiricalDenoiser(data, LinearPath())(torch.full((2, 784), 0.9), 0.1)
    close(value, torch.ones(2, 784), 1e-6)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda: EmpiricalDenoiser(torch.zeros(5, 2, dtype=torch.uint8), VP()), "floating point"),
        (lambda: EmpiricalDenoiser(torch.zeros(0, 2), VP()), r"\(N, ...\)"),
        (lambda: EmpiricalDenoiser(torch.zeros(5), VP()), r"\(N, ...\)"),
        (lambda: EmpiricalDenoiser(DATA, VP())(normal(4, 3), 0.5), "x_t must be"),
    ],
)
def test_data_that_do_not_fit_are_refused(ask, message):
    with pytest.raises(BookError, match=message):
        ask()


def test_the_empirical_denoiser_takes_no_condition():
    with pytest.raises(TypeError, match="takes no condition"):
        EmpiricalDenoiser(DATA, VP()).given(torch.tensor([0]))
