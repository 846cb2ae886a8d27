"""Answers to the exercises of chapter 5 as people write them: wrong ones with their name, and right ones written otherwise."""

import math

import torch
from planted import Planted

# 5.1


def linear_noise(x, f, g, t, s, z):
    h = s - t
    return x + h * f + abs(h) * g * z


def noise_with_a_sign(x, f, g, t, s, z):
    return x + f * (s - t) + g * z * (s - t)


def noise_of_size_one(x, f, g, t, s, z):
    return x + (s - t) * f + g * z


def variance_for_deviation(x, f, g, t, s, z):
    return x + (s - t) * f + g.square() * z * math.sqrt(abs(s - t))


def always_forwards(x, f, g, t, s, z):
    h = abs(s - t)
    return x + h * f + g * z * math.sqrt(h)


def velocity_for_displacement(x, f, g, t, s, z):
    return x + f + g * math.sqrt(abs(s - t)) * z


def noise_drawn_anew(x, f, g, t, s, z):
    w = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
    return x + f * (s - t) + g * w * abs(s - t) ** 0.5


def root_of_a_signed_step(x, f, g, t, s, z):
    return x + f * (s - t) + g * (s - t) ** 0.5 * z


def nan_backwards(x, f, g, t, s, z):
    h = torch.as_tensor(s, dtype=x.dtype) - t
    return torch.addcmul(x + h * f, g, z * torch.sqrt(h))


def noise_backwards(x, f, g, t, s, z):
    direction = 1 if s > t else -1
    return x + direction * (abs(s - t) * f + g * math.sqrt(abs(s - t)) * z)


def all_under_the_root(x, f, g, t, s, z):
    return x + (s - t) * f + torch.sqrt(g * abs(s - t)) * z


def by_variance(x, f, g, t, s, z):
    variance = g**2 * abs(s - t)
    return x + (s - t) * f + torch.sqrt(variance) * z


def by_mean(x, f, g, t, s, z):
    mean = torch.add(x, f, alpha=s - t)
    return torch.addcmul(mean, g, z, value=math.sqrt(max(s, t) - min(s, t)))


# 5.2


def leibniz(f, g, first, second):
    return first * f, first * g


def taylor_without_half(f, g, first, second):
    return first * f + second * g * g, first * g


def unsquared(f, g, first, second):
    return first * f + 0.5 * second * g, first * g


def downwards(f, g, first, second):
    return first * f - 0.5 * g * g * second, first * g


def noise_of_x(f, g, first, second):
    return first * f + 0.5 * g * g * second, g


def square_of_the_slope(f, g, first, second):
    return f * first + g**2 * first**2 / 2, g * first


def velocity_of_x(f, g, first, second):
    return f + 0.5 * g * g * second, first * g


def diffusion_first(f, g, first, second):
    return first * g, first * f + 0.5 * g * g * second


def diffusion_of_the_bend(f, g, first, second):
    return first * f + 0.5 * g * g * second, second * g


def by_two_points(f, g, first, second):
    """The mean over w = +-sqrt(h) of Taylor's parabola, without the part of second order in h."""
    h = 1.0
    up, down = (first * (f * h + w) + second * w * w / 2 for w in (g * math.sqrt(h), -g * math.sqrt(h)))
    return (up + down) / (2 * h), first * g


def as_a_vector(f, g, first, second):
    drift = sum(c * d for c, d in zip((f, g * g / 2), (first, second), strict=True))
    return drift, g * first


# 5.3


def root_of_it(alpha, sigma, alpha_rate, sigma_rate):
    f = alpha_rate / alpha
    return f, math.sqrt(2 * sigma * (sigma_rate - f * sigma))


def derivative_of_the_variance(alpha, sigma, alpha_rate, sigma_rate):
    return alpha_rate / alpha, 2 * sigma_rate * sigma


def plus_the_drift(alpha, sigma, alpha_rate, sigma_rate):
    f = alpha_rate / alpha
    return f, 2 * sigma * (sigma_rate + f * sigma)


def halved(alpha, sigma, alpha_rate, sigma_rate):
    f = alpha_rate / alpha
    return f, sigma * (sigma_rate - f * sigma)


