"""What is minimized, by hand and against the oracle, and the laws of its times."""

import math

import pytest
import torch
from torch import nn

from diffusion_book import predictions
from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.objectives import LogitNormal, Steps, Uniform, denoising_loss, spread
from diffusion_book.predictions import EPS, SCORE, VELOCITY, V, X, edm, loss_scale
from diffusion_book.schedules import EDM, VP, Cosine, LinearPath

F64 = torch.float64
PREDICTIONS = {p.name: p for p in (X, EPS, V, VELOCITY, SCORE, edm(0.5))}
predicted = pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS.keys())


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def close(value, expected, tolerance=1e-12):
    value, expected = torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64)
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


class Function(nn.Module):
    """A function of (x, t) as a float64 network."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, x, t, cond=None):
        return self.weight * self.function(x, t)


# The loss


def target_by_hand(name, x, eps, t):
    """Targets on the linear path, alpha = 1 - t and sigma = t."""
    alpha, sigma, sd = 1 - t, t, 0.5
    scale = math.sqrt(alpha**2 * sd**2 + sigma**2)
    return {
        "x": x,
        "eps": eps,
        "v": alpha * eps - sigma * x,
        "velocity": eps - x,
        "score": -eps / sigma,
        # Karras et al.: (x - c_skip x_t)/c_out, here for alpha x in place of x
        "edm(0.5)": (x - alpha * sd**2 / scale**2 * (alpha * x + sigma * eps)) * scale / (sigma * sd),
    }[name]


@predicted
@pytest.mark.parametrize("sigma_data", [1.0, 0.5])
def test_loss_is_the_mean_square_of_output_minus_target_of_each_row(prediction, sigma_data):
    x, eps, t = normal(3, 2, 2), normal(3, 2, 2, seed=1), torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    net = Function(lambda x, t: torch.sin(x) + t[:, None, None])
    loss = denoising_loss(Denoiser(net, LinearPath(), prediction, sigma_data), x, t, eps)
    assert loss.shape == (3,)
    for i, time in enumerate(t.tolist()):
        x_t = (1 - time) * x[i] + time * eps[i]
        output = torch.sin(x_t / math.sqrt((1 - time) ** 2 * sigma_data**2 + time**2)) + time
        close(loss[i], (output - target_by_hand(prediction.name, x[i], eps[i], time)).square().sum() / 4)


@pytest.mark.parametrize("prediction", [X, EPS, V, VELOCITY], ids=lambda p: p.name)
def test_weight_multiplies_the_error_of_x_whatever_the_row(prediction):
    x, eps, t = normal(3, 2), normal(3, 2, seed=1), torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    denoiser = Denoiser(Function(lambda x, t: torch.sin(x)), VP(), prediction)
    weighted = denoising_loss(denoiser, x, t, eps, lambda level: level + 9)
    alpha, sigma = VP()(t)
    x_hat = denoiser(alpha[:, None] * x + sigma[:, None] * eps, t)
    close(weighted, (2 * torch.log(alpha / sigma) + 9) * (x_hat - x).square().mean(1), 1e-9)
    simple, plain = denoising_loss(denoiser, x, t, eps, predictions.snr), denoising_loss(denoiser, x, t, eps)
    assert (prediction is EPS) == torch.allclose(simple, plain)  # of the rows only eps weighs by the SNR


def test_loss_has_a_gradient_and_the_dtype_of_the_data():
    net = Function(lambda x, t: x).float()
    loss = denoising_loss(
        Denoiser(net, VP(), V), torch.zeros(2, 3), torch.tensor([0.1, 0.9]), torch.ones(2, 3), torch.exp
    )
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert net.weight.grad.abs() > 0


@pytest.mark.parametrize("t, eps", [(torch.rand(3), torch.zeros(2, 4)), (torch.rand(2, 1), torch.zeros(2, 4))])
def test_shapes_that_do_not_fit_are_refused(t, eps):
    with pytest.raises(BookError, match="do not fit: one t a row"):
        denoising_loss(Denoiser(Function(lambda x, t: x), VP(), EPS), torch.zeros(2, 4), t, eps)
    with pytest.raises(BookError, match="do not fit"):
        denoising_loss(
            Denoiser(Function(lambda x, t: x), VP(), EPS), torch.zeros(2, 4), torch.rand(2), torch.zeros(2, 1)
        )


# The oracle minimizes it

MIXTURE = GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.09, 0.25])


def oracle(schedule, prediction, moved=lambda x_t: 0.0):
    """A network that says the expected target of the mixture, with x_hat moved by a function of x_t."""

    def output(x, t):
        alpha, sigma = schedule(t)
        x_t = x * (alpha**2 + sigma**2).sqrt()[:, None]
        x_hat = MIXTURE.denoise(x_t, alpha, sigma) + moved(x_t)
        return prediction.target(schedule, t, x_hat, (x_t - alpha[:, None] * x_hat) / sigma[:, None])

    return Denoiser(Function(output), schedule, prediction)


def posterior_variance(alpha, sigma):
    """E Var(x | x_t) by quadrature over x and x_t."""
    x = torch.linspace(-5, 5, 801, dtype=F64)
    x_t = torch.linspace(-5, 5, 801, dtype=F64) * max(1.0, sigma)
    joint = MIXTURE.log_prob(x[:, None]).exp()[:, None] * torch.exp(-((x_t - alpha * x[:, None]) ** 2) / (2 * sigma**2))
    total, first, second = (joint.T @ torch.stack([torch.ones_like(x), x, x**2], 1)).T
    return ((second - first**2 / total).sum() / total.sum()).item()


@pytest.mark.parametrize("schedule", [Cosine(), LinearPath(), EDM(3.0)], ids=str)
@pytest.mark.parametrize("t", [0.2, 0.5, 0.8])
def test_the_oracle_leaves_the_posterior_variance_and_every_change_adds_its_own_square(schedule, t):
    n = 20_000
    alpha, sigma = schedule(t)
    x, eps, times = MIXTURE.sample(n, 0), normal(n, 1, seed=1), torch.full((n,), t, dtype=F64)
    best = denoising_loss(oracle(schedule, X), x, times, eps)
    assert abs(best.mean() - posterior_variance(alpha, sigma)) < 4 * best.std() / math.sqrt(n)
    for change in (lambda x_t: 0.3, lambda x_t: 0.2 * x_t, torch.sin):
        square = change(alpha * x + sigma * eps) ** 2 if callable(change) else change
        extra = denoising_loss(oracle(schedule, X, change), x, times, eps) - best
        assert abs(extra.mean() - torch.as_tensor(square, dtype=F64).mean()) < 4 * extra.std() / math.sqrt(n)
        assert extra.mean() > 4 * extra.std() / math.sqrt(n)


def test_the_score_of_undiffused_data_is_not_the_minimum():
    """The best guess without noise, x_t/alpha, misses the posterior variance by more than ten standard errors."""
    n, t, schedule = 20_000, 0.5, Cosine()
    alpha, sigma = schedule(t)
    x, eps, times = MIXTURE.sample(n, 0), normal(n, 1, seed=1), torch.full((n,), t, dtype=F64)
    wrong = denoising_loss(Denoiser(Function(lambda x, t: x / alpha), schedule, X), x, times, eps)
    assert wrong.mean() - posterior_variance(alpha, sigma) > 10 * wrong.std() / math.sqrt(n)


@predicted
def test_under_every_prediction_the_loss_is_that_of_x_times_its_scale(prediction):
    schedule, t = LinearPath(), torch.linspace(0.05, 0.95, 50, dtype=F64)
    x, eps = MIXTURE.sample(50, 0), normal(50, 1, seed=1)
    moved = oracle(schedule, prediction, torch.cos)
    plain = denoising_loss(oracle(schedule, X, torch.cos), x, t, eps)
    close(denoising_loss(moved, x, t, eps), loss_scale(prediction, schedule, t) * plain, 1e-9)


# The laws of time


def test_uniform_runs_from_low_to_high():
    u = torch.tensor([0.0, 0.25, 1.0], dtype=F64)
    close(Uniform(0.2, 0.6)(u), [0.2, 0.3, 0.6])
    close(Uniform()(u), [1e-5, 0.25 + 0.75e-5, 1.0])


def test_logit_normal_has_the_quantiles_of_its_name():
    below_one_deviation = 0.5 * math.erfc(1 / math.sqrt(2))  # the normal law below -1
    u = torch.tensor([below_one_deviation, 0.5, 1 - below_one_deviation], dtype=F64)
    for mean, std in [(0.0, 1.0), (-0.5, 2.0)]:
        close(torch.logit(LogitNormal(mean, std)(u)), [mean - std, mean, mean + std], 1e-9)


@pytest.mark.parametrize("K", [10, 1000])
def test_steps_hits_every_t_k_equally_often_and_nothing_else(K):
    u = (torch.arange(7 * K, dtype=F64) + 0.5) / (7 * K)
    times, counts = Steps(K)(u).unique(return_counts=True)
    assert torch.equal(times, torch.arange(1, K + 1, dtype=F64) / K)
    assert (counts == 7).all()
    close(Steps(K)(torch.tensor([1e-9, 1 - 1e-9, 1.0], dtype=F64)), [1 / K, 1.0, 1.0], 0)


@pytest.mark.parametrize("start", [0.0, 0.37, 0.9999])
def test_spread_covers_the_interval_evenly_from_any_start(start):
    u = spread(torch.tensor(start, dtype=F64), 8)
    assert u.shape == (8,)
    assert ((u > 0) & (u < 1)).all()
    ordered = u.sort().values
    gaps = torch.cat([ordered.diff(), (ordered[0] + 1 - ordered[-1])[None]])
    close(gaps, torch.full((8,), 1 / 8), 1e-5)
    close(u[0], max(start, 1e-6))


def test_each_number_of_spread_is_uniform():
    starts = (torch.arange(1000, dtype=F64) + 0.5) / 1000
    u = torch.stack([spread(start, 4) for start in starts])
    close(u.sort(0).values, starts[:, None].expand(1000, 4), 1e-9)
