"""The numbered equations of chapter 3, each against a derivation of its own."""

import math

import pytest
import torch
from torch import nn

from diffusion_book import grids, metrics
from diffusion_book.checks.ch03 import TARGET, spread_error
from diffusion_book.denoiser import Denoiser
from diffusion_book.exact import GaussianMixture
from diffusion_book.figures_ch03 import feature_maps, strips, unet_figure
from diffusion_book.levels import losses_at
from diffusion_book.nets.blocks import Attention, LinearAttention, ResidualBlock
from diffusion_book.nets.embedding import time_features
from diffusion_book.nets.unet import UNet, UNetConfig
from diffusion_book.objectives import denoising_loss
from diffusion_book.posterior import posterior
from diffusion_book.predictions import EPS, VELOCITY
from diffusion_book.samplers import ancestral, ancestral_beta
from diffusion_book.schedules import VE, Cosine, Discrete, LinearPath, betas
from diffusion_book.training import averaging_weight

F64 = torch.float64
CONFIG = UNetConfig(widths=(8, 16), blocks=1, attention=(), heads=2, embedding=16, groups=4)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def close(value, expected, tolerance=1e-12):
    torch.testing.assert_close(
        torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64), rtol=tolerance, atol=tolerance
    )


def stirred(module, seed=0):
    generator, module = torch.Generator().manual_seed(seed), module.double()
    with torch.no_grad():
        for value in module.parameters():
            value += 0.2 * torch.randn(value.shape, generator=generator, dtype=F64)
    return module