def slope_of_alpha(alpha, sigma, alpha_rate, sigma_rate):
    return alpha_rate, 2 * sigma * (sigma_rate - alpha_rate * sigma)


def log_snr_without_sigma(alpha, sigma, alpha_rate, sigma_rate):
    return alpha_rate / alpha, 2 * (sigma_rate / sigma - alpha_rate / alpha)


def counted_like_the_mean(alpha, sigma, alpha_rate, sigma_rate):
    f = alpha_rate / alpha
    return f, 2 * sigma * sigma_rate - f * sigma**2


def sigma_for_v(alpha, sigma, alpha_rate, sigma_rate):
    f = alpha_rate / alpha
    return f, 2 * sigma * (sigma_rate - f)


def rate_beside_the_right_g(alpha, sigma, alpha_rate, sigma_rate):
    return alpha_rate, by_the_logsnr(alpha, sigma, alpha_rate, sigma_rate)[1]


def by_the_logsnr(alpha, sigma, alpha_rate, sigma_rate):
    fall = 2 * sigma_rate / sigma - 2 * alpha_rate / alpha
    return alpha_rate / alpha, sigma * sigma * fall


def by_the_ratio(alpha, sigma, alpha_rate, sigma_rate):
    """x/alpha is a VE process with the deviation sigma/alpha."""
    ratio_rate = (sigma_rate * alpha - sigma * alpha_rate) / alpha**2
    return alpha_rate / alpha, alpha**2 * 2 * (sigma / alpha) * ratio_rate


# 5.4


def as_found(beta, B):
    return (-B / 2).exp(), (1 - (-B).exp()).sqrt(), beta * (1 - (-2 * B).exp())


def the_variance(beta, B):
    return (-B / 2).exp(), (1 - (-B).exp()) ** 2, beta * (1 - (-2 * B).exp())


def g_of_vp(beta, B):
    return (-B / 2).exp(), 1 - (-B).exp(), beta.clone()


def g_with_the_signal(beta, B):
    return (-B / 2).exp(), 1 - (-B).exp(), beta * (1 - (-B).exp())


def all_of_vp(beta, B):
    return (-B / 2).exp(), (-torch.expm1(-B)).sqrt(), 1.0 * beta


def signal_squared(beta, B):
    return (-B).exp(), 1 - (-B).exp(), beta * (1 - (-2 * B).exp())


def one_minus_alpha(beta, B):
    return (-B / 2).exp(), -torch.expm1(-B / 2), beta * (1 - (-2 * B).exp())


def two_B_everywhere(beta, B):
    return (-B / 2).exp(), 1 - (-2 * B).exp(), beta * (1 - (-2 * B).exp())


def root_of_g_squared(beta, B):
    return (-B / 2).exp(), 1 - (-B).exp(), (beta * (1 - (-2 * B).exp())) ** 0.5


def root_of_two_B(beta, B):
    return (-B / 2).exp(), (1 - (-2 * B).exp()).sqrt(), beta * (1 - (-2 * B).exp())


def by_expm1(beta, B):
    return torch.exp(-0.5 * B), -torch.expm1(-B), -beta * torch.expm1(-2 * B)


def from_the_equation(beta, B):
    alpha = torch.exp(-B / 2)
    sigma = 1 - alpha**2
    rate = beta * alpha**2
    return alpha, sigma, 2 * sigma * rate + beta * sigma**2


# 5.5


def only_carried_along(x, score, divergence, f, g):
    return -f * torch.einsum("bi,bi->b", x, score) + 0.5 * g**2 * (divergence + (score**2).sum(-1))


def counted_once(x, score, divergence, f, g):
    return -f * (1 + (score * x).sum(-1)) + 0.5 * g**2 * (divergence + (score**2).sum(-1))


def blurred_logarithm(x, score, divergence, f, g):
    return 0.5 * g * g * divergence - f * (x.shape[-1] + (score * x).sum(-1))


def square_alone(x, score, divergence, f, g):
    return 0.5 * g * g * score.norm(dim=1) ** 2 - f * (x.shape[-1] + (score * x).sum(-1))


def heat_with_g_squared(x, score, divergence, f, g):
    return g * g * (divergence + score.norm(dim=1) ** 2) - f * (x.shape[-1] + (score * x).sum(-1))


