"""Planted errors: each must turn a test red. `python scripts/mutants.py` (or with words: only mistakes that hold one).

Every mutant is one replacement in a copy of the package; the working tree is never touched. First the tests named below
must pass on an unchanged copy, then each mutant must make its test file fail. An entry whose text is no longer found, or
found twice, is an error: bring it up to date. A chapter's own are in mutants_chNN.py: those with an equation's label
must be caught by a test that carries it, and every numbered equation has one. Exit code 1 if anything is missed or stale.
"""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutant import Mutant

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "diffusion_book"
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
LIMIT = 600.0  # seconds for one test file


@dataclass(frozen=True)
class Outcome:
    code: int  # pytest's: 0 all passed, 1 some failed
    failed: str  # the first test that failed
    seconds: float
    output: str


CURVES, CHAIN, BETAS, MOVED, BASE = (
    f"schedules/{name}.py" for name in ("continuous", "discrete", "betas", "transformed", "base")
)

MUTANTS = [
    # schedules
    Mutant(CURVES, "torch.exp(-B / 2), torch.sqrt(-torch", "torch.exp(-B), torch.sqrt(-torch", "test_schedules.py",
           "VP: alpha^2 for alpha"),
    Mutant(CURVES, "torch.sqrt(-torch.expm1(-B))", "-torch.expm1(-B)", "test_schedules.py",
           "VP: sigma^2 for sigma"),
    Mutant(CURVES, "beta * alpha**2 / (2 * sigma)", "beta * alpha**2 / sigma", "test_schedules.py",
           "VP: the half of sigma' dropped"),
    Mutant(CURVES, "return self.beta(t).sqrt()", "return self.beta(t)", "test_schedules.py",
           "VP: g = beta for sqrt(beta)"),
    Mutant(CURVES, "torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t)",
           "torch.sin(math.pi / 2 * t), torch.sin(math.pi / 2 * (1 - t))", "test_schedules.py",
           "Cosine: time runs the other way"),
    Mutant(CURVES, "-math.pi / 2 * sigma, math.pi / 2 * alpha", "math.pi / 2 * sigma, math.pi / 2 * alpha",
           "test_schedules.py", "Cosine: sign of alpha'"),
    Mutant(CURVES, "-torch.ones_like(t), torch.ones_like(t)", "torch.ones_like(t), -torch.ones_like(t)",
           "test_schedules.py", "LinearPath: sign of the velocity, as in papers whose time runs the other way"),
    Mutant(CURVES, "torch.sigmoid(-as_float64(logsnr) / 2)", "torch.sigmoid(-as_float64(logsnr))",
           "test_schedules.py", "LinearPath: logsnr taken for logsnr/2 in the inverse"),
    Mutant(CURVES, "torch.zeros_like(t), sigma * math.log(", "torch.zeros_like(t), math.log(", "test_schedules.py",
           "VE: sigma' without sigma"),
    Mutant(CURVES, "torch.where(t == 0, torch.zeros_like(t), sigma)", "sigma", "test_schedules.py",
           "VE: no jump to the clean image at t = 0"),
    Mutant(CURVES, "torch.exp(-B / 2), -torch.expm1(-B)", "torch.exp(-B / 2), torch.sqrt(-torch.expm1(-B))",
           "test_schedules.py", "SubVP: sigma of VP"),
    Mutant(CURVES, "beta * torch.exp(-B)\n", "beta * torch.exp(-B / 2)\n", "test_schedules.py",
           "SubVP: exp(-B/2) for exp(-B) in sigma'"),
    Mutant(CURVES, "2 * torch.asinh(", "torch.asinh(", "test_schedules.py", "SubVP: B/2 for B in the inverse"),
    Mutant(BASE, "return 2 * (alpha.log() - sigma.log())", "return alpha.log() - sigma.log()", "test_schedules.py",
           "lambda = logsnr/2 for logsnr"),
    Mutant(BASE, "(sigma_rate - self._drift(t) * sigma)).sqrt()", "(sigma_rate - self._drift(t) * sigma))",
           "test_schedules.py", "g^2 for g"),
    Mutant(BASE, "(sigma_rate - self._drift(t) * sigma)", "(sigma_rate + self._drift(t) * sigma)",
           "test_schedules.py", "g^2: sign of the drift"),
    Mutant(BASE, "return alpha_rate / alpha", "return alpha_rate", "test_schedules.py", "drift: alpha' for alpha'/alpha"),
    Mutant(CHAIN, "alpha_bar = torch.cumprod(1 - betas, 0)", "alpha_bar = 1 - betas", "test_schedules.py",
           "chain: alpha_k for alpha_bar_k"),
    Mutant(CHAIN, "(t * self.steps - (k - 1))", "(t * self.steps - k)", "test_schedules.py", "chain: off by one step"),
    Mutant(CHAIN, "t * self.steps - 1e-9", "t * self.steps + 1e-9", "test_schedules.py",
           "chain: a knot counted to the interval above it"),
    Mutant(CHAIN, "-sigma * alpha**2 / 2 * (low - high)", "-sigma * alpha / 2 * (low - high)", "test_schedules.py",
           "chain: alpha for alpha^2 in sigma'"),
    Mutant(BETAS, "h[0]).clamp(max=max_beta)", "h[0])", "test_schedules.py", "cosine betas: last ones not clipped"),
    Mutant(BETAS, "(u + offset) / (1 + offset)) ** 2", "(u + offset) / (1 + offset))", "test_schedules.py",
           "cosine betas: cos for cos^2"),
    Mutant(BETAS, "(u + offset) / (1 + offset)", "u", "test_schedules.py", "cosine betas: no offset"),
    Mutant(BETAS, "math.sqrt(end), steps, dtype=torch.float64) ** 2", "math.sqrt(end), steps, dtype=torch.float64)",
           "test_schedules.py", "quadratic betas: square forgotten"),
    Mutant(BETAS, "(root - root[-1]) * root[0] / (root[0] - root[-1])", "root - root[-1]", "test_schedules.py",
           "zero terminal SNR: shifted, but not stretched"),
    Mutant(BETAS, "factor**2 * (1 - alpha_bar)", "factor * (1 - alpha_bar)", "test_schedules.py",
           "shifted chain: factor for factor^2"),
    Mutant(MOVED, "self.base._logsnr(t) - 2 * math.log(", "self.base._logsnr(t) - math.log(", "test_schedules.py",
           "shift: log(factor) for 2 log(factor)"),
    Mutant(MOVED, "self.base._diffusion(inner) * self._inner_rate(t, inner).sqrt()",
           "self.base._diffusion(inner) * self._inner_rate(t, inner)", "test_schedules.py",
           "shift: g times dt'/dt, not its root"),
    Mutant(MOVED, "alpha * sigma**2 / 2 * rate,", "alpha * sigma**2 * rate,", "test_schedules.py",
           "learned: the half of alpha' dropped"),
    # predictions
    Mutant("predictions.py", "return -sigma, alpha", "return sigma, alpha", "test_predictions.py", "v: sign of x"),
    Mutant("predictions.py", "return -sigma, alpha", "return alpha, -sigma", "test_predictions.py", "v: rows swapped"),
    Mutant("predictions.py", "_constant(0.0, t), -1 / sigma", "_constant(0.0, t), 1 / sigma", "test_predictions.py",
           "score: sign"),
    Mutant("predictions.py", "_constant(0.0, t), -1 / sigma", "_constant(0.0, t), -1 / sigma**2",
           "test_predictions.py", "score: sigma^2 for sigma"),
    Mutant("predictions.py", "-alpha * sigma_data / scale", "alpha * sigma_data / scale", "test_predictions.py",
           "EDM's target: sign of eps"),
    Mutant("predictions.py", "scale = (alpha**2 * sigma_data**2 + sigma**2) ** 0.5",
           "scale = (sigma_data**2 + sigma**2) ** 0.5", "test_predictions.py", "EDM's target: alpha taken for 1"),
    Mutant("predictions.py", "return combine(b / determinant, x_t, -sigma / determinant, y)",
           "return combine(b / determinant, x_t, sigma / determinant, y)", "test_predictions.py",
           "solve: sign of sigma y"),
    Mutant("predictions.py", "combine(alpha / determinant, y, -a / determinant, x_t)",
           "combine(alpha / determinant, x_t, -a / determinant, y)", "test_predictions.py",
           "solve: x_t and y swapped in eps_hat"),
    Mutant("predictions.py", "(a - b * alpha / sigma) ** 2\n\n", "abs(a - b * alpha / sigma)\n\n", "test_predictions.py",
           "loss scale: not squared"),
    Mutant("predictions.py", "clamp(max=gamma)", "clamp(min=gamma)", "test_predictions.py", "min-SNR: max for min"),
    Mutant("predictions.py", "logsnr.exp() + 1 / sigma_data**2", "logsnr.exp() + 1 / sigma_data",
           "test_predictions.py", "EDM's weight: sigma_data for its square"),
    Mutant("predictions.py", "torch.sigmoid(bias - logsnr)", "torch.sigmoid(logsnr - bias)", "test_predictions.py",
           "sigmoid weight: sign of logsnr"),
    # denoiser
    Mutant("denoiser.py", "return -self.eps(x_t, t) / expand(sigma, x_t)", "return self.eps(x_t, t) / expand(sigma, x_t)",
           "test_predictions.py", "score of a denoiser: sign"),
    Mutant("denoiser.py", "return -self.eps(x_t, t) / expand(sigma, x_t)", "return -self.eps(x_t, t)",
           "test_predictions.py", "score of a denoiser: not divided by sigma"),
    Mutant("denoiser.py", "x_hat + expand(sigma_rate, x_t)", "x_hat - expand(sigma_rate, x_t)",
           "test_predictions.py", "velocity of a denoiser: sign of eps"),
    Mutant("denoiser.py", "(x_t - expand(alpha, x_t) * x_hat) / expand(sigma, x_t)",
           "(x_t - x_hat) / expand(sigma, x_t)", "test_predictions.py", "eps of a denoiser: alpha forgotten"),
    Mutant("denoiser.py", "(alpha**2 * self.sigma_data**2 + sigma**2) ** -0.5",
           "(alpha**2 * self.sigma_data + sigma**2) ** -0.5", "test_predictions.py",
           "network input: sigma_data for its square"),
    Mutant("denoiser.py", "(own_alpha**2 + own_sigma**2) / (alpha**2 + sigma**2)",
           "(alpha**2 + sigma**2) / (own_alpha**2 + own_sigma**2)", "test_predictions.py",
           "another schedule: the scale upside down"),
    Mutant("denoiser.py", "own_t = own.inverse_logsnr(logsnr)", "own_t = own.inverse_logsnr(logsnr / 2)",
           "test_predictions.py", "another schedule: logsnr/2 matched to logsnr"),
    # samplers
    Mutant("posterior.py", "alpha_ts = alpha_t / alpha_s", "alpha_ts = alpha_t", "test_steps.py",
           "posterior: alpha_bar_k for alpha_k"),
    Mutant("posterior.py", "sigma_t**2 - alpha_ts**2 * sigma_s**2", "sigma_t**2 - alpha_ts * sigma_s**2",
           "test_steps.py", "posterior: alpha for alpha^2"),
    Mutant("posterior.py", "return alpha_ts * sigma_s**2 / sigma_t**2,", "return alpha_s * sigma_s**2 / sigma_t**2,",
           "test_steps.py", "posterior: sqrt(alpha_bar) on x_t, where sqrt(1 - beta) is meant"),
    Mutant("samplers.py", "c_0 * x_hat + math.sqrt(beta_tilde) * noise()", "c_0 * x_hat + beta_tilde * noise()",
           "test_steps.py", "ancestral: noise multiplied by the variance"),
    Mutant("samplers.py", "c_t, c_0, _, beta = posterior", "c_t, c_0, beta, _ = posterior", "test_steps.py",
           "ancestral_beta: beta_tilde for beta"),
    Mutant("samplers.py", "sigma_s**2 - eta**2 * beta_tilde", "sigma_s**2 - eta * beta_tilde", "test_steps.py",
           "ddim: eta for eta^2"),
    Mutant("samplers.py", "mean + eta * math.sqrt(beta_tilde) * noise()", "mean + eta**2 * math.sqrt(beta_tilde) * noise()",
           "test_steps.py", "ddim: eta^2 for eta"),
    Mutant("samplers.py", "kept = math.sqrt(remaining) / sigma_t", "kept = math.sqrt(remaining)", "test_steps.py",
           "ddim: eps_hat not divided by sigma"),
    Mutant("samplers.py", "combine(kept, x, alpha_s - kept * alpha_t, x_hat)", "combine(kept, x, alpha_s, x_hat)",
           "test_steps.py", "ddim: eps_hat taken for x_t"),
    Mutant("samplers.py", "return alpha_s * (x / alpha_t + (ratio_s - ratio_t) * slope)",
           "return alpha_s * (x / alpha_t + (ratio_t - ratio_s) * slope)", "test_steps.py", "euler: step uphill"),
    Mutant("samplers.py", "(slope + slope_s) / 2", "(slope + slope_s)", "test_orders.py", "heun: 1/2 dropped"),
    Mutant("samplers.py", "denoiser(alpha_s * z_s, s)", "denoiser(alpha_s * z_s, t)", "test_orders.py",
           "heun: second slope at the old time"),
    Mutant("samplers.py", "denoiser(alpha_s * z_s, s)", "denoiser(z_s, s)", "test_orders.py",
           "heun: x/alpha given to the denoiser for x"),
    Mutant("samplers.py", "math.sqrt(raised**2 - ratio_t**2)", "(raised - ratio_t)", "test_steps.py",
           "churn: difference of sigmas for the root of the difference of squares"),
    Mutant("samplers.py", "* noise_scale * noise()", "* noise()", "test_steps.py", "churn: noise factor dropped"),
    Mutant("samplers.py", 'weight = h / (2 * memory["h"])', 'weight = h / memory["h"]', "test_orders.py",
           "dpmpp_2m: 1/2 of the extrapolation dropped"),
    Mutant("samplers.py", 'weight = h / (2 * memory["h"])', 'weight = memory["h"] / (2 * h)', "test_steps.py",
           "dpmpp_2m: ratio of steps upside down"),
    Mutant("samplers.py", 'memory["x_hat"], memory["h"] = x_hat, h', 'memory["x_hat"], memory["h"] = guess, h',
           "test_steps.py", "dpmpp_2m: the extrapolated guess remembered"),
    Mutant("samplers.py", "return x + (s - t) * denoiser.velocity(x, t)", "return x + (t - s) * denoiser.velocity(x, t)",
           "test_steps.py", "euler_t: time runs the other way"),
    Mutant("samplers.py", "(s - t) / 2 * (velocity +", "(s - t) * (velocity +", "test_orders.py",
           "heun_t: 1/2 dropped"),
    Mutant("samplers.py", "(s - t) / 2 * (velocity + denoiser.velocity(x + (s - t) * velocity, s))",
           "(s - t) / 2 * (velocity + denoiser.velocity(x + (s - t) / 2 * velocity, s))", "test_orders.py",
           "heun_t: half a step to the second slope"),
    Mutant("samplers.py", "(1 + eta**2) / 2 * g**2", "(1 + eta) / 2 * g**2", "test_orders.py",
           "euler_maruyama: eta for eta^2"),
    Mutant("samplers.py", "(1 + eta**2) / 2 * g**2", "(1 + eta**2) * g**2", "test_orders.py",
           "euler_maruyama: 1/2 of the score dropped"),
    Mutant("samplers.py", "eta * g * math.sqrt(t - s)", "eta * g * (t - s)", "test_orders.py",
           "euler_maruyama: noise with dt for sqrt(dt)"),
    Mutant("samplers.py", "(alpha**2 + sigma**2) ** 0.5 * noise()", "(alpha**2 + sigma**2) * noise()",
           "test_samplers.py", "prior: variance for deviation"),
    Mutant("samplers.py", "max(sigma_s**2 - (sigma_s**2 * alpha_t / (sigma_t * alpha_s)) ** 2, 0.0)",
           "sigma_s**2 - (sigma_s**2 * alpha_t / (sigma_t * alpha_s)) ** 2", "test_samplers.py",
           "ddim: a variance that rounding makes negative"),
    Mutant("samplers.py", "x = step(seen, x, t, s, memory,", "x = step(seen, x, t, s, {},", "test_steps.py",
           "the loop forgets its memory"),
    # grids
    Mutant("grids.py", "end**0.5, n + 1, dtype=torch.float64) ** 2", "end**0.5, n + 1, dtype=torch.float64)",
           "test_grids.py", "quadratic grid: square forgotten"),
    Mutant("grids.py", "return shift * t / (shift * t + (1 - t))", "return shift * t / (shift * t + 1)",
           "test_grids.py", "shifted grid: shift for shift - 1"),
    Mutant("grids.py", "schedule.logsnr(end), n, dtype", "schedule.logsnr(end), n + 1, dtype", "test_grids.py",
           "logsnr grid: one step too many"),
    Mutant("grids.py", "schedule.inverse_logsnr(-2 * ratio.log())", "schedule.inverse_logsnr(-ratio.log())",
           "test_grids.py", "karras grid: logsnr/2 for logsnr"),
    Mutant("grids.py", "low ** (1 / rho), n, dtype=torch.float64) ** rho", "low ** (1 / rho), n, dtype=torch.float64)",
           "test_grids.py", "karras grid: power rho forgotten"),
    # objectives and noise
    Mutant("objectives.py", "* x + expand(sigma, x) * eps", "* x + expand(sigma, x) ** 2 * eps", "test_objectives.py",
           "loss: noise multiplied by sigma^2"),
    Mutant("objectives.py", ".square().flatten(1).mean(1)", ".square().flatten(1).sum(1)", "test_objectives.py",
           "loss: summed, not averaged, over the dimensions"),
    Mutant("objectives.py", "(weight(denoiser.schedule.logsnr(t)) / own)", "(weight(denoiser.schedule.logsnr(t)) ** 2 / own)",
           "test_objectives.py", "loss: weighted twice"),
    Mutant("objectives.py", "(weight(denoiser.schedule.logsnr(t)) / own)", "weight(denoiser.schedule.logsnr(t))",
           "test_objectives.py", "loss: the row's own weight left in"),
    Mutant("schedules/discrete.py", "(alpha_bar[:-1] == 0).any()", "(alpha_bar[:-1] < 0).any()", "test_schedules.py",
           "chain: a signal that died unnoticed"),
    Mutant("objectives.py", "self.mean + self.std * torch", "self.mean + self.std**2 * torch", "test_objectives.py",
           "logit-normal: variance for deviation"),
    Mutant("objectives.py", "(u * self.steps).floor() + 1)", "(u * self.steps).floor())", "test_objectives.py",
           "steps: k from 0 to K - 1"),
    Mutant("objectives.py", "self.low + (self.high - self.low) * u", "self.low + self.high * u", "test_objectives.py",
           "uniform times: beyond the end"),
    Mutant("objectives.py", "dtype=torch.float64) / n) % 1", "dtype=torch.float64)) % 1", "test_objectives.py",
           "spread times: all the same"),
    Mutant("noise.py", "mix(seed, first + i)", "mix(seed, i)", "test_grids.py",
           "noise: every batch begins with the same image"),
    Mutant("noise.py", "mix(seed, first + i)", "seed + first + i", "test_grids.py",
           "noise: image i of one seed is image i - 1 of the next"),
    Mutant("noise.py", "mix(seed, first + i)", "seed", "test_grids.py", "noise: all images the same"),
    # the oracle
    Mutant("exact.py", "z = self._to_axes(x_t - alpha * self.means)", "z = self._to_axes(x_t - self.means)",
           "test_exact.py", "oracle: means not scaled by alpha"),
    Mutant("exact.py", "d = alpha**2 * self._l + sigma**2", "d = self._l", "test_exact.py",
           "oracle: the mixture that is not diffused"),
    Mutant("exact.py", "d = alpha**2 * self._l + sigma**2", "d = alpha * self._l + sigma**2", "test_exact.py",
           "oracle: alpha for alpha^2"),
    Mutant("exact.py", "(z**2 / d + torch.log(2 * math.pi * d)).sum(-1) / 2", "(z**2 / d).sum(-1) / 2", "test_exact.py",
           "oracle: Gaussians not normalized"),
    Mutant("exact.py", "self._from_axes(alpha * self._l / d * z))).sum(1)", "self._from_axes(self._l / d * z))).sum(1)",
           "test_exact.py", "oracle: alpha forgotten in the gain"),
    Mutant("exact.py", "score = -(r * self._from_axes(z / d))", "score = (r * self._from_axes(z / d))", "test_exact.py",
           "oracle: sign of the score"),
    Mutant("exact.py", "spread = sigma**2 * self._l / d", "spread = sigma * self._l / d", "test_exact.py",
           "oracle: sigma for sigma^2 in the posterior"),
    Mutant("exact.py", "alpha**2 * (chunk**2).sum(-1) / 2", "alpha**2 * (chunk**2).sum(-1)", "test_exact.py",
           "empirical denoiser: 1/2 dropped"),
    # the shorter chain
    Mutant(BETAS, "torch.cumprod(1 - betas.double(), 0)[keep - 1]", "torch.cumprod((1 - betas.double())[keep - 1], 0)",
           "test_respacing.py", "respacing: the betas of the kept steps alone"),
    Mutant(BETAS, "torch.cumprod(1 - betas.double(), 0)[keep - 1]", "torch.cumprod(1 - betas.double(), 0).sqrt()[keep - 1]",
           "test_respacing.py", "respacing: sqrt(alpha_bar) for alpha_bar"),
    Mutant(BETAS, "(kept.diff() <= 0)", "(kept.diff() < 0)", "test_respacing.py", "respacing: a step kept twice"),
    Mutant("grids.py", "kept.flip(0).double() / steps", "kept.flip(0).double() / kept[-1]", "test_respacing.py",
           "respacing: the network told its place in the shorter chain"),
    Mutant("grids.py", "check_steps(k[1:].round().long(), steps)", "check_steps(k[1:].long(), steps)", "test_respacing.py",
           "respacing: t K cut off, not rounded"),
    Mutant("grids.py", "1 + j * (steps // n)", "1 + j * steps // n", "test_respacing.py",
           "leading spacing: floor of the product"),
    Mutant("grids.py", "round(j * steps / n)", "j * steps // n", "test_respacing.py",
           "trailing spacing: floor for the nearest"),
    Mutant("grids.py", "for j in range(1, n + 1)]", "for j in range(n)]", "test_respacing.py",
           "trailing spacing: begins of stretches for ends"),
    Mutant("grids.py", "round(1 + j * (steps - 1) / (n - 1))", "round(1 + j * (steps - 1) / n)", "test_respacing.py",
           "linspace spacing: misses step K"),
    # variants of the U-Net
    Mutant("nets/blocks.py", "7, padding=3, groups=inputs", "5, padding=2, groups=inputs", "test_blocks.py",
           "ConvNeXt: 5x5 for 7x7"),
    Mutant("nets/blocks.py", "self.widen((1 + scale) * self.norm(h) + shift)", "self.widen(scale * self.norm(h) + shift)",
           "test_blocks.py", "ConvNeXt: scale for 1 + scale"),
    Mutant("nets/blocks.py", "self.widen((1 + scale) * self.norm(h) + shift)", "self.widen(self.norm(h))", "test_blocks.py",
           "ConvNeXt: deaf to the time"),
    Mutant("nets/blocks.py", "F.gelu(", "F.silu(", "test_blocks.py", "ConvNeXt: SiLU for GELU"),
    Mutant("nets/blocks.py", "zeroed(nn.Linear(4 * outputs, outputs))", "nn.Linear(4 * outputs, outputs)", "test_blocks.py",
           "ConvNeXt: last layer not zeroed"),
    Mutant("nets/blocks.py", "k.softmax(dim=-2)", "k.softmax(dim=-1)", "test_blocks.py",
           "linear attention: keys normalized over features, not over places"),
    Mutant("nets/blocks.py", "q.softmax(dim=-1)", "q.softmax(dim=-2)", "test_blocks.py",
           "linear attention: queries normalized over places, not over features"),
    Mutant("nets/blocks.py", "return q.softmax(dim=-1) @ summary", "return q @ summary", "test_blocks.py",
           "linear attention: queries not normalized"),
    Mutant("nets/unet.py", "self.attention = LinearAttention(width, config)", "self.attention = Attention(width, config)",
           "test_blocks.py", "linear attention: asked for, and softmax built"),
    # neighbours, and the loss at each level
    Mutant("metrics.py", "torch.arange(first, first + distance.shape[1]", "torch.arange(distance.shape[1]",
           "test_neighbours.py", "neighbours: numbered within their chunk"),
    Mutant("metrics.py", "largest=False", "largest=True", "test_neighbours.py", "neighbours: the farthest"),
    Mutant("metrics.py", "return found.gather(1, order), exact", "return found.gather(1, order), best", "test_neighbours.py",
           "neighbours: distances by squares and differences, never 0"),
    Mutant("metrics.py", "(to_unit(values) if values.dtype == torch.uint8 else values)", "values", "test_neighbours.py",
           "neighbours: distances in grey levels"),
    Mutant("plots.py", "data[indices.T.flatten()]", "data[indices.flatten()]", "test_neighbours.py",
           "neighbours: drawn under the wrong sample"),
    Mutant("levels.py", "loss.std(1) / len(x) ** 0.5", "loss.std(1)", "test_levels.py",
           "levels: deviation for standard error"),
    Mutant("levels.py", "(alpha / sigma) ** 2 * x_loss", "alpha / sigma * x_loss", "test_levels.py",
           "levels: not squared from x to eps"),
    Mutant("levels.py", "sigma * eps[chosen]", "sigma**2 * eps[chosen]", "test_levels.py",
           "levels: noise multiplied by the variance"),
    Mutant("levels.py", "labels[chosen]", "labels[: len(x[chosen])]", "test_levels.py",
           "levels: every batch with the labels of the first"),
    Mutant("levels.py", ".flatten(1).mean(1).cpu()", ".flatten(1).sum(1).cpu()", "test_levels.py",
           "levels: summed over the dimensions"),
    # the bound
    Mutant("elbo.py", "+ (mean1 - mean2) ** 2 / var2) / 2", "+ (mean1 - mean2) ** 2 / var1) / 2", "test_elbo.py",
           "elbo: KL divided by the wrong variance"),
    Mutant("elbo.py", "excess - torch.log1p(excess)", "excess + torch.log1p(excess)", "test_elbo.py",
           "elbo: sign of the log of the variances"),
    Mutant("elbo.py", "0.0, alpha**2 + sigma**2)", "0.0, alpha**0)", "test_elbo.py",
           "elbo: prior of variance 1 on every schedule"),
    Mutant("elbo.py", "gaussian_kl(alpha * x, sigma**2, 0.0,", "gaussian_kl(alpha * x, sigma, 0.0,", "test_elbo.py",
           "elbo: deviation for variance in the prior term"),
    Mutant("elbo.py", "return fall.to(x) / 2 *", "return fall.to(x) *", "test_elbo.py", "elbo: 1/2 of a step dropped"),
    Mutant("elbo.py", "fall = logsnr_s.exp() * -torch.expm1(logsnr_t - logsnr_s)", "fall = logsnr_s - logsnr_t", "test_elbo.py",
           "elbo: log-SNR for SNR"),
    Mutant("elbo.py", "fall = logsnr_s.exp() *", "fall = logsnr_t.exp() *", "test_elbo.py", "elbo: SNR(t) for SNR(s)"),
    Mutant("elbo.py", "rates[0]) / sigma**3", "rates[0]) / sigma**2", "test_elbo.py", "elbo: sigma^2 for sigma^3 in the rate"),
    Mutant("elbo.py", "(alpha * rates[1] - sigma * rates[0])", "(alpha * rates[1] + sigma * rates[0])", "test_elbo.py",
           "elbo: sign of alpha' in the rate"),
    Mutant("elbo.py", "as_float64(fall).to(x) / 2", "as_float64(fall).to(x)", "test_elbo.py",
           "elbo: 1/2 of the continuous loss dropped"),
    Mutant("elbo.py", "gaussian_kl(c_0 * x, beta_tilde, c_0 * x_hat,", "gaussian_kl(x, beta_tilde, x_hat,", "test_elbo.py",
           "elbo: x for the mean of the posterior"),
    Mutant("elbo.py", "_, c_0, beta_tilde, _ = (_like", "_, c_0, _, beta_tilde = (_like", "test_elbo.py",
           "elbo: beta for beta_tilde in q"),
    Mutant("elbo.py", "range(denoiser.schedule, t, s)[0]", "range(denoiser.schedule, t, s)[1]", "test_elbo.py",
           "elbo: beta for beta_tilde in the model"),
    Mutant("elbo.py", "(x - 1 / 255 - mean) / deviation, (x + 1 / 255 - mean) / deviation",
           "(x - 1 / 127.5 - mean) / deviation, (x + 1 / 127.5 - mean) / deviation", "test_elbo.py",
           "elbo: bins of twice the width"),
    Mutant("elbo.py", "return torch.where((level == 0) | (level == 255), ends, inside)", "return inside", "test_elbo.py",
           "elbo: closed end bins"),
    Mutant("elbo.py", "torch.where(level == 0, torch.special.log_ndtr(high), torch.special.log_ndtr(-low))",
           "torch.where(level == 255, torch.special.log_ndtr(high), torch.special.log_ndtr(-low))", "test_elbo.py",
           "elbo: end bins swapped"),
    Mutant("elbo.py", "above = low > 0", "above = low > 1e9", "test_elbo.py", "elbo: bins above the mean not mirrored"),
    Mutant("elbo.py", "x_hat, (log_variance / 2).exp())", "x_hat, log_variance.exp())", "test_elbo.py",
           "elbo: variance for deviation in the decoder"),
    Mutant("elbo.py", "return self.prior + self.diffusion + self.reconstruction", "return self.diffusion + self.reconstruction",
           "test_elbo.py", "elbo: prior term forgotten"),
    Mutant("elbo.py", "nats / (dims * math.log(2)) + offset_bits", "nats / dims + offset_bits", "test_elbo.py",
           "elbo: log 2 forgotten"),
    Mutant("elbo.py", "nats / (dims * math.log(2)) + offset_bits", "nats / (dims * math.log(2))", "test_elbo.py",
           "elbo: scaling offset forgotten"),
    Mutant("elbo.py", "return math.log2(scale)", "return math.log2(2 * scale)", "test_elbo.py", "elbo: offset 8 for 7"),
    Mutant("elbo.py", "((u + shift) / 128 - 1)", "((u + shift - 0.5) / 127.5 - 1)", "test_elbo.py",
           "elbo: dequantized beyond [-1, 1)"),
    Mutant("gaussian_elbo.py", "(l / (1 + l * snr[..., None]))", "(l / (1 + snr[..., None]))", "test_elbo.py",
           "elbo laboratory: data of unit variance"),
    Mutant("gaussian_elbo.py", "(snr[:-1] - snr[1:]) / 2 * expected_error(data, snr[1:])",
           "(snr[:-1] - snr[1:]) / 2 * expected_error(data, snr[:-1])", "test_elbo.py",
           "elbo laboratory: the error at the cleaner end"),
    Mutant("gaussian_elbo.py", "logsnr(t))).sum() / 2", "logsnr(t))).sum()", "test_elbo.py",
           "elbo laboratory: 1/2 of the information dropped"),
    Mutant("gaussian_elbo.py", "torch.log(2 * math.pi * math.e * _", "torch.log(2 * math.pi * _", "test_elbo.py",
           "elbo laboratory: e forgotten in the entropy"),
    Mutant("gaussian_elbo.py", "+ data.mean.square().sum()", "", "test_elbo.py",
           "elbo laboratory: mean forgotten in the prior"),
    # learned variance
    Mutant("posterior.py", "torch.where(last, (2 * t).clamp(max=1), t)", "torch.where(last, (3 * t).clamp(max=1), t)",
           "test_learned_variance.py", "learned variance: clipped at beta_tilde_3"),
    Mutant("posterior.py", "low, high = beta_tilde.log(), beta.log()", "low, high = beta_tilde.log() / 2, beta.log() / 2",
           "test_learned_variance.py", "learned variance: log deviation for log variance"),
    Mutant("posterior.py", "low, high = beta_tilde.log(), beta.log()", "high, low = beta_tilde.log(), beta.log()",
           "test_learned_variance.py", "learned variance: ends swapped"),
    Mutant("denoiser.py", "return x_hat, low + fraction * (high - low)",
           "return x_hat, high + fraction * (low - high)", "test_learned_variance.py", "learned variance: v for 1 - v"),
    Mutant("denoiser.py", "return x_hat, low + fraction * (high - low)",
           "return x_hat, torch.log(2.718281828459045**low + fraction * (2.718281828459045**high - 2.718281828459045**low))",
           "test_learned_variance.py", "learned variance: the mean of the variances, not of their logarithms"),
    Mutant("denoiser.py", "y), (output + 1) / 2", "y), output", "test_learned_variance.py",
           "learned variance: output taken for v"),
    Mutant("denoiser.py", "return y[:, :channels], y[:, channels:]", "return y[:, channels:], y[:, :channels]",
           "test_learned_variance.py", "learned variance: halves of the channels swapped"),
    Mutant("samplers.py", "(log_variance / 2).exp() * noise()", "log_variance.exp() * noise()", "test_learned_variance.py",
           "learned variance: variance for deviation in the step"),
    Mutant("objectives.py", "solve_x(denoiser.schedule, t, x_t, y.detach())", "solve_x(denoiser.schedule, t, x_t, y)",
           "test_learned_variance.py", "hybrid: gradient of the mean not stopped"),
    Mutant("objectives.py", "+ weight * steps * bits", "+ weight * bits", "test_learned_variance.py",
           "hybrid: one term for the sum of K"),
    Mutant("objectives.py", "weight: float = 0.001", "weight: float = 0.01", "test_learned_variance.py", "hybrid: weight 0.01"),
    Mutant("objectives.py", "low + (output + 1) / 2 * (high - low)", "low + output * (high - low)", "test_learned_variance.py",
           "hybrid: output taken for v"),
    Mutant("objectives.py", "return bits_per_dim(nats, x[0].numel())", "return nats / x[0].numel()", "test_learned_variance.py",
           "hybrid: nats for bits"),
    # importance-sampled steps
    Mutant("objectives.py", "root = self.squares.mean(1).sqrt()", "root = self.squares.mean(1)", "test_learned_variance.py",
           "importance: root forgotten"),
    Mutant("objectives.py", "] = loss**2", "] = loss", "test_learned_variance.py", "importance: losses not squared"),
    Mutant("objectives.py", "1 / (self.steps * self.probabilities[", "1 / (self.probabilities[", "test_learned_variance.py",
           "importance: weights without K"),
    Mutant("objectives.py", "self.counts < self.length", "self.counts < 1", "test_learned_variance.py",
           "importance: in force before ten losses"),
    Mutant("objectives.py", "(1 - self.floor) * root / root.sum()", "root / root.sum()", "test_learned_variance.py",
           "importance: probabilities sum to more than 1"),
    Mutant("objectives.py", "double(), right=True) + 1", "double(), right=True)", "test_learned_variance.py",
           "importance: off by one step"),
    # a student's folder, and the audit
    Mutant("course.py", "if any(mark not in (given", "if all(mark not in (given", "test_course.py",
           "course: a chapter of which only one file was changed is overwritten"),
    Mutant("course.py", "(given.get(name), marks[name])", "(given.get(name), marks[name], mark)", "test_course.py",
           "course: what the student wrote is overwritten"),
    Mutant("course.py", "(moment, moment)", "(moment, moment - 9 * name.endswith('.md'))", "test_course.py",
           "course: a text older than its notebook"),
    Mutant("course.py", 'if status == "unfinished":\n        return', 'if status == "unfinished":\n        status = "wrong"',
           "test_course.py", "course: a stub counted as a try"),
    Mutant("course.py", 'entry["passed"] = entry.get("passed") or now', 'entry["passed"] = None', "test_course.py",
           "course: what was passed is forgotten"),
    Mutant("course.py", "for folder in (here, *here.parents)", "for folder in reversed((here, *here.parents))",
           "test_course.py", "course: an outer workspace taken for the inner"),
    Mutant("audit.py", "if len(recognised) < PLANTED:", "if one.named < PLANTED:", "test_audit.py",
           "audit: the same mistake planted thrice counts as three"),
    Mutant("audit.py", "elif verdict.mistake != answer.mistake:", "elif not verdict.mistake:", "test_audit.py",
           "audit: a mistake called by another's name passes"),
    Mutant("audit.py", "one.tested += equation.label in tests", "one.tested += 1", "test_audit.py",
           "audit: every equation counted as tested"),
]  # fmt: skip


