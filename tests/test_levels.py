"""The loss at each noise level: against a loop, against the training loss, and against the oracle's closed form."""

import statistics

import pytest
import torch
from torch import nn

from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.levels import losses_at
from diffusion_book.objectives import denoising_loss
from diffusion_book.predictions import EPS, V, X
from diffusion_book.schedules import VE, VP, Cosine, Discrete, LinearPath, betas

F64 = torch.float64
TIMES = [0.02, 0.3, 0.7, 0.95]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def close(value, expected, tolerance=1e-12):
    torch.testing.assert_close(
        torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64), rtol=tolerance, atol=0
    )


class Wave(nn.Module):
    """A network that hears time and label."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, x, t, cond=None):
        label = 0 if cond is None else cond.reshape(-1, 1, 1, 1)
        return self.weight * torch.sin(2 * x + t[:, None, None, None] + label)


@pytest.mark.parametrize("prediction", [X, EPS, V], ids=lambda prediction: prediction.name)
@pytest.mark.parametrize("schedule", [VP(), VE(), LinearPath()], ids=str)
def test_losses_are_those_of_a_loop_over_images(prediction, schedule):
    denoiser, x, eps = Denoiser(Wave(), schedule, prediction), normal(7, 1, 3, 3), normal(7, 1, 3, 3, seed=1)
    found = losses_at(denoiser, x, TIMES, eps, batch=3)
    assert found.times.tolist() == TIMES
    for i, t in enumerate(TIMES):
        alpha, sigma = schedule(t)
        of_x, of_eps = [], []
        for image, noise in zip(x[:, None], eps[:, None], strict=True):
            x_t = alpha * image + sigma * noise
            of_x.append((denoiser(x_t, t) - image).square().mean().item())
            of_eps.append((denoiser.eps(x_t, t) - noise).square().mean().item())
        close(found.x[i], statistics.mean(of_x))
        close(found.x_error[i], statistics.stdev(of_x) / 7**0.5)
        close(found.eps[i], statistics.mean(of_eps), 1e-9)
        close(found.eps_error[i], statistics.stdev(of_eps) / 7**0.5, 1e-9)


def test_it_is_the_training_loss_of_networks_that_predict_x_and_eps():
    x, eps = normal(9, 1, 3, 3), normal(9, 1, 3, 3, seed=1)
    for prediction, name in ((X, "x"), (EPS, "eps")):
        denoiser = Denoiser(Wave(), Cosine(), prediction)
        loss = [denoising_loss(denoiser, x, torch.full((9,), t, dtype=F64), eps).mean().item() for t in TIMES]
        close(getattr(losses_at(denoiser, x, TIMES, eps), name), loss, 1e-10)


def test_the_oracle_loses_the_posterior_variance():
    """x ~ N(m, v): |x_hat - x|^2 is on average v sigma^2/(alpha^2 v + sigma^2), and no denoiser loses less."""
    v, schedule, n = 0.25, VP(), 20_000
    mixture = GaussianMixture([1.0], torch.tensor([[0.5, -0.5]]), torch.tensor([v]))
    x = torch.tensor([0.5, -0.5], dtype=F64) + v**0.5 * normal(n, 2)
    found = losses_at(mixture.denoiser(schedule), x, TIMES, normal(n, 2, seed=1), batch=n)
    for i, t in enumerate(TIMES):
        alpha, sigma = schedule(t)
        expected = v * sigma**2 / (alpha**2 * v + sigma**2)
        assert abs(found.x[i] - expected) < 4 * found.x_error[i]
        assert abs(found.eps[i] - (alpha / sigma) ** 2 * expected) < 4 * found.eps_error[i]
        # the mean of two squared normals over n images: variance 4 v^2 / (4 n)
        close(found.x_error[i], expected / n**0.5, 0.05)
        assert abs(2 * found.x[i] - expected) > 10 * found.x_error[i]  # summed over the dimensions, not averaged


def test_batches_labels_and_repetition_change_nothing():
    denoiser, labels = Denoiser(Wave(), VP(), V), torch.arange(7) % 3
    x, eps = normal(7, 1, 3, 3), normal(7, 1, 3, 3, seed=1)
    whole = losses_at(denoiser, x, TIMES, eps, labels)
    for part in (losses_at(denoiser, x, TIMES, eps, labels, batch=2), losses_at(denoiser.given(labels), x, TIMES, eps)):
        close(part.x, whole.x)
        close(part.eps_error, whole.eps_error)
    assert (losses_at(denoiser, x, TIMES, eps).x - whole.x).abs().min() > 1e-4


def test_no_gradient_is_kept_and_single_precision_stays():
    net = Wave().float()
    found = losses_at(Denoiser(net, VP(), EPS), normal(4, 1, 3, 3).float(), TIMES, normal(4, 1, 3, 3, seed=1).float())
    assert not found.x.requires_grad
    assert found.x.dtype == found.eps_error.dtype == F64


def test_where_the_signal_is_gone_the_noise_is_known_exactly():
    schedule = Discrete(betas.zero_terminal(betas.scaled_linear(50)))
    found = losses_at(Denoiser(Wave(), schedule, V), normal(4, 1, 3, 3), [1.0], normal(4, 1, 3, 3, seed=1))
    assert found.x > 0
    assert found.eps == 0


def test_what_cannot_be_measured_is_refused():
    denoiser, x = Denoiser(Wave(), VP(), EPS), normal(4, 1, 3, 3)
    with pytest.raises(BookError, match="nothing is left to predict at t = 0"):
        losses_at(denoiser, x, [0.5, 0.0], x)
    with pytest.raises(BookError, match="noise of their shape"):
        losses_at(denoiser, x, TIMES, x[:2])
    with pytest.raises(BookError, match="at least 2 images"):
        losses_at(denoiser, x[:1], TIMES, x[:1])