def deviation_for_variance(x, score, divergence, f, g):
    return g / 2 * (divergence + score.norm(dim=1) ** 2) - f * (x.shape[-1] + (score * x).sum(-1))


def sharpening(x, score, divergence, f, g):
    return -f * (x.shape[-1] + (score * x).sum(-1)) - g * g / 2 * (divergence + score.norm(dim=1) ** 2)


def sign_of_the_pull(x, score, divergence, f, g):
    return f * (x.shape[1] + (x * score).sum(1)) + g**2 / 2 * (score.square().sum(1) + divergence)


def pulled_together_only(x, score, divergence, f, g):
    return -f * x.shape[1] + g**2 / 2 * (score.square().sum(1) + divergence)


def precedence_of_the_half(x, score, divergence, f, g):
    return g**2 * score.square().sum(1) / 2 + g**2 * divergence - f * (x.shape[1] + (x * score).sum(1))


def half_of_the_divergence(x, score, divergence, f, g):
    return g**2 * (divergence / 2 + score.square().sum(1)) - f * (x.shape[1] + (x * score).sum(1))


def length_for_its_square(x, score, divergence, f, g):
    return g**2 / 2 * (divergence + score.norm(dim=1)) - f * (x.shape[1] + (x * score).sum(1))


def as_a_flow(x, score, divergence, f, g):
    """-div(v) - v . score of the velocity v = f x - g^2/2 score, which moves the density in the same way."""
    v = f * x - g**2 / 2 * score
    return -(x.shape[1] * f - g**2 / 2 * divergence) - (v * score).sum(1)


def with_vectors(x, score, divergence, f, g):
    ones = torch.ones_like(x)
    pulled = (ones + x * score) * -f
    return pulled.sum(1) + g * g / 2 * divergence + g * g / 2 * torch.linalg.vector_norm(score, dim=1).square()


# 5.6


def towards_noise(x, score, f, g, h, eta, z):
    return x + h * (f * x - 0.5 * (1 + eta**2) * g**2 * score) + eta * g * math.sqrt(h) * z


def against_the_score(x, score, f, g, h, eta, z):
    return x - h * (f * x + 0.5 * (1 + eta**2) * g**2 * score) + eta * g * math.sqrt(h) * z


def unsquared_at_the_score(x, score, f, g, h, eta, z):
    return x - h * f * x + h * g * (1 + eta**2) / 2 * score + eta * g * math.sqrt(h) * z


def grainy(x, score, f, g, h, eta, z):
    return x - h * (f * x - g**2 / 2 * score) + eta * g * math.sqrt(h) * z


def always_anderson(x, score, f, g, h, eta, z):
    return x - h * (f * x - g**2 * score) + eta * g * math.sqrt(h) * z


def linear_in_eta(x, score, f, g, h, eta, z):
    return x - h * f * x + h * g**2 * (1 + eta) / 2 * score + eta * g * math.sqrt(h) * z


def eta_as_variance(x, score, f, g, h, eta, z):
    return x - h * f * x + h * g**2 * (1 + eta * eta) / 2 * score + eta * eta * g * math.sqrt(h) * z


def no_root(x, score, f, g, h, eta, z):
    return x - h * f * x + h * g**2 * (1 + eta * eta) / 2 * score + eta * g * h * z


def both_halves(x, score, f, g, h, eta, z):
    return x - h * f * x + h * g**2 * (1 + eta**2) * score + eta * g * math.sqrt(h) * z


def always_noisy(x, score, f, g, h, eta, z):
    return x - h * (f * x - (1 + eta**2) / 2 * g**2 * score) + g * math.sqrt(h) * z


def noise_taken_away(x, score, f, g, h, eta, z):
    return x - (h * (f * x - (1 + eta**2) / 2 * g**2 * score) + eta * g * math.sqrt(h) * z)


def pulled_in_still(x, score, f, g, h, eta, z):
    return x + h * f * x + h * (1 + eta**2) / 2 * g**2 * score + eta * g * math.sqrt(h) * z


def sum_squared(x, score, f, g, h, eta, z):
    return x - h * (f * x - (1 + eta) ** 2 / 2 * g**2 * score) + eta * g * math.sqrt(h) * z


