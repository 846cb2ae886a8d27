"""Steps against each other and against their papers: every coefficient."""

import math

import pytest
import torch
from stepping import F64, JUMPS, STEPS, close, curved, normal, schedules, take
from torch import nn

from diffusion_book.denoiser import Denoiser, FromFunction
from diffusion_book.predictions import EPS
from diffusion_book.samplers import (
    ancestral,
    ancestral_beta,
    ddim,
    dpmpp_2m,
    euler,
    euler_maruyama,
    euler_t,
    heun,
    heun_churn,
    posterior,
    sample,
)
from diffusion_book.schedules import EDM, VP, Discrete, LinearPath, SubVP, betas

# One step is another


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_ddim_is_euler_in_sigma_over_alpha(schedule, t, s):
    x = 3 * normal(5, 2)
    close(take(ddim(0.0), curved(schedule), x, t, s), take(euler, curved(schedule), x, t, s))


@pytest.mark.parametrize("t, s", [(1.0, 0.7), *JUMPS, (0.2, 0.0)])
def test_ddim_is_euler_in_time_on_the_linear_path(t, s):
    x, denoiser = normal(5, 2), curved(LinearPath())
    close(take(ddim(0.0), denoiser, x, t, s), take(euler_t, denoiser, x, t, s))


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_ancestral_is_ddim_with_eta_1(schedule, t, s):
    x, z = 3 * normal(5, 2), normal(5, 2, seed=1)
    close(take(ancestral, curved(schedule), x, t, s, z), take(ddim(1.0), curved(schedule), x, t, s, z))


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_the_first_step_of_dpmpp_2m_is_ddim(schedule, t, s):
    x = 3 * normal(5, 2)
    close(take(dpmpp_2m, curved(schedule), x, t, s), take(ddim(0.0), curved(schedule), x, t, s))


def test_without_churn_and_without_noise_the_stochastic_steps_are_heun_and_the_flow():
    x, denoiser = normal(5, 2), curved(VP())
    close(take(heun_churn(0.0), denoiser, x, 0.6, 0.5), take(heun, denoiser, x, 0.6, 0.5), 0)
    close(take(euler_maruyama(0.0), denoiser, x, 0.6, 0.5), take(euler_t, denoiser, x, 0.6, 0.5))


# Coefficients


def coefficients(step, schedule, t, s):
    """(of x, of x_hat, of the noise) in x_s, with x_hat held fixed."""

    def at(x, x_hat, z):
        x, x_hat, z = (torch.tensor([value], dtype=F64) for value in (x, x_hat, z))
        return step(FromFunction(lambda x_t, t: x_hat, schedule), x, t, s, {}, lambda: z).item()

    return at(1.0, 0.0, 0.0), at(0.0, 1.0, 0.0), at(0.0, 0.0, 1.0)


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
def test_posterior_is_a_gaussian_conditioned_on_its_successor(schedule, t, s):
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    c_t, c_0, beta_tilde, beta = posterior(schedule, t, s)
    # (x_s, x_t) given x, made of two independent normals: x_s = alpha_s x + sigma_s e, x_t = (alpha_t/alpha_s) x_s + ...
    kept = alpha_t / alpha_s
    close(beta, sigma_t**2 - kept**2 * sigma_s**2)
    root = torch.tensor([[sigma_s, 0.0], [kept * sigma_s, math.sqrt(beta)]], dtype=F64)
    covariance, mean = root @ root.T, torch.tensor([alpha_s, alpha_t], dtype=F64)
    close(covariance[1, 1], sigma_t**2, 1e-11)
    gain = covariance[0, 1] / covariance[1, 1]
    close(c_t, gain, 1e-11)
    close(c_0, mean[0] - gain * mean[1], 1e-11)
    close(beta_tilde, covariance[0, 0] - gain * covariance[1, 0], 1e-11)


@schedules
@pytest.mark.parametrize("t, s", JUMPS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_keeps_the_marginal_whatever_eta_is(schedule, eta, t, s):
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    of_x, of_x_hat, of_z = coefficients(ddim(eta), schedule, t, s)
    _, _, beta_tilde, _ = posterior(schedule, t, s)
    close(of_z, eta * math.sqrt(beta_tilde), 1e-11)
    close(of_x_hat + alpha_t * of_x, alpha_s)  # given x_hat = x, the mean of x_s is alpha_s x
    close((sigma_t * of_x) ** 2 + of_z**2, sigma_s**2, 1e-11)  # and its variance is sigma_s^2


@schedules
def test_ancestral_with_the_variance_beta_is_outside_the_family_of_ddim(schedule):
    t, s = 0.6, 0.5
    sigma_t, sigma_s = schedule(t)[1], schedule(s)[1]
    of_x, of_x_hat, of_z = coefficients(ancestral_beta, schedule, t, s)
    _, _, beta_tilde, beta = posterior(schedule, t, s)
    close((of_x, of_x_hat), coefficients(ancestral, schedule, t, s)[:2], 0)
    close((sigma_t * of_x) ** 2 + of_z**2, sigma_s**2 + beta - beta_tilde, 1e-11)
    assert beta > 1.01 * beta_tilde
    # every eta leaves sigma_s^2 in all; the eta that has this mean is 1, and its noise is smaller
    assert coefficients(ddim(1.0), schedule, t, s)[2] < 0.995 * of_z


class Wave(nn.Module):
    def forward(self, x, t, cond=None):
        return torch.sin(2 * x + t[:, None])


def test_ancestral_on_a_chain_is_the_formula_of_ddpm():
    K = 20
    beta = [0.0, *betas.linear(K, 0.01, 0.3).tolist()]  # beta[k], k = 1..K
    alpha_bar = [math.prod(1 - b for b in beta[: k + 1]) for k in range(K + 1)]
    schedule = Discrete(torch.tensor(beta[1:], dtype=F64))
    denoiser, x = Denoiser(Wave(), schedule, EPS), normal(4, 2)
    for k in range(K, 0, -1):
        t, s, z = k / K, (k - 1) / K, normal(4, 2, seed=k)
        eps_hat = torch.sin(2 * x + t)
        mean = (x - beta[k] / math.sqrt(1 - alpha_bar[k]) * eps_hat) / math.sqrt(1 - beta[k])
        beta_tilde = (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]) * beta[k]
        c_t, c_0, variance, added = posterior(schedule, t, s)
        close(c_t, math.sqrt(1 - beta[k]) * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]), 1e-11)
        close(c_0, math.sqrt(alpha_bar[k - 1]) * beta[k] / (1 - alpha_bar[k]), 1e-11)
        close((variance, added), (beta_tilde, beta[k]), 1e-11)
        larger = take(ancestral_beta, denoiser, x, t, s, z)
        close(larger, mean + math.sqrt(beta[k]) * z if k > 1 else mean, 1e-11)
        x = take(ancestral, denoiser, x, t, s, z)
        close(x, mean + math.sqrt(beta_tilde) * z, 1e-11)