class Wave(nn.Module):
    """An answer that depends on x and on the time it is told."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.5, dtype=F64))

    def forward(self, x, t, cond=None):
        return torch.sin(self.weight * x + 3 * t.reshape(-1, *[1] * (x.ndim - 1)))


@pytest.mark.equation("eq-ddpm-loss")
def test_the_simple_loss_by_hand():
    chain = Discrete(betas.linear(50, 1e-3, 0.3))
    x, eps, k = normal(6, 3), normal(6, 3, seed=1), torch.tensor([1, 2, 10, 30, 49, 50])
    found = denoising_loss(Denoiser(Wave(), chain, EPS), x, k / 50, eps)
    for row in range(6):
        alpha_bar = math.prod(1 - b for b in betas.linear(50, 1e-3, 0.3)[: k[row]].tolist())
        x_k = math.sqrt(alpha_bar) * x[row] + math.sqrt(1 - alpha_bar) * eps[row]
        error = torch.sin(1.5 * x_k + 3 * k[row] / 50) - eps[row]
        close(found[row], sum(e**2 for e in error.tolist()) / 3, 1e-6)


@pytest.mark.equation("eq-ddpm-step")
@pytest.mark.parametrize("step, large", [(ancestral, False), (ancestral_beta, True)], ids=["small", "large"])
def test_the_step_is_that_of_the_paper(step, large):
    b = betas.linear(40, 1e-3, 0.3)
    chain = Discrete(b)
    denoiser = Denoiser(Wave(), chain, EPS)
    for k in (1, 2, 17, 40):
        x, z = normal(5, 2, seed=k), normal(5, 2, seed=k + 100)
        now, before = (1 - b[:k]).prod(), (1 - b[: k - 1]).prod()
        eps_hat = torch.sin(1.5 * x + 3 * k / 40)
        mean = (x - b[k - 1] / (1 - now).sqrt() * eps_hat) / (1 - b[k - 1]).sqrt()
        variance = b[k - 1] if large else (1 - before) / (1 - now) * b[k - 1]
        expected = mean + (variance.sqrt() * z if k > 1 else 0)
        close(step(denoiser, x, k / 40, (k - 1) / 40, {}, lambda z=z: z).detach(), expected, 1e-6)


@pytest.mark.equation("eq-total-variance")
@pytest.mark.parametrize("V", [1e-12, 0.25, 1.0, 4.0])
def test_the_variance_of_the_step_back_for_gaussian_data(V):
    """x, x_s, x_t are jointly Gaussian: the conditional variance from their covariances, without the posterior."""
    chain = Discrete(betas.linear(30, 1e-3, 0.3))
    for k in (2, 10, 30):
        t, s = k / 30, (k - 1) / 30
        (alpha_t, sigma_t), (alpha_s, sigma_s) = chain(t), chain(s)
        of_s, of_t = alpha_s**2 * V + sigma_s**2, alpha_t**2 * V + sigma_t**2
        expected = of_s - (alpha_t / alpha_s * of_s) ** 2 / of_t
        _, c_0, beta_tilde, beta = posterior(chain, t, s)
        close(beta_tilde + c_0**2 * V * sigma_t**2 / of_t, expected, 1e-9)
        if V == 1.0:
            close(expected, beta, 1e-12)
        if V < 1e-10:
            close(expected, beta_tilde, 1e-9)
        assert (expected > beta) == (V > 1) or V == 1.0


@pytest.mark.equation("eq-time-features")
def test_time_features_by_hand():
    t, width = torch.tensor([0.0, 0.001, 0.37, 1.0], dtype=F64), 12
    found = time_features(t, width)
    for row, time in enumerate(t.tolist()):
        for i in range(6):
            angle = 1000 * time / 10_000 ** (2 * i / 12)
            close(found[row, i], math.cos(angle))
            close(found[row, 6 + i], math.sin(angle))


@pytest.mark.equation("eq-residual-block")
@pytest.mark.parametrize("outputs", [8, 12])
def test_a_residual_block_by_hand(outputs):
    block = stirred(ResidualBlock(8, outputs, CONFIG)).eval()
    x, vector = normal(2, 8, 5, 4), normal(2, 16, seed=1)

    def norm(h, layer):
        B, C, H, W = h.shape
        grouped = h.reshape(B, 4, -1)
        grouped = (grouped - grouped.mean(2, keepdim=True)) / (
            grouped.var(2, unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        return grouped.reshape(h.shape) * layer.weight[:, None, None] + layer.bias[:, None, None]

    def convolve(h, layer):
        padded, (H, W) = nn.functional.pad(h, (1, 1, 1, 1)), h.shape[2:]
        return layer.bias[:, None, None] + sum(
            torch.einsum("oc,bchw->bohw", layer.weight[:, :, i, j], padded[:, :, i : i + H, j : j + W])
            for i in range(3)
            for j in range(3)
        )

    def silu(h):
        return h / (1 + torch.exp(-h))

    h = convolve(silu(norm(x, block.norm1)), block.conv1)
    both = vector @ block.modulation.weight.T + block.modulation.bias
    a, b = both[:, :outputs, None, None], both[:, outputs:, None, None]
    change = convolve(silu((1 + a) * norm(h, block.norm2) + b), block.conv2)
    skip = x
    if outputs != 8:
        skip = torch.einsum("oc,bchw->bohw", block.skip.weight[:, :, 0, 0], x) + block.skip.bias[:, None, None]
    close(block(x, vector).detach(), (skip + change).detach(), 1e-10)


def _tokens(layer, x):
    """(q, k, v) of each head, by hand: a list of (N, d) triples for the first image."""
    h = layer.norm(x)[0].flatten(1).T  # (N, C)
    q, k, v = (h @ layer.qkv.weight[:, :, 0, 0].T + layer.qkv.bias).split(8, 1)
    return [(q[:, part], k[:, part], v[:, part]) for part in (slice(0, 4), slice(4, 8))]


def _out(layer, x, heads):
    told = torch.cat(heads, 1) @ layer.out.weight[:, :, 0, 0].T + layer.out.bias  # (N, C)
    return x + told.T.reshape(x.shape)


@pytest.mark.equation("eq-attention")
def test_attention_place_by_place():
    layer, x, heads = stirred(Attention(8, CONFIG)), 2 * normal(1, 8, 2, 3), []
    for q, k, v in _tokens(layer, x):
        rows = []
        for i in range(6):
            weights = torch.stack([torch.exp((q[i] * k[j]).sum() / math.sqrt(4)) for j in range(6)])
            rows.append(sum(weights[j] / weights.sum() * v[j] for j in range(6)))
        heads.append(torch.stack(rows))
    close(layer(x).detach(), _out(layer, x, heads).detach(), 1e-10)


@pytest.mark.equation("eq-linear-attention")
def test_linear_attention_through_the_weights_that_it_never_builds():
    layer, x, heads = stirred(LinearAttention(8, CONFIG)), 2 * normal(1, 8, 2, 3), []
    for q, k, v in _tokens(layer, x):
        of_q = torch.exp(q) / torch.exp(q).sum(1, keepdim=True)
        of_k = torch.exp(k) / torch.exp(k).sum(0, keepdim=True)
        weights = of_q @ of_k.T
        close(weights.sum(1).detach(), torch.ones(6))
        heads.append(weights @ v)
    close(layer(x).detach(), _out(layer, x, heads).detach(), 1e-10)


@pytest.mark.equation("eq-ema")
def test_the_ramp_of_the_average():
    for n, decay, kept in [(1, 0.999, 2 / 11), (9, 0.999, 10 / 19), (90, 0.5, 0.5), (10**6, 0.999, 0.999)]:
        close(1 - averaging_weight(decay, n), kept)
    # under the ramp the average of 1, 2, 3 that began at 1: by hand, in fractions of 11 and 4
    average = 1.0
    for n, new in ((1, 2.0), (2, 3.0)):
        average += averaging_weight(0.999, n) * (new - average)
    close(average, (2 / 11 * 1 + 9 / 11 * 2) / 4 + 3 * 3 / 4)


@pytest.mark.equation("eq-level-losses")
def test_losses_by_level_in_both_units():
    x, eps, denoiser = normal(8, 4), normal(8, 4, seed=1), Denoiser(Wave(), Cosine(), EPS)
    for t in (0.1, 0.5, 0.9):
        found = losses_at(denoiser, x, [t], eps)
        alpha, sigma = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
        eps_hat = torch.sin(1.5 * (alpha * x + sigma * eps) + 3 * t)
        close(found.eps[0], (eps_hat - eps).square().mean().item(), 1e-6)
        close(found.x[0], (sigma / alpha) ** 2 * (eps_hat - eps).square().mean().item(), 1e-6)


@pytest.mark.equation("eq-matched-snr")
@pytest.mark.parametrize("own", [LinearPath(), Cosine(), VE(0.01, 50.0)], ids=str)
def test_one_denoiser_on_another_chain_is_that_chains_own(own):
    mixture = GaussianMixture([0.3, 0.7], torch.tensor([[-0.6, 0.2], [0.5, -0.4]]), torch.tensor([0.05, 0.2]))
    chain = Discrete(betas.linear())
    x_t = normal(6, 2)
    for k in (20, 300, 800):
        moved = mixture.denoiser(own).on(chain)(x_t, k / 1000)
        close(moved, mixture.denoiser(chain)(x_t, k / 1000), 1e-8)
        # told the same t instead of the same ratio, it would answer something else
        assert (mixture.denoiser(own)(x_t, k / 1000) - moved).abs().max() > 1e-3


@pytest.mark.equation("eq-frechet")
def test_the_frechet_distance_of_two_gaussians_on_a_line():
    """In one dimension it is (m1 - m2)^2 + (s1 - s2)^2, whatever the features' own axes are."""
    turn, _ = torch.linalg.qr(normal(2, 2, seed=3))
    ours = torch.stack([3 * normal(4000, seed=1), torch.zeros(4000, dtype=F64)], 1)
    theirs = torch.stack([1 + 2 * normal(4000, seed=2), torch.full((4000,), -1.0, dtype=F64)], 1)
    expected = (ours.mean(0) - theirs.mean(0)).square().sum() + (ours.std(0) - theirs.std(0)).square().sum()
    close(metrics.frechet_distance(ours @ turn, theirs @ turn), expected, 1e-4)
    assert metrics.frechet_distance(ours, ours) < 1e-4