def mutated(mutant: Mutant) -> str:
    """The file's text with the error in it. Raises LookupError where the entry is stale."""
    text = (ROOT / PACKAGE / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise LookupError(f"{mutant.file}: found {text.count(mutant.old)} times, not once: {mutant.old!r}")
    changed = text.replace(mutant.old, mutant.new)
    compile(changed, mutant.file, "exec")
    return changed


def run(job: tuple[Mutant | None, str]) -> Outcome:
    """One test file against a fresh copy of the package, with a mutant or without, in a process of its own."""
    mutant, tests = job
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        data = shutil.ignore_patterns("__pycache__", "shipped", "weights")
        shutil.copytree(ROOT / PACKAGE, copy / PACKAGE, ignore=data)
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=data)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for kept in ("chapters", "exercises", "solutions", "scripts", f"{PACKAGE}/data/shipped", f"{PACKAGE}/weights"):
            (copy / kept).symlink_to(ROOT / kept)
        if mutant:
            (copy / PACKAGE / mutant.file).write_text(mutated(mutant))
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        label = [f"--equation={mutant.equation}"] if mutant and mutant.equation else []
        code, failed, output = run_pytest([f"tests/{tests}", *label])
        where = Path(sys.modules[PACKAGE].__file__).resolve()
        os.chdir(ROOT)
        if copy not in where.parents:
            raise RuntimeError(f"the tests imported {where}, not the copy in {copy}")
    return Outcome(code, failed, time.perf_counter() - start, output)


