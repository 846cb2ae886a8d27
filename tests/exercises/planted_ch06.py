"""Answers to the exercises of chapter 6 as people write them: wrong ones with their name, and right ones written otherwise."""

import math
from itertools import pairwise

import torch
from planted import Planted
from torch.distributions import Normal, kl_divergence

from diffusion_book.schedules import VP

F64 = torch.float64

# 6.1


def reverse_drift(x, score, f, g):
    return f * x - score * g * g


def uphill(x, score, f, g):
    return f * x + 0.5 * g**2 * score


def not_squared(x, score, f, g):
    return f * x - 0.5 * g * score


def no_score(x, score, f, g):
    return x * f


def constant_drift(x, score, f, g):
    return -0.5 * g**2 * score + f


def half_of_everything(x, score, f, g):
    return (f * x - g**2 * score) / 2


def way_back(x, score, f, g):
    return -(f * x - score * g**2 / 2)


def square_of_the_half(x, score, f, g):
    return f * x - (g / 2) ** 2 * score


def by_the_family(x, score, f, g, eta=0.0):
    return f * x - (1 + eta**2) / 2 * g**2 * score


def by_variance_rate(x, score, f, g):
    rate = g * g
    return torch.add(f * x, score, alpha=-rate / 2)


# 6.2


def variances_stretch(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    V_t, V_s = alpha_t**2 * l + sigma_t**2, alpha_s**2 * l + sigma_s**2
    return alpha_s * m + V_s / V_t * (x - alpha_t * m), torch.log(V_s / V_t).sum().item()


def the_way_back(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = torch.sqrt((alpha_t**2 * l + sigma_t**2) / (alpha_s**2 * l + sigma_s**2))
    return alpha_s * m + stretch * (x - alpha_t * m), stretch.log().sum().item()


def density_ratio(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    x_s, log_det = by_deviations(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s)
    return x_s, -log_det


def of_variances(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    x_s, log_det = by_deviations(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s)
    return x_s, 2 * log_det


def same_centre(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = ((alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)).sqrt()
    return alpha_t * m + stretch * (x - alpha_t * m), stretch.log().sum().item()


def signal_only(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = alpha_s / alpha_t
    return stretch * x, len(l) * math.log(stretch)


def about_the_mean_of_the_data(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = ((alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)).sqrt()
    return torch.lerp(m.expand_as(x), x, stretch), stretch.log().sum().item()


def sigma_unsquared(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = ((alpha_s**2 * l + sigma_s) / (alpha_t**2 * l + sigma_t)) ** 0.5
    return alpha_s * m + stretch * (x - alpha_t * m), stretch.log().sum().item()


def alpha_unsquared(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = ((alpha_s * l + sigma_s**2) / (alpha_t * l + sigma_t**2)) ** 0.5
    return alpha_s * m + stretch * (x - alpha_t * m), stretch.log().sum().item()


def mean_log(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = ((alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)).sqrt()
    return alpha_s * m + stretch * (x - alpha_t * m), stretch.log().mean().item()


def noise_added_to_the_deviation(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    stretch = (alpha_s * l.sqrt() + sigma_s) / (alpha_t * l.sqrt() + sigma_t)
    return alpha_s * m + stretch * (x - alpha_t * m), stretch.log().sum().item()


def by_deviations(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    before, after = (
        torch.hypot(a * l.sqrt(), torch.full_like(l, s)) for a, s in ((alpha_t, sigma_t), (alpha_s, sigma_s))
    )
    z = (x - alpha_t * m) / before
    return alpha_s * m + after * z, (after.log() - before.log()).sum().item()


def by_matrix(x, m, l, alpha_t, sigma_t, alpha_s, sigma_s):
    A = torch.diag(((alpha_s**2 * l + sigma_s**2) / (alpha_t**2 * l + sigma_t**2)).sqrt())
    return (x - alpha_t * m) @ A + alpha_s * m, torch.logdet(A).item()


# 6.3


def straight(a, b, w):
    return torch.lerp(a, b, w)


def straight_then_stretched(a, b, w):
    line = a + w * (b - a)
    wanted = a.norm(dim=-1, keepdim=True) * (1 - w) + b.norm(dim=-1, keepdim=True) * w
    return wanted * line / line.norm(dim=-1, keepdim=True)


def from_b_to_a(a, b, w):
    return by_plane(a, b, 1 - w)


def flattened(a, b, w):
    angle = torch.arccos(torch.dot(a.flatten(), b.flatten()) / a.norm() / b.norm())
    return torch.sin((1 - w) * angle) / torch.sin(angle) * a + torch.sin(w * angle) / torch.sin(angle) * b


def bare_sines(a, b, w):
    angle = torch.acos(torch.cosine_similarity(a, b, dim=1)).unsqueeze(1)
    return torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b


def turned_and_scaled(a, b, w):
    p, q = a.norm(dim=1), b.norm(dim=1)
    angle = torch.acos((a * b).sum(1) / (p * q))
    left, right = torch.sin((1 - w) * angle) / (p * torch.sin(angle)), torch.sin(w * angle) / (q * torch.sin(angle))
    return (p + w * (q - p))[:, None] * (left[:, None] * a + right[:, None] * b)


def parentheses_missing(a, b, w):
    angle = torch.arccos((a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1))[:, None]
    return torch.sin(angle - w * angle) * a + torch.sin(w * angle) * b / torch.sin(angle)


def sine_of_degrees(a, b, w):
    angle = torch.arccos((a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1))[:, None] * 180 / math.pi
    return (torch.sin(angle - w * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)


def without_acos(a, b, w):
    angle = ((a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1))[:, None]
    return (torch.sin(angle - w * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)


def as_if_of_length_one(a, b, w):
    angle = torch.einsum("bi,bi->b", a, b).arccos().unsqueeze(1)
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)


def quarter_circle(a, b, w):
    return math.cos(w * math.pi / 2) * a + math.sin(w * math.pi / 2) * b


def by_plane(a, b, w):
    """Turn the unit row of a towards b in their plane, and undo the lengths."""
    u, v = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    cosine = (u * v).sum(1, keepdim=True)
    across = (v - cosine * u) / (1 - cosine**2).sqrt()
    angle = torch.acos(cosine)
    at_a, at_b = torch.sin((1 - w) * angle) / torch.sin(angle), torch.sin(w * angle) / torch.sin(angle)
    return (at_a * a.norm(dim=1, keepdim=True)) * u + at_b * b.norm(dim=1, keepdim=True) * (
        cosine * u + torch.sin(angle) * across
    )


def row_by_row(a, b, w):
    rows = []
    for p, q in zip(a, b, strict=True):
        angle = torch.acos(torch.dot(p, q) / (p.norm() * q.norm()))
        rows.append((torch.sin(angle - w * angle) * p + torch.sin(w * angle) * q) / torch.sin(angle))
    return torch.stack(rows)


# 6.4


def found(velocity, divergence, log_prior, x, times):
    volume = torch.zeros_like(x[:, 0])
    for t, s in pairwise(times):
        x = x + (s - t) * velocity(x, t)
        volume = volume - (s - t) * divergence(x, t)
    return log_prior(x) + volume


def order_mended(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        volume = volume - divergence(x, t) * (s - t)
        x = x + velocity(x, t) * (s - t)
    return log_prior(x) + volume


def sign_mended(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        x = x + velocity(x, t) * (s - t)
        volume = volume + divergence(x, t) * (s - t)
    return log_prior(x) + volume


def prior_first(velocity, divergence, log_prior, x, times):
    total = log_prior(x)
    for t, s in pairwise(times):
        total, x = total + (s - t) * divergence(x, t), x + (s - t) * velocity(x, t)
    return total


def backwards(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        volume, x = volume + (t - s) * divergence(x, t), x + (t - s) * velocity(x, t)
    return log_prior(x) + volume


def heun(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        h, k1, d1 = s - t, velocity(x, t), divergence(x, t)
        k2, d2 = velocity(x + h * k1, s), divergence(x + h * k1, s)
        x, volume = x + h / 2 * (k1 + k2), volume + h / 2 * (d1 + d2)
    return log_prior(x) + volume


def heun_then_trapezoid(velocity, divergence, log_prior, x, times):
    path = [x]
    for t, s in pairwise(times):
        k = velocity(path[-1], t)
        path.append(path[-1] + (s - t) / 2 * (k + velocity(path[-1] + (s - t) * k, s)))
    values = torch.stack([divergence(y, t) for y, t in zip(path, times, strict=True)])
    return log_prior(path[-1]) + torch.trapezoid(values, torch.tensor(times, dtype=F64), dim=0)


def heun_and_first_divergence(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        volume, k = volume + (s - t) * divergence(x, t), velocity(x, t)
        x = x + (s - t) * (k / 2 + velocity(x + (s - t) * k, s) / 2)
    return log_prior(x) + volume


def trapezoid_along_euler(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        y = x + (s - t) * velocity(x, t)
        volume, x = volume + (s - t) * (divergence(x, t) + divergence(y, s)) / 2, y
    return log_prior(x) + volume


def half_way(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        middle = (t + s) / 2
        y = x + (middle - t) * velocity(x, t)
        volume, x = volume + (s - t) * divergence(y, middle), x + (s - t) * velocity(y, middle)
    return log_prior(x) + volume


def both_at_the_far_end(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        x = x + (s - t) * velocity(x, t)
        volume = volume + (s - t) * divergence(x, s)
    return log_prior(x) + volume


def in_one_go(velocity, divergence, log_prior, x, times):
    h = times[-1] - times[0]
    return log_prior(x + h * velocity(x, times[0])) + h * divergence(x, times[0])


def at_the_next_time(velocity, divergence, log_prior, x, times):
    volume = 0.0
    for t, s in pairwise(times):
        volume, x = volume + (s - t) * divergence(x, s), x + (s - t) * velocity(x, t)
    return log_prior(x) + volume


def at_once(velocity, divergence, log_prior, x, times):
    volume = torch.zeros(len(x), dtype=x.dtype)
    for i in range(len(times) - 1):
        h = times[i + 1] - times[i]
        volume, x = volume + h * divergence(x, times[i]), x + h * velocity(x, times[i])
    return volume + log_prior(x)


def recursively(velocity, divergence, log_prior, x, times):
    if len(times) == 1:
        return log_prior(x)
    t, h = times[0], times[1] - times[0]
    return recursively(velocity, divergence, log_prior, x + h * velocity(x, t), times[1:]) + h * divergence(x, t)


# 6.5


def one_too_few(first, last, steps):
    return torch.linspace(first**0.5, last**0.5, steps, dtype=F64) ** 2


def falling(first, last, steps):
    return squares(first, last, steps).flip(0)


def from_zero(first, last, steps):
    return torch.linspace(0, 1, steps + 1, dtype=F64) ** 2


def even(first, last, steps):
    return torch.linspace(first, last, steps + 1, dtype=F64)


def even_levels(first, last, steps):
    schedule = VP()
    times = schedule.inverse_logsnr(torch.linspace(schedule.logsnr(first), schedule.logsnr(last), steps + 1, dtype=F64))
    times[0], times[-1] = first, last
    return times


def hardly_bent(first, last, steps):
    times = torch.linspace(first, last, steps + 1, dtype=F64) ** 1.1
    times[0], times[-1] = first, last
    return times


def squares(first, last, steps):
    times = torch.linspace(first**0.5, last**0.5, steps + 1, dtype=F64) ** 2
    times[0], times[-1] = first, last
    return times


def cubes(first, last, steps):
    times = torch.linspace(first ** (1 / 3), last ** (1 / 3), steps + 1, dtype=F64) ** 3
    times[0], times[-1] = first, last
    return times


def by_angle(first, last, steps):
    schedule = VP()
    ends = [math.atan2(sigma, alpha) for alpha, sigma in (schedule(first), schedule(last))]
    times = schedule.inverse_logsnr(-2 * torch.linspace(*ends, steps + 1, dtype=F64).tan().log())
    times[0], times[-1] = first, last
    return times


def shifted(first, last, steps, power=0.3, shift=0.01):
    roots = torch.linspace((first + shift) ** power, (last + shift) ** power, steps + 1, dtype=F64)
    times = roots ** (1 / power) - shift
    times[0], times[-1] = first, last
    return times


def shifted_fifth(first, last, steps):
    return shifted(first, last, steps, 0.2)


# 6.6


def jacobians(field, x):
    return torch.stack([torch.autograd.functional.jacobian(lambda y: field(y[None])[0], row) for row in x])


def pulled_and_summed(field, x, v):
    x = x.clone().requires_grad_()
    return torch.autograd.grad((field(x) * v).sum(), x)[0].sum(1)


def without_a_probe(field, x, v):
    return jacobians(field, x).sum((1, 2))


def averaged(field, x, v):
    x = x.clone().requires_grad_()
    return (torch.autograd.grad((field(x) * v).sum(), x)[0] * v).mean(1)


def normalized(field, x, v):
    return through_the_matrix(field, x, v / v.norm(dim=1, keepdim=True))


def added_up(field, x, v):
    x = x.clone().requires_grad_()
    total = (torch.autograd.grad((field(x) * v).sum(), x)[0] * v).sum()
    return total.repeat(len(x))


def sum_of_the_rows_first(field, x, v):
    x = x.clone().requires_grad_()
    return (torch.autograd.grad(field(x).sum(), x)[0] * v).sum(1)


def no_derivative(field, x, v):
    return torch.einsum("bi,bi->b", field(x), v)


def squared_probe_at_the_end(field, x, v):
    x = x.clone().requires_grad_()
    return (torch.autograd.grad(field(x).sum(), x)[0] * v * v).sum(1)


def the_exact_trace(field, x, v):
    return jacobians(field, x).diagonal(dim1=1, dim2=2).sum(1)


def through_the_matrix(field, x, v):
    return torch.einsum("bi,bij,bj->b", v, jacobians(field, x), v)


def of_a_sum(field, x, v):
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        product = (field(x) * v).sum()
        product.backward()
    return (x.grad * v).sum(-1)


# 6.7


def on_the_grid(log_p, u, r):
    return 7 - log_p(u / 128 - 1) / math.log(2) / u.shape[1]


def of_x(log_p, u, r):
    return -log_p((u + r) / 128 - 1) / math.log(2) / u.shape[1]


def subtracted(log_p, u, r):
    return -log_p((u + r) / 128 - 1) / math.log(2) / u.shape[1] - 7


def half_of_255(log_p, u, r):
    return -log_p((u + r) / 128 - 1) / math.log(2) / u.shape[1] + math.log2(255 / 2)


def beyond_white(log_p, u, r):
    return -log_p((u + r) / 127.5 - 1) / math.log(2) / u.shape[1] + math.log2(127.5)


def in_nats(log_p, u, r):
    return -log_p((u + r) / 128 - 1) / u.shape[1] + 7


def eight_bits(log_p, u, r):
    return -log_p((u + r) / 128 - 1) / math.log(2) / u.shape[1] + math.log2(256)


def bits_of_the_row(log_p, u, r):
    return 7 - log_p((u + r) / 128 - 1) / math.log(2)


def plus_log_p(log_p, u, r):
    return log_p((u + r) / 128 - 1) / math.log(2) / u.shape[1] + 7


def centred(log_p, u, r):
    return -log_p((u + r - 0.5) / 127.5 - 1) / math.log(2) / u.shape[1] + math.log2(127.5)


def by_the_bins(log_p, u, r):
    nats = u.shape[1] * math.log(128) - log_p(2 * (u + r) / 256 - 1)
    return nats / math.log(2) / u.shape[1]


def by_log2(log_p, u, r):
    dims = u[0].numel()
    return (-log_p(((u + r) - 128) / 128) * math.log2(math.e) + 7 * dims) / dims


# 6.8


def flow_reversed(a, B):
    variance = torch.exp(((a - 1) * B).sum())
    return ((1 / variance - 1 + variance.log()) / 2).item(), (B * (a - 1).square()).sum().item() / 2


def model_first(a, B):
    scale = torch.exp(-((a - 1) * B).sum() / 2)
    return kl_divergence(Normal(0 * scale, scale), Normal(0 * scale, 1 + 0 * scale)).item(), (
        B * (a - 1).square()
    ).sum().item() / 2


def scale_for_variance(a, B):
    variance = torch.exp(-((a - 1) * B).sum() / 2)
    return ((1 / variance - 1 + variance.log()) / 2).item(), (B * (a - 1).square()).sum().item() / 2


def whole_square(a, B):
    return by_torch(a, B)[0], (B * (a - 1).square()).sum().item()


def errors_that_cancel(a, B):
    mean = ((a - 1) * B).sum() / B.sum()
    return by_torch(a, B)[0], (mean**2 * B.sum() / 2).item()


def whole_score(a, B):
    log_variance = -(a * B).sum()
    return ((torch.exp(-log_variance) - 1 + log_variance) / 2).item(), (B * a**2).sum().item() / 2


def without_the_pull(a, B):
    log_variance = -(a * B).sum()
    return ((torch.exp(-log_variance) - 1 + log_variance) / 2).item(), by_torch(a, B)[1]


def twice_the_divergence(a, B):
    first, bound = by_torch(a, B)
    return first + first, bound


def bound_first(a, B):
    return tuple(reversed(by_torch(a, B)))


def error_of_the_mean(a, B):
    return by_torch(a, B)[0], ((a.mean() - 1) ** 2 * B.sum() / 2).item()


def bound_without_time(a, B):
    return by_torch(a, B)[0], (a - 1).square().sum().item() / 2


def by_torch(a, B):
    scale = torch.exp(-((a - 1) * B).sum() / 2)
    first = kl_divergence(Normal(0 * scale, 1 + 0 * scale), Normal(0 * scale, scale)).item()
    return first, sum((slope - 1) ** 2 * length / 2 for slope, length in zip(a.tolist(), B.tolist(), strict=True))


def by_logs(a, B):
    log_variance = -float(torch.dot(a - 1, B))
    return (math.expm1(-log_variance) + log_variance) / 2, float(torch.dot((a - 1) ** 2, B)) / 2


def in_single_precision(first, last, steps):
    return torch.linspace(math.log(first + 0.03), math.log(last + 0.03), steps + 1).exp() - 0.03


PLANTED = (
    Planted("6.1", reverse_drift, "half missing"),
    Planted("6.1", uphill, "sign of the score"),
    Planted("6.1", not_squared, "g for its square"),
    Planted("6.1", no_score, "drift alone"),
    Planted("6.1", constant_drift, "drift without x"),
    Planted("6.1", half_of_everything, "half on both"),
    Planted("6.1", way_back, "time reversed"),
    Planted("6.1", square_of_the_half, None),
    Planted("6.2", variances_stretch, "root forgotten"),
    Planted("6.2", the_way_back, "ratio upside down"),
    Planted("6.2", density_ratio, "log det of the inverse"),
    Planted("6.2", of_variances, "half missing in the log det"),
    Planted("6.2", same_centre, "centre left behind"),
    Planted("6.2", signal_only, "noise left out"),
    Planted("6.2", about_the_mean_of_the_data, "centre of the data"),
    Planted("6.2", sigma_unsquared, "deviation for variance"),
    Planted("6.2", alpha_unsquared, "alpha for its square"),
    Planted("6.2", mean_log, "mean over the axes"),
    Planted("6.2", noise_added_to_the_deviation, None),
    Planted("6.3", straight, "chord"),
    Planted("6.3", straight_then_stretched, "chord stretched"),
    Planted("6.3", turned_and_scaled, "lengths apart"),
    Planted("6.3", from_b_to_a, "ends exchanged"),
    Planted("6.3", flattened, "one angle for all rows"),
    Planted("6.3", bare_sines, "not divided by the sine"),
    Planted("6.3", parentheses_missing, "one term not divided"),
    Planted("6.3", sine_of_degrees, "degrees"),
    Planted("6.3", without_acos, "cosine for the angle"),
    Planted("6.3", as_if_of_length_one, "lengths not divided out"),
    Planted("6.3", quarter_circle, None),
    Planted("6.4", found, "as it was found"),
    Planted("6.4", order_mended, "divergence sign"),
    Planted("6.4", sign_mended, "divergence after the step"),
    Planted("6.4", prior_first, "prior at the picture"),
    Planted("6.4", backwards, "steps backwards"),
    Planted("6.4", heun, "Heun's rule"),
    Planted("6.4", heun_then_trapezoid, "Heun's rule"),
    Planted("6.4", heun_and_first_divergence, "Heun's rule for the path"),
    Planted("6.4", trapezoid_along_euler, "Heun's rule for the volume"),
    Planted("6.4", half_way, "midpoint rule"),
    Planted("6.4", both_at_the_far_end, "divergence of the far end"),
    Planted("6.4", in_one_go, "one step for all"),
    Planted("6.4", at_the_next_time, None),
    Planted("6.5", one_too_few, "number of times"),
    Planted("6.5", falling, "times that do not rise"),
    Planted("6.5", from_zero, "ends moved"),
    Planted("6.5", even, "uniform in t"),
    Planted("6.5", even_levels, "uniform in log-SNR"),
    Planted("6.5", hardly_bent, None),
    Planted("6.5", squares, None),
    Planted("6.5", cubes, None),
    Planted("6.5", by_angle, None),
    Planted("6.6", pulled_and_summed, "probe used once"),
    Planted("6.6", without_a_probe, "no probe"),
    Planted("6.6", averaged, "mean over the entries"),
    Planted("6.6", normalized, "probe of length one"),
    Planted("6.6", added_up, "one number for all rows"),
    Planted("6.6", the_exact_trace, "the exact trace"),
    Planted("6.6", sum_of_the_rows_first, "probe used at the end only"),
    Planted("6.6", no_derivative, "field for its Jacobian"),
    Planted("6.6", squared_probe_at_the_end, None),
    Planted("6.7", on_the_grid, "dequantization missing"),
    Planted("6.7", of_x, "offset missing"),
    Planted("6.7", subtracted, "offset with the wrong sign"),
    Planted("6.7", half_of_255, "offset of the other scaling"),
    Planted("6.7", beyond_white, "the other scaling"),
    Planted("6.7", in_nats, "log 2 missing"),
    Planted("6.7", eight_bits, "all 256 bins"),
    Planted("6.7", bits_of_the_row, "not per dimension"),
    Planted("6.7", plus_log_p, "sign of log p"),
    Planted("6.7", centred, None),
    Planted("6.8", flow_reversed, "variance upside down"),
    Planted("6.8", model_first, "variance upside down"),
    Planted("6.8", scale_for_variance, "deviation for variance"),
    Planted("6.8", whole_square, "half missing in the bound"),
    Planted("6.8", errors_that_cancel, "mean before the square"),
    Planted("6.8", bound_without_time, "time left out of the bound"),
    Planted("6.8", whole_score, "a for a - 1"),
    Planted("6.8", without_the_pull, "f x left out"),
    Planted("6.8", twice_the_divergence, "half missing in the KL"),
    Planted("6.8", bound_first, "values exchanged"),
    Planted("6.8", error_of_the_mean, None),
)

RIGHT = {
    "6.1": (by_the_family, by_variance_rate),
    "6.2": (by_deviations, by_matrix),
    "6.3": (by_plane, row_by_row),
    "6.4": (at_once, recursively),
    "6.5": (in_single_precision, shifted, shifted_fifth),
    "6.6": (through_the_matrix, of_a_sum),
    "6.7": (by_the_bins, by_log2),
    "6.8": (by_torch, by_logs),
}