@pytest.mark.equation("eq-respaced")
def test_the_shorter_chain_has_the_old_signal_at_each_kept_step():
    b = betas.linear(60, 1e-3, 0.2)
    keep = [3, 4, 20, 41, 60]
    shorter = betas.respaced(b, keep)
    signal, k_before = 1.0, 0
    for beta, k in zip(shorter.tolist(), keep, strict=True):
        close(beta, 1 - math.prod(1 - old for old in b[k_before:k].tolist()))
        signal, k_before = signal * (1 - beta), k
        close(signal, math.prod(1 - old for old in b[:k].tolist()))


@pytest.mark.equation("eq-trailing")
def test_trailing_keeps_the_last_step_of_each_stretch():
    for n in (1, 3, 10, 37, 1000):
        wanted = [math.floor(2 * j * 1000 / n + 1) // 2 for j in range(1, n + 1)]
        assert grids.kept(grids.trailing(n), 1000).tolist() == wanted


# The figures and the open exercise


def test_the_parts_of_a_unet_are_listed_in_order():
    maps = feature_maps(UNet(CONFIG), torch.zeros(1, 1, 8, 8))
    assert [name for name, *_ in maps] == [
        "stem",
        "down",
        "shrink",
        "down",
        "middle",
        "up",
        "up",
        "grow",
        "up",
        "up",
        "out",
    ]
    assert [side for *_, side in maps] == [8, 8, 4, 4, 4, 4, 4, 8, 8, 8, 8]
    assert [channels for _, channels, _ in maps] == [8, 8, 8, 16, 16, 16, 16, 16, 8, 8, 1]
    assert unet_figure(UNet(CONFIG), torch.zeros(1, 1, 8, 8)).axes


def test_strips_name_their_rows():
    figure = strips({"one": torch.zeros(3, 1, 4, 4), "two": torch.ones(3, 1, 4, 4)}, list("abc"), "letters")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("keep", [list(range(100, 1001, 100)), [10, 40, 90, 160, 250, 360, 490, 640, 810, 1000]])
def test_the_exact_spread_of_ten_steps_is_that_of_many_samples(keep):
    chain, n = Discrete(betas.linear()), 40_000
    generator = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(n, 1, generator=generator, dtype=F64)

    exact = GaussianMixture([1.0], torch.zeros(1, 1), torch.tensor([0.25])).denoiser(chain)
    x, times = noise(), grids.chain(keep, 1000).tolist()
    for t, s in zip(times[:-1], times[1:], strict=True):
        x = ancestral(exact, x, t, s, {}, noise)
    spread, error = spread_error(keep), 0.5 / (2 * n) ** 0.5
    assert abs((0.5 - x.std().item()) - spread) < 4 * error
    assert (spread < TARGET) == (keep[0] == 10)


def test_a_velocity_network_needs_no_clipping_at_the_end_of_the_chain():
    """What the text says of the two predictions: an error of 0.01 in each is another thing in x."""
    chain, x, eps = Discrete(betas.linear()), normal(4, 3), normal(4, 3, seed=1)
    x_t = chain(1.0)[0] * x + chain(1.0)[1] * eps
    off = (EPS.solve_x(chain, 1.0, x_t, eps + 0.01) - x).abs().max()
    assert off > 1
    path = LinearPath()
    assert (VELOCITY.solve_x(path, 1.0, eps, eps - x + 0.01) - x).abs().max() < 0.02