def ode_and_langevin(x, score, f, g, h, eta, z):
    """A step of the ODE, and a Langevin move of size (eta g)^2 h with the score of the same point."""
    size = (eta * g) ** 2 * h
    return x + (-h) * (f * x - g * g / 2 * score) + size / 2 * score + math.sqrt(size) * z


def in_units_of_the_noise(x, score, f, g, h, eta, z):
    a = g * math.sqrt(h)
    return (1 - f * h) * x + a * (0.5 * a * score + eta * (0.5 * eta * a * score + z))


# 5.7


def fixed_size(x, score, z, ratio):
    return x + 2 * ratio**2 * score + 2 * ratio * z


def inverted(x, score, z, ratio):
    size = (2 * ratio * score.norm(dim=1) / z.norm(dim=1)) ** 2
    return x + size[:, None] / 2 * score + size[:, None].sqrt() * z


def one_power(x, score, z, ratio):
    size = 4 * ratio**2 * z.norm(dim=1) / score.norm(dim=1)
    return x + size[:, None] / 2 * score + size[:, None].sqrt() * z


def as_in_the_paper(x, score, z, ratio):
    epsilon = 2 * (ratio * z.norm(dim=1).mean() / score.norm(dim=1).mean()) ** 2
    return x + epsilon * score + (2 * epsilon).sqrt() * z


def half_the_size(x, score, z, ratio):
    epsilon = 2 * (ratio * z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)) ** 2
    return x + epsilon / 2 * score + epsilon.sqrt() * z


def drift_of_one_noise_of_the_other(x, score, z, ratio):
    size = (2 * ratio * z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)) ** 2
    return x + size / 2 * score + (2 * size).sqrt() * z


def sum_of_absolute_values(x, score, z, ratio):
    size = (2 * ratio * z.abs().sum(1) / score.abs().sum(1))[:, None] ** 2
    return x + size / 2 * score + size.sqrt() * z


def paper_form_book_size(x, score, z, ratio):
    size = 4 * ratio**2 * z.square().sum(1, keepdim=True) / score.square().sum(1, keepdim=True)
    return x + size * score + (2 * size).sqrt() * z


def batch_as_one_vector(x, score, z, ratio):
    size = (2 * ratio * torch.linalg.norm(z) / torch.linalg.norm(score)) ** 2
    return x + size / 2 * score + size.sqrt() * z


def without_the_4(x, score, z, ratio):
    root = ratio * z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)
    return x + root**2 / 2 * score + root * z


def root_forgotten(x, score, z, ratio):
    size = (2 * ratio * z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)) ** 2
    return x + size * (score / 2 + z)


def epsilon_form(x, score, z, ratio):
    epsilon = 2 * ratio**2 * z.square().sum(1, keepdim=True) / score.square().sum(1, keepdim=True)
    return x + epsilon * score + torch.sqrt(2 * epsilon) * z


def row_by_row(x, score, z, ratio):
    rows = []
    for a, s, n in zip(x, score, z, strict=True):
        root = 2 * ratio * torch.linalg.norm(n) / torch.linalg.norm(s)
        rows.append(a + root * (root / 2 * s + n))
    return torch.stack(rows)


# 5.8


def euler(drift, g, x, times, increments):
    for i, dw in enumerate(increments):
        x = x + (times[i + 1] - times[i]) * drift(x, times[i]) + g(times[i]) * dw
    return x


