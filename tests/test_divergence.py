"""Divergences against matrices whose trace is known, and the variance of both kinds of probe against its formula."""

import pytest
import torch

from diffusion_book import divergence
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from tests.stepping import close, normal

A = torch.tensor([[1.3, 0.7, -0.2], [0.1, -0.9, 0.5], [2.0, 0.3, 0.4]], dtype=torch.float64)
MIXTURE = GaussianMixture([0.4, 0.6], [[1.0, 0.0, -1.0], [-1.0, 0.5, 0.3]], [0.7, 1.9])


def linear(x):
    return x @ A.T


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_exact_divergence_of_a_linear_and_of_a_curved_field():
    x = normal(5, 3)
    value, div = divergence.exact(linear, x)
    close(value, x @ A.T)
    close(div, [A.trace().item()] * 5)
    _, div = divergence.exact(lambda x: torch.sin(x) * x[:, :1], x)  # d/dx_0 (x_0 sin x_0) = sin x_0 + x_0 cos x_0
    close(div, x[:, 0].sin() + (x[:, :1] * x.cos()).sum(1))


def test_exact_divergence_of_images_and_of_a_constant_field():
    x = normal(2, 1, 2, 2)
    close(divergence.exact(lambda x: x**3, x)[1], 3 * (x**2).sum((1, 2, 3)))
    close(divergence.exact(torch.ones_like, x)[1], torch.zeros(2))


def test_exact_divergence_of_the_mixtures_score_is_the_laplacian_of_its_log_density():
    x, h = normal(4, 3, seed=1), 1e-4
    laplacian = sum(
        (MIXTURE.log_prob(x + h * e) - 2 * MIXTURE.log_prob(x) + MIXTURE.log_prob(x - h * e)) / h**2
        for e in torch.eye(3, dtype=torch.float64)
    )
    torch.testing.assert_close(divergence.exact(MIXTURE.score, x)[1], laplacian, rtol=1e-6, atol=1e-6)


SYMMETRIC = (A + A.T) / 2
VARIANCES = {
    "gaussian": (divergence.gaussian, 2 * SYMMETRIC.square().sum().item()),
    "rademacher": (divergence.rademacher, 2 * (SYMMETRIC.square().sum() - SYMMETRIC.diag().square().sum()).item()),
}


@pytest.mark.parametrize("probe, variance", VARIANCES.values(), ids=VARIANCES.keys())
def test_hutchinsons_estimate_is_unbiased_with_the_variance_of_its_probes(probe, variance):
    n = 4000
    _, estimates = divergence.hutchinson(probe(generator()))(linear, normal(n, 3))
    error = (variance / n) ** 0.5
    assert abs(estimates.mean().item() - A.trace().item()) < 4 * error
    # the variance of a sample variance: (kurtosis - 1)/n of its square, at most about 14/n for these quadratic forms
    assert abs(estimates.var().item() / variance - 1) < 4 * (14 / n) ** 0.5


def test_a_probe_of_the_wrong_variance_misses_by_more_than_ten_standard_errors():
    draw, B = divergence.gaussian(generator()), A + 3 * torch.eye(3, dtype=torch.float64)
    _, estimates = divergence.hutchinson(lambda x: 1.5 * draw(x))(lambda x: x @ B.T, normal(1000, 3))
    error = estimates.std().item() / 1000**0.5
    assert abs(estimates.mean().item() - 1.5**2 * B.trace().item()) < 4 * error
    assert abs(estimates.mean().item() - B.trace().item()) > 10 * error


def test_a_fixed_probe_gives_the_same_answer_twice_and_must_fit():
    v, x = normal(5, 3, seed=2), normal(5, 3)
    estimate = divergence.hutchinson(divergence.fixed(v))
    close(estimate(linear, x)[1], (v * (v @ A.T)).sum(1))
    close(estimate(linear, x)[1], estimate(linear, x)[1], 0)
    with pytest.raises(BookError, match=r"probe is \(5, 3\)"):
        estimate(linear, normal(4, 3))


def test_both_can_be_differentiated_in_training_and_keep_nothing_otherwise():
    weight = A.clone().requires_grad_()
    x, v = normal(6, 3), normal(6, 3, seed=3)
    for div, gradient in (
        (divergence.exact, 6 * torch.eye(3, dtype=torch.float64)),
        (divergence.hutchinson(divergence.fixed(v)), v.T @ v),
    ):
        (grad,) = torch.autograd.grad(div(lambda x: x @ weight.T, x)[1].sum(), weight)
        close(grad, gradient)
        with torch.no_grad():
            value, trace = div(lambda x: x @ weight.T, x)
        assert not value.requires_grad
        assert not trace.requires_grad


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(BookError, match="as many entries"):
        divergence.exact(lambda x: x[:, :1], normal(2, 3))