def edm_sampler(D, x, sigmas, churn, low, high, noise_scale, draw):
    """Karras et al. 2022, algorithm 2 (and 1, for churn = 0), in its own symbols."""
    N = len(sigmas) - 1
    for i in range(N):
        gamma = min(churn / N, math.sqrt(2) - 1) if low <= sigmas[i] <= high else 0.0
        sigma_hat = sigmas[i] + gamma * sigmas[i]
        x_hat = x
        if gamma > 0:
            x_hat = x + math.sqrt(sigma_hat**2 - sigmas[i] ** 2) * noise_scale * draw()
        d = (x_hat - D(x_hat, sigma_hat)) / sigma_hat
        x = x_hat + (sigmas[i + 1] - sigma_hat) * d
        if sigmas[i + 1] != 0:
            d_next = (x - D(x, sigmas[i + 1])) / sigmas[i + 1]
            x = x_hat + (sigmas[i + 1] - sigma_hat) * (d / 2 + d_next / 2)
    return x


@pytest.mark.parametrize("churn", [0.0, 3.0])
def test_heun_and_heun_churn_are_the_algorithms_of_edm(churn):
    def D(x, sigma):
        return torch.tanh(x / (1 + sigma)) + 0.1 * sigma / (1 + sigma)

    N, options = 12, (0.05, 50.0, 1.003)
    sigmas = [(80 ** (1 / 7) + i / (N - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(N)] + [0.0]
    denoiser = FromFunction(lambda x_t, t: D(x_t, 80 * t), EDM(80.0))
    draws, x = [normal(3, 2, seed=i) for i in range(N)], 80 * normal(3, 2)
    expected = edm_sampler(D, x, sigmas, churn, *options, iter(draws).__next__)
    times = [sigma / 80 for sigma in sigmas]
    for step in [heun_churn(churn / N, *options)] + [heun] * (churn == 0):
        close(sample(denoiser, x, times, step, iter(draws).__next__), expected)


@schedules
def test_dpmpp_2m_is_that_of_k_diffusion(schedule):
    """There alpha = 1; z = x/alpha and sigma/alpha translate."""
    denoiser = curved(schedule)
    times = [0.9, 0.75, 0.7, 0.5, 0.2, 0.05, 0.0]
    ratio = [schedule(t)[1] / schedule(t)[0] for t in times]
    x = schedule(0.9)[0] * normal(4, 2)
    z, old = x / schedule(0.9)[0], None
    for i in range(len(times) - 1):
        denoised = denoiser(schedule(times[i])[0] * z, times[i])
        if ratio[i + 1] == 0:
            z = denoised
            continue
        here, there = -math.log(ratio[i]), -math.log(ratio[i + 1])
        h, mixed = there - here, denoised
        if old is not None:
            r = (here + math.log(ratio[i - 1])) / h
            mixed = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * old
        z, old = math.exp(-there) / math.exp(-here) * z - math.expm1(-h) * mixed, denoised
    close(sample(denoiser, x, times, dpmpp_2m), z)


# these integrate in t, with rates that depend on the scale
IN_T = {"euler_t", "heun_t", "euler_maruyama(0)", "euler_maruyama(1)", "stochastic_heun(0)", "stochastic_heun(1)"}


@pytest.mark.parametrize("name", sorted(set(STEPS) - IN_T))
@pytest.mark.parametrize("other", [VP(), LinearPath(), SubVP()], ids=str)
def test_steps_agree_on_schedules_that_differ_by_a_scale(name, other):
    own = curved(EDM())
    levels = [-4.0, -1.0, 0.5, 2.0]
    here, there = ([schedule.inverse_logsnr(level) for level in levels] for schedule in (EDM(), other))
    scales = [other(b)[0] / EDM()(a)[0] for a, b in zip(here, there, strict=True)]
    x, draws = 7 * normal(4, 2), [normal(4, 2, seed=i) for i in range(3)]
    x_here = sample(own, x, here, STEPS[name], iter(draws).__next__)
    x_there = sample(own.on(other), scales[0] * x, there, STEPS[name], iter(draws).__next__)
    if name == "ancestral_beta":  # its noise is not that of any reverse process, and depends on the scale of x
        assert (x_there / scales[-1] - x_here).abs().max() > 0.01
    else:
        close(x_there / scales[-1], x_here, 1e-10)