def run_pytest(what: list[str]) -> tuple[int, str, str]:
    import pytest
    import torch

    torch.set_num_threads(1)

    class FirstFailure:
        name = ""

        def pytest_runtest_logreport(self, report):
            if report.failed and not self.name:
                self.name = report.nodeid.split("::")[-1]

    first, output = FirstFailure(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = pytest.main([*what, "-x", "-q", "-p", "no:cacheprovider"], plugins=[first])
    return int(code), first.name, output.getvalue()


def apart(job: tuple[Mutant | None, str]) -> Outcome:
    """`run` in a new process; where the system can fork, from one that has imported torch already. A process that dies
    or does not end is BROKEN, and the others go on."""
    context = multiprocessing.get_context(METHOD)
    receiver, sender = context.Pipe(duplex=False)
    process, start = context.Process(target=tell, args=(job, sender)), time.perf_counter()
    process.start()
    sender.close()  # the child's copy is now the only one: when the child dies, the pipe ends
    try:
        if receiver.poll(LIMIT):
            return receiver.recv()
        problem = f"did not end within {LIMIT:.0f} s"
    except EOFError:
        process.join()
        problem = f"the process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return Outcome(-1, "", time.perf_counter() - start, problem)


def tell(job, sender) -> None:
    sender.send(run(job))


def main(words: list[str]) -> int:
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    from diffusion_book import equations  # here: a process that runs tests must import the copy

    chapters = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("mutants_ch*.py"))]
    every = MUTANTS + [mutant for chapter in chapters for mutant in chapter.MUTANTS]
    chosen = [m for m in every if not words or any(word in f"{m.mistake} {m.equation}" for word in words)]
    covered = {mutant.equation for mutant in every}
    stale = [f"BARE    no mutant for the equation {label}" for label in equations.numbers(ROOT) if label not in covered]
    for mutant in chosen:
        try:
            mutated(mutant)
        except (LookupError, SyntaxError, OSError) as error:
            stale.append(f"STALE   {mutant.mistake}: {error}")
    if stale or not chosen:
        print("\n".join(stale) or f"no mistake holds any of {words}")
        return 1

    start, missed = time.perf_counter(), 0
    if METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(["torch.distributions", "sympy", "hypothesis", "pytest"])
    with ThreadPoolExecutor(2) as pool:
        files = sorted({mutant.tests for mutant in chosen})
        for tests, outcome in zip(files, pool.map(apart, [(None, tests) for tests in files]), strict=True):
            if outcome.code != 0:
                print(f"{outcome.output}\ntests/{tests} is red without any mutant: make it green first")
                return 1
        for mutant, outcome in zip(chosen, pool.map(apart, [(m, m.tests) for m in chosen]), strict=True):
            verdict = {0: "MISSED", 1: "caught"}.get(outcome.code, "BROKEN")
            missed += verdict != "caught"
            by = outcome.failed or mutant.tests
            print(f"{verdict}  {outcome.seconds:4.1f} s  {mutant.mistake}  [{by}]", flush=True)
            if verdict == "BROKEN":
                print(outcome.output)
    print(f"{len(chosen) - missed} of {len(chosen)} planted errors caught in {time.perf_counter() - start:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
