"""The four objectives against each other: on Gaussian data every expectation is known, and their optima are one."""

import pytest
import torch

from diffusion_book import divergence, predictions, score_matching
from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.nets.mlp import MLP, MLPConfig
from diffusion_book.objectives import denoising_loss
from diffusion_book.schedules import VE
from tests.stepping import close, normal

MIXTURE = GaussianMixture([0.4, 0.6], [[1.5, 0.0], [-1.0, 0.5]], [0.7, 0.4])
MODELS = (lambda x: -0.8 * x + 0.1, lambda x: -torch.tanh(x) - 0.3 * x, lambda x: MIXTURE.score(x) * 0.9)


def within(difference, sigmas=4.0):
    """The mean of paired differences is 0 within so many standard errors."""
    return abs(difference.mean().item()) < sigmas * difference.std().item() / len(difference) ** 0.5


def test_values_of_a_linear_model_by_hand():
    x, v = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    score = lambda x: x @ torch.tensor([[-2.0, 1.0], [0.0, -3.0]], dtype=torch.float64)  # noqa: E731, s = (-2, -5)
    truth = torch.tensor([[-1.0, -2.0]], dtype=torch.float64)
    close(score_matching.explicit(score, x, truth), [(1 + 9) / 2])
    close(score_matching.implicit(score, x), [(4 + 25) / 2 - 5])
    close(
        score_matching.sliced(score, x, v),
        [(4 + 25) / 2 + v[0] @ torch.tensor([[-2.0, 0.0], [1.0, -3.0]]).double() @ v[0]],
    )
    eps = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    at = x * 0.8 + 0.5 * eps  # (1.05, 1.1), where s = (-2.1, -2.25)
    close(score(at), [[-2.1, -2.25]])
    close(score_matching.denoising(score, x, eps, 0.5, 0.8), [((-2.1 + 1.0) ** 2 + (-2.25 - 2.0) ** 2) / 2])


def test_implicit_is_explicit_but_for_a_constant_that_no_model_changes():
    x = MIXTURE.sample(40_000, seed=0)
    truth = MIXTURE.score(x)
    constant = truth.square().sum(1) / 2
    for model in MODELS:
        explicit, implicit = score_matching.explicit(model, x, truth), score_matching.implicit(model, x)
        assert within(explicit - implicit - constant)
        dropped = explicit - model(x).square().sum(1) / 2 - constant  # the divergence forgotten
        assert not within(dropped, 10)


def test_sliced_has_the_mean_of_implicit_and_not_with_a_probe_of_the_wrong_variance():
    x = MIXTURE.sample(20_000, seed=1)
    v = divergence.gaussian(torch.Generator().manual_seed(0))(x)
    for model in MODELS:
        implicit = score_matching.implicit(model, x)
        assert within(score_matching.sliced(model, x, v) - implicit)
        assert not within(score_matching.sliced(model, x, 1.5 * v) - implicit, 10)


def test_denoising_is_explicit_on_the_noised_data_but_for_a_constant():
    n, alpha, sigma = 40_000, 0.9, 0.6
    x, eps = MIXTURE.sample(n, seed=2), normal(n, 2, seed=3)
    x_t = alpha * x + sigma * eps
    truth = MIXTURE.score(x_t, alpha, sigma)
    models = [lambda x: -0.8 * x + 0.1, lambda x: -torch.tanh(x), lambda x: MIXTURE.score(x, alpha, sigma)]
    differences = [
        score_matching.denoising(m, x, eps, sigma, alpha) - score_matching.explicit(m, x_t, truth) for m in models
    ]
    for difference in differences[1:]:  # the constant drops out of a difference of differences
        assert within(difference - differences[0])
    for target in (eps / sigma, -eps, -eps / sigma**2):  # its sign turned, the division forgotten, done twice
        wrong = [score_matching.explicit(m, x_t, target) - score_matching.explicit(m, x_t, truth) for m in models]
        assert not within(wrong[1] - wrong[0], 10)


@pytest.mark.parametrize("name", ["implicit", "sliced", "denoising"])
def test_all_find_the_score_of_the_same_noised_data(name):
    """s = -a (x - m) on N(1.2, 0.5), noised with sigma = 0.7: a = 1/(0.5 + 0.49), not 1/0.5."""
    n, sigma = 60_000, 0.7
    x, eps = 1.2 + 0.5**0.5 * normal(n, 1, seed=4), normal(n, 1, seed=5)
    x_t = x + sigma * eps
    a, m = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.0, 1.0))
    optimizer = torch.optim.LBFGS([a, m], lr=0.5, max_iter=60, line_search_fn="strong_wolfe")
    v = divergence.rademacher(torch.Generator().manual_seed(1))(x)

    def score(x):
        return -a * (x - m)

    objectives = {
        "implicit": lambda: score_matching.implicit(score, x_t),
        "sliced": lambda: score_matching.sliced(score, x_t, v),
        "denoising": lambda: score_matching.denoising(score, x, eps, sigma),
    }

    def closure():
        optimizer.zero_grad()
        loss = objectives[name]().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(a.item() - 1 / 0.99) < 4 * (1 / 0.99) * (5 / n) ** 0.5
    assert abs(a.item() - 1 / 0.5) > 0.5
    assert abs(m.item() - 1.2) < 4 * (2 / n) ** 0.5


def test_ncsns_weight_makes_every_level_the_loss_of_the_noise():
    torch.manual_seed(0)
    net = MLP(MLPConfig(width=16, depth=2)).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    denoiser = Denoiser(net, VE(), predictions.EPS)
    x, eps, t = normal(8, 2), normal(8, 2, seed=1), torch.linspace(0.05, 0.95, 8, dtype=torch.float64)
    ncsn = score_matching.ncsn(denoiser, x, t, eps)
    close(ncsn, denoising_loss(denoiser, x, t, eps) * 2 / 2)  # the mean of two entries times 2, halved
    _, sigma = denoiser.schedule(t)
    each = torch.stack(
        [
            score_matching.denoising(
                lambda y, i=i: denoiser.score(y, t[i].item()), x[i : i + 1], eps[i : i + 1], sigma[i].item()
            )[0]
            for i in range(8)
        ]
    )
    close(ncsn, sigma**2 * each, 1e-9)


def test_denoising_needs_noise():
    with pytest.raises(BookError, match="needs noise"):
        score_matching.denoising(lambda x: x, normal(2, 2), normal(2, 2), 0.0)