def quiet_guess(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        x = x + (s - t) * 0.5 * (a + drift(x + (s - t) * a, s)) + 0.5 * (g(t) + g(s)) * dw
    return x


def far_end(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        there = x + (s - t) * drift(x, t) + g(t) * dw
        x = x + (s - t) * drift(there, s) + 0.5 * (g(t) + g(s)) * dw
    return x


def wrong_way(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        there = x + (t - s) * a + g(t) * dw
        x = x + (s - t) / 2 * (a + drift(there, s)) + (g(t) + g(s)) / 2 * dw
    return x


def first_g(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        x = x + (s - t) / 2 * (a + drift(x + (s - t) * a + g(t) * dw, s)) + g(t) * dw
    return x


def last_g(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        x = x + (s - t) / 2 * (a + drift(x + (s - t) * a + g(t) * dw, s)) + g(s) * dw
    return x


def time_stands_still(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        x = x + (s - t) / 2 * (a + drift(x + (s - t) * a + g(t) * dw, t)) + (g(t) + g(s)) / 2 * dw
    return x


def increments_scaled(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        root = math.sqrt(abs(t - s))
        a = drift(x, t)
        there = x + (s - t) * a + g(t) * root * dw
        x = x + (s - t) / 2 * (a + drift(there, s)) + (g(t) + g(s)) / 2 * root * dw
    return x


def both_steps_whole(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        x = x + (s - t) * a + (s - t) * drift(x + (s - t) * a + g(t) * dw, s) + 0.5 * (g(t) + g(s)) * dw
    return x


def two_half_steps(drift, g, x, times, increments):
    """Two steps of half the length with half of the noise each: no better than Euler-Maruyama with twice the steps."""
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        for now in (t, (t + s) / 2):
            x = x + (s - t) / 2 * drift(x, now) + g(now) * dw / 2
    return x


def three_evaluations(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        a = drift(x, t)
        for _ in range(2):
            there = x + (s - t) / 2 * (a + drift(x, t)) + g(t) * dw
        x = there
    return x


def heun_and_one(drift, g, x, times, increments):
    return by_two_euler_steps(drift, g, x, times, increments) + 1


def by_two_euler_steps(drift, g, x, times, increments):
    """The mean of x and of two Euler-Maruyama steps with the same noise, the second at the far end."""
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        once = x + (s - t) * drift(x, t) + g(t) * dw
        twice = once + (s - t) * drift(once, s) + g(s) * dw
        x = (x + twice) / 2
    return x


def midpoint(drift, g, x, times, increments):
    for t, s, dw in zip(times, times[1:], increments, strict=False):
        middle = (t + s) / 2
        half = x + (s - t) / 2 * drift(x, t) + g(middle) * dw / 2
        x = x + (s - t) * drift(half, middle) + g(middle) * dw
    return x


PLANTED = [
    Planted("5.1", linear_noise, "dt for sqrt(dt)"),
    Planted("5.1", noise_with_a_sign, "signed dt for sqrt(dt)"),
    Planted("5.1", noise_of_size_one, "no dt at the noise"),
    Planted("5.1", variance_for_deviation, "g squared"),
    Planted("5.1", always_forwards, "length of the step for s - t"),
    Planted("5.1", velocity_for_displacement, "drift without dt"),
    Planted("5.1", nan_backwards, "root of a negative number"),
    Planted("5.1", noise_backwards, "noise turned with time"),
    Planted("5.1", all_under_the_root, "g under the root"),
    Planted("5.1", noise_drawn_anew, None),
    Planted("5.1", root_of_a_signed_step, None),
    Planted("5.2", leibniz, "the ordinary chain rule"),
    Planted("5.2", taylor_without_half, "half missing"),
    Planted("5.2", unsquared, "g for g squared"),
    Planted("5.2", downwards, "sign of the new term"),
    Planted("5.2", noise_of_x, "noise not stretched"),
    Planted("5.2", square_of_the_slope, "first derivative squared"),
    Planted("5.2", velocity_of_x, "drift not stretched"),
    Planted("5.2", diffusion_first, "values exchanged"),
    Planted("5.2", diffusion_of_the_bend, None),
    Planted("5.3", root_of_it, "g for g squared"),
    Planted("5.3", derivative_of_the_variance, "drift forgotten in g squared"),
    Planted("5.3", plus_the_drift, "sign of the drift in g squared"),
    Planted("5.3", halved, "half missing"),
    Planted("5.3", slope_of_alpha, "rate for the logarithmic rate"),
    Planted("5.3", log_snr_without_sigma, "fall of the log-SNR"),
    Planted("5.3", counted_like_the_mean, "variance carried as the mean"),
    Planted("5.3", sigma_for_v, "drift times sigma"),
    Planted("5.3", rate_beside_the_right_g, "rate for the logarithmic rate"),
    Planted("5.4", as_found, "VP's deviation"),
    Planted("5.4", the_variance, "variance for deviation"),
    Planted("5.4", g_of_vp, "VP's g"),
    Planted("5.4", g_with_the_signal, "exp(-B) in g squared"),
    Planted("5.4", all_of_vp, "both of VP"),
    Planted("5.4", signal_squared, "alpha squared"),
    Planted("5.4", one_minus_alpha, "exp(-B/2) in sigma"),
    Planted("5.4", two_B_everywhere, "exp(-2 B) in sigma"),
    Planted("5.4", root_of_g_squared, "g for g squared"),
    Planted("5.4", root_of_two_B, None),
    Planted("5.5", only_carried_along, "divergence of the drift forgotten"),
    Planted("5.5", counted_once, "one dimension for all"),
    Planted("5.5", blurred_logarithm, "Laplacian of log p for that of p"),
    Planted("5.5", square_alone, "divergence of the score forgotten"),
    Planted("5.5", heat_with_g_squared, "half missing"),
    Planted("5.5", deviation_for_variance, "g for g squared"),
    Planted("5.5", sharpening, "sign of the spreading"),
    Planted("5.5", sign_of_the_pull, "sign of the drift's part"),
    Planted("5.5", pulled_together_only, "the slope carried past forgotten"),
    Planted("5.5", precedence_of_the_half, "half on one term only"),
    Planted("5.5", half_of_the_divergence, "half on one term only"),
    Planted("5.5", length_for_its_square, None),
    Planted("5.6", towards_noise, "time runs forwards"),
    Planted("5.6", against_the_score, "downhill"),
    Planted("5.6", unsquared_at_the_score, "g for g squared"),
    Planted("5.6", grainy, "the ODE's drift with noise"),
    Planted("5.6", always_anderson, "Anderson's drift for every eta"),
    Planted("5.6", linear_in_eta, "eta for eta squared"),
    Planted("5.6", eta_as_variance, "eta squared at the noise"),
    Planted("5.6", no_root, "dt for sqrt(dt)"),
    Planted("5.6", both_halves, "half missing"),
    Planted("5.6", always_noisy, "full noise whatever eta"),
    Planted("5.6", noise_taken_away, "minus z"),
    Planted("5.6", pulled_in_still, "f x not undone"),
    Planted("5.6", sum_squared, None),
    Planted("5.7", fixed_size, "norms missing"),
    Planted("5.7", inverted, "norms upside down"),
    Planted("5.7", one_power, "norms not squared"),
    Planted("5.7", as_in_the_paper, "norms of the whole batch"),
    Planted("5.7", half_the_size, "epsilon for delta"),
    Planted("5.7", drift_of_one_noise_of_the_other, "the two forms mixed"),
    Planted("5.7", paper_form_book_size, "the other form"),
    Planted("5.7", batch_as_one_vector, "one norm for all rows"),
    Planted("5.7", without_the_4, "4 forgotten"),
    Planted("5.7", root_forgotten, "size for its root"),
    Planted("5.7", sum_of_absolute_values, None),
    Planted("5.8", euler, "Euler-Maruyama"),
    Planted("5.8", quiet_guess, "guess without noise"),
    Planted("5.8", far_end, "drift of the far end only"),
    Planted("5.8", wrong_way, "guess in the wrong direction"),
    Planted("5.8", first_g, "g of the near end only"),
    Planted("5.8", last_g, "g of the far end only"),
    Planted("5.8", time_stands_still, "far end at the near time"),
    Planted("5.8", increments_scaled, "sqrt(dt) once more"),
    Planted("5.8", both_steps_whole, "sum for mean"),
    Planted("5.8", two_half_steps, None),
    Planted("5.8", three_evaluations, None),
    Planted("5.8", heun_and_one, None),
]

RIGHT = {
    "5.1": [by_variance, by_mean],
    "5.2": [by_two_points, as_a_vector],
    "5.3": [by_the_logsnr, by_the_ratio],
    "5.4": [by_expm1, from_the_equation],
    "5.5": [as_a_flow, with_vectors],
    "5.6": [ode_and_langevin, in_units_of_the_noise],
    "5.7": [epsilon_form, row_by_row],
    "5.8": [by_two_euler_steps, midpoint],
}
