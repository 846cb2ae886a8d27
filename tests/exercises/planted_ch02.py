"""Answers to the exercises of chapter 2 as people write them: wrong ones with their name, and right ones written otherwise."""

import math

import torch
from planted import Planted
from torch.distributions import Normal

# 2.1


def textbook_variance(x, x_k, alpha_bar, alpha_bar_before):
    alpha = alpha_bar / alpha_bar_before
    mean = (math.sqrt(alpha) * (1 - alpha_bar_before) * x_k + math.sqrt(alpha_bar_before) * (1 - alpha) * x) / (
        1 - alpha_bar
    )
    return mean, 1 - alpha


def cumulative_root(x, x_k, alpha_bar, alpha_bar_before):
    beta = (alpha_bar_before - alpha_bar) / alpha_bar_before
    denominator = 1 - alpha_bar
    mean = math.sqrt(alpha_bar_before) * beta / denominator * x
    mean = mean + math.sqrt(alpha_bar) * (1 - alpha_bar_before) / denominator * x_k
    return mean, (1 - alpha_bar_before) / denominator * beta


def root_of_what_is_added(x, x_k, alpha_bar, alpha_bar_before):
    alpha = alpha_bar / alpha_bar_before
    sigma2, sigma2_before = 1 - alpha_bar, 1 - alpha_bar_before
    mean = x * alpha_bar_before**0.5 * (1 - alpha) / sigma2 + x_k * (1 - alpha) ** 0.5 * sigma2_before / sigma2
    return mean, sigma2_before * (1 - alpha) / sigma2


def changed_places(x, x_k, alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    weights = alpha_bar_before**0.5 * beta, (1 - beta) ** 0.5 * (1 - alpha_bar_before)
    return (weights[0] * x_k + weights[1] * x) / (1 - alpha_bar), beta * (1 - alpha_bar_before) / (1 - alpha_bar)


def what_noise_is_multiplied_with(x, x_k, alpha_bar, alpha_bar_before):
    mean, variance = by_precisions(x, x_k, alpha_bar, alpha_bar_before)
    return mean, math.sqrt(variance)


def a_quotient_of_squares(x, x_k, alpha_bar, alpha_bar_before):
    alpha_ts = alpha_bar / alpha_bar_before
    c_0 = math.sqrt(alpha_bar_before) * (1 - alpha_ts) / (1 - alpha_bar)
    c_t = alpha_ts * (1 - alpha_bar_before) / (1 - alpha_bar)
    return c_t * x_k + c_0 * x, (1 - alpha_ts) * (1 - alpha_bar_before) / (1 - alpha_bar)


def alpha_bar_itself_on_x(x, x_k, alpha_bar, alpha_bar_before):
    mean, variance = by_precisions(x, x_k, alpha_bar, alpha_bar_before)
    c_0 = (alpha_bar_before - alpha_bar) / math.sqrt(alpha_bar_before) / (1 - alpha_bar)
    return mean + c_0 * (math.sqrt(alpha_bar_before) - 1) * x, variance


def alphas_are_alpha_bars(x, x_k, alpha_bar, alpha_bar_before):
    alpha_t, alpha_s, beta = alpha_bar, alpha_bar_before, 1 - alpha_bar / alpha_bar_before
    sigma2_t, sigma2_s = 1 - alpha_bar, 1 - alpha_bar_before
    mean = (alpha_t / alpha_s * sigma2_s * x_k + alpha_s * beta * x) / sigma2_t
    return mean, sigma2_s / sigma2_t * beta


def both_from_the_later(x, x_k, alpha_bar, alpha_bar_before):
    alpha = alpha_bar / alpha_bar_before
    mean = alpha**0.5 * (1 - alpha_bar_before) * x_k + alpha_bar**0.5 * (1 - alpha) * x
    return mean / (1 - alpha_bar), (1 - alpha) * (1 - alpha_bar_before) / (1 - alpha_bar)


def variance_upside_down(x, x_k, alpha_bar, alpha_bar_before):
    mean, _ = by_precisions(x, x_k, alpha_bar, alpha_bar_before)
    return mean, (1 - alpha_bar / alpha_bar_before) * (1 - alpha_bar) / (1 - alpha_bar_before)


def mean_without_the_picture(x, x_k, alpha_bar, alpha_bar_before):
    mean, variance = by_precisions(x, x_k, alpha_bar, alpha_bar_before)
    return x_k * mean.mean() / x_k.mean(), variance


def by_precisions(x, x_k, alpha_bar, alpha_bar_before):
    keep = alpha_bar / alpha_bar_before
    first, second = 1 / (1 - alpha_bar_before), keep / (1 - keep)
    mean = (first * alpha_bar_before**0.5 * x + second * x_k / keep**0.5) / (first + second)
    return mean, 1 / (first + second)


def from_the_noise(x, x_k, alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    eps = (x_k - alpha_bar**0.5 * x) / (1 - alpha_bar) ** 0.5
    return (x_k - beta / (1 - alpha_bar) ** 0.5 * eps) / (1 - beta) ** 0.5, (beta - beta**2 / (1 - alpha_bar)) / (
        1 - beta
    )


# 2.2


def log_of_the_first_over_the_second(mean1, var1, mean2, var2):
    return 0.5 * (var1.log() - var2.log() + (var1 + (mean1 - mean2).square()) / var2 - 1)


def negated(mean1, var1, mean2, var2):
    return (1 - var1 / var2 - (mean2 - mean1) ** 2 / var2 + var1.log() - var2.log()) / 2


def reverse(mean1, var1, mean2, var2):
    return (var1 / var2).sqrt().log() + (var2 + (mean1 - mean2) ** 2) / (2 * var1) - 0.5


def without_a_half(mean1, var1, mean2, var2):
    return var2.log() - var1.log() + (var1 + (mean1 - mean2) ** 2) / var2 - 1


def own_width(mean1, var1, mean2, var2):
    return (var2 / var1).log() / 2 + var1 / (2 * var2) - 0.5 + (mean1 - mean2) ** 2 / (2 * var1)


def not_zero_for_equals(mean1, var1, mean2, var2):
    return (var2 / var1).sqrt().log() + (var1 + (mean2 - mean1) ** 2) / (2 * var2)


def deviations_taken_for_variances(mean1, var1, mean2, var2):
    return torch.log(var2 / var1) + (var1**2 + (mean1 - mean2) ** 2) / (2 * var2**2) - 0.5


def half_a_log(mean1, var1, mean2, var2):
    return 0.5 * torch.log(var2 / var1) + (var1 + (mean1 - mean2) ** 2) / var2 - 1


def as_with_deviations(mean1, var1, mean2, var2):
    return (var2 / var1).log() + (var1 + (mean1 - mean2) ** 2) / (2 * var2) - 1 / 2


def one_taken_off(mean1, var1, mean2, var2):
    return 0.5 * (var2.log() - var1.log() + (var1 + (mean1 - mean2).square()) / var2) - 1


def second_over_first(mean1, var1, mean2, var2):
    return ((var2 / var1).log() + var2 / var1 + (mean1 - mean2).square() / var2) / 2 - 0.5


def signed_distance(mean1, var1, mean2, var2):
    return 0.5 * (var2.log() - var1.log() + (var1 + mean1 - mean2) / var2 - 1)


def in_bits(mean1, var1, mean2, var2):
    return (0.5 * torch.log(var2 / var1) + (var1 + (mean1 - mean2) ** 2) / (2 * var2) - 0.5) / math.log(2)


def by_expectations(mean1, var1, mean2, var2):
    """Cross-entropy minus entropy."""
    cross = 0.5 * torch.log(2 * math.pi * var2) + (var1 + (mean1 - mean2) ** 2) / (2 * var2)
    return cross - 0.5 * torch.log(2 * math.pi * math.e * var1)


def by_deviations(mean1, var1, mean2, var2):
    d1, d2 = var1.sqrt(), var2.sqrt()
    return torch.log(d2 / d1) + 0.5 * ((d1 / d2) ** 2 + ((mean1 - mean2) / d2) ** 2) - 0.5


# 2.3


def for_x(alpha_bar, alpha_bar_before):
    return 0.5 * (1 / (1 / alpha_bar_before - 1) - 1 / (1 / alpha_bar - 1))


def doubled(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    return beta / ((1 - beta) * (1 - alpha_bar_before))


def negative(alpha_bar, alpha_bar_before):
    return 0.5 * alpha_bar / (1 - alpha_bar) * (1 - alpha_bar_before) / alpha_bar_before - 0.5


def at_the_cleaner_end(alpha_bar, alpha_bar_before):
    return 0.5 - 0.5 * alpha_bar * (1 - alpha_bar_before) / (alpha_bar_before * (1 - alpha_bar))


def of_alpha_bar(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    return beta / (2 * (1 - beta))


def ho_with_beta(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    sigma2 = beta
    return beta**2 / (2 * sigma2 * (1 - beta) * (1 - alpha_bar))


def lacks_brackets(alpha_bar, alpha_bar_before):
    return alpha_bar_before * (1 - alpha_bar) / (alpha_bar * (1 - alpha_bar_before)) - 0.5


def put_in_by_multiplying(alpha_bar, alpha_bar_before):
    snr, snr_before = (1 / (1 / bar - 1) for bar in (alpha_bar, alpha_bar_before))
    return 0.5 * snr * (snr_before - snr)


def from_k_to_k(alpha_bar, alpha_bar_before):
    snr, snr_before = (1 / (1 / bar - 1) for bar in (alpha_bar, alpha_bar_before))
    return (snr - snr_before) / (2 * snr)


def with_beta_for_its_square(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    beta_tilde = beta * (1 - alpha_bar_before) / (1 - alpha_bar)
    return beta / (2 * beta_tilde * (1 - beta) * (1 - alpha_bar))


def ho_with_beta_tilde(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    beta_tilde = beta * (1 - alpha_bar_before) / (1 - alpha_bar)
    return beta**2 / (2 * beta_tilde * (1 - beta) * (1 - alpha_bar))


def by_logsnr(alpha_bar, alpha_bar_before):
    level = [math.log(b) - math.log1p(-b) for b in (alpha_bar, alpha_bar_before)]
    return math.expm1(level[1] - level[0]) / 2


# 2.4


def as_found(u, mean, deviation):
    z = [(u / 127.5 - 1 + end - mean) / deviation for end in (1 / 255, -1 / 255)]
    return torch.log(torch.special.ndtr(z[0]) - torch.special.ndtr(z[1]))


def only_black(u, mean, deviation):
    x, normal = u / 127.5 - 1, Normal(mean, deviation)
    lower = normal.cdf(x - 1 / 255)
    return (normal.cdf(x + 1 / 255) - torch.where(u < 0.5, torch.zeros_like(lower), lower)).log()


def only_white(u, mean, deviation):
    x = u / 127.5 - 1
    upper = Normal(mean, deviation).cdf(x + 1 / 255)
    upper[u > 254.5] = 1
    return (upper - Normal(mean, deviation).cdf(x - 1 / 255)).log()


def exchanged_ends(u, mean, deviation):
    edges = (2 * u + 1) / 255 - 1, (2 * u - 1) / 255 - 1
    high, low = (torch.special.ndtr((edge - mean) / deviation) for edge in edges)
    high[u == 0] = 1
    low[u == 255] = 0
    return (high - low).log()


def narrow_buckets(u, mean, deviation):
    high, low = (torch.special.ndtr((u / 127.5 - 1 + d / 510 - mean) / deviation) for d in (1, -1))
    return torch.log(torch.where(u < 255, high, 1.0) - torch.where(u > 0, low, 0.0))


def density(u, mean, deviation):
    z = (u / 127.5 - 1 - mean) / deviation
    return -(z**2) / 2 - math.log(deviation) - math.log(2 * math.pi) / 2


def no_log(u, mean, deviation):
    return in_three_cases(u, mean, deviation).exp()


def negative_log(u, mean, deviation):
    return -in_three_cases(u, mean, deviation)


def ends_of_x_in_u(u, mean, deviation):
    x, normal = u / 127.5 - 1, Normal(mean, deviation)
    upper, lower = normal.cdf(x + 1 / 255), normal.cdf(x - 1 / 255)
    upper[u == 1], lower[u == -1] = 1, 0
    return torch.log(upper - lower)


def threshold_too_wide(u, mean, deviation):
    x, normal = u / 127.5 - 1, Normal(mean, deviation)
    upper = torch.where(x > 0.99, torch.ones_like(x), normal.cdf(x + 1 / 255))
    lower = torch.where(x < -0.99, torch.zeros_like(x), normal.cdf(x - 1 / 255))
    return (upper - lower).log()


def certain_of_the_ends(u, mean, deviation):
    x, normal = u / 127.5 - 1, Normal(mean, deviation)
    mass = normal.cdf(x + 1 / 255) - normal.cdf(x - 1 / 255)
    mass[(u == 0) | (u == 255)] = 1
    return mass.log()


def mass_in_bits(u, mean, deviation):
    return in_three_cases(u, mean, deviation) / math.log(2)


def density_times_width(u, mean, deviation):
    return density(u, mean, deviation) + math.log(2 / 255)


def open_by_infinity(u, mean, deviation):
    edge = (torch.arange(257, dtype=u.dtype) - 0.5) / 127.5 - 1
    edge[0], edge[-1] = -math.inf, math.inf
    low, high = edge[u.long()], edge[u.long() + 1]
    return (torch.special.ndtr((high - mean) / deviation) - torch.special.ndtr((low - mean) / deviation)).log()


def in_three_cases(u, mean, deviation):
    root = deviation * math.sqrt(2)
    high, low = ((u / 127.5 - 1 + d / 255 - mean) / root for d in (1, -1))
    inside = (torch.erf(high) - torch.erf(low)) / 2
    mass = torch.where(u == 0, (1 + torch.erf(high)) / 2, torch.where(u == 255, torch.erfc(low) / 2, inside))
    return mass.log()


# 2.5


def nats_left(log_density, dims):
    return math.log(127.5) / math.log(2) - log_density / dims


def unscaled(log_density, dims):
    return -(log_density / dims) * math.log2(math.e)


def offset_taken_off(log_density, dims):
    return -log_density * math.log2(math.e) / dims - math.log(127.5) / math.log(2)


def offset_of_nats(log_density, dims):
    return math.log(127.5) - log_density / math.log(2) / dims


def upside_down(log_density, dims):
    return math.log2(127.5) + log_density / (math.log(2) * dims)


def other_scale(log_density, dims):
    return 7 - log_density / (dims * math.log(2))


def never_converted(log_density, dims):
    return (dims * math.log(127.5) - log_density) / dims


def a_division_without_brackets(log_density, dims):
    return -log_density / dims * math.log(2) + math.log2(127.5)


def one_offset(log_density, dims):
    return -(log_density - math.log(127.5)) / (dims * math.log(2))


def eight_bits(log_density, dims):
    return -log_density / (dims * math.log(2)) + math.log2(256)


def width_of_a_bin_forgotten_by_half(log_density, dims):
    return -log_density / (dims * math.log(2)) + math.log2(255)


def in_nats_first(log_density, dims):
    return (dims * math.log(127.5) - log_density) / (dims * math.log(2))


def by_log2(log_density, dims):
    return -log_density * math.log2(math.e) / dims - math.log2(2 / 255)


# 2.6


def twice(variances, snr_s, snr_t):
    return float(torch.log1p(variances * snr_s).sum() - torch.log1p(variances * snr_t).sum())


def log_of_the_ratio(variances, snr_s, snr_t):
    return len(variances) / 2 * (math.log(snr_s) - math.log(snr_t))


def from_nothing(variances, snr_s, snr_t):
    return 0.5 * float((1 + variances * snr_s).log().sum())


def bits_of_information(variances, snr_s, snr_t):
    nats = 0.5 * (torch.log1p(variances * snr_s) - torch.log1p(variances * snr_t)).sum().item()
    return nats / math.log(2)


def one_step(variances, snr_s, snr_t):
    return 0.5 * (snr_s - snr_t) * float((1 / (1 / variances + snr_t)).sum())


def averaged(variances, snr_s, snr_t):
    return sum(math.log1p(l * snr_s) - math.log1p(l * snr_t) for l in variances.tolist()) / (2 * len(variances))


def backwards(variances, snr_s, snr_t):
    return 0.5 * float((torch.log1p(variances * snr_t) - torch.log1p(variances * snr_s)).sum())


def half_at_the_end(variances, snr_s, snr_t):
    return sum(math.log1p(l * snr_s) - math.log1p(l * snr_t) / 2 for l in variances.tolist())


def log_of_the_difference(variances, snr_s, snr_t):
    return 0.5 * float((1 + variances * snr_s - variances * snr_t).log().sum())


def unbracketed(variances, snr_s, snr_t):
    return 0.5 * torch.log1p(variances * snr_s / (1 + variances * snr_t)).sum().item()


def of_roots(variances, snr_s, snr_t):
    d = variances.sqrt()
    return 0.5 * (torch.log1p(d * snr_s) - torch.log1p(d * snr_t)).sum().item()


def sum_of_logs(variances, snr_s, snr_t):
    return sum(0.5 * (math.log1p(l * snr_s) - math.log1p(l * snr_t)) for l in variances.tolist())


def by_determinants(variances, snr_s, snr_t):
    eye = torch.eye(len(variances), dtype=variances.dtype)
    at = [torch.logdet(eye + snr * torch.diag(variances)) for snr in (snr_s, snr_t)]
    return (at[0] - at[1]).item() / 2


# 2.7


def even_in_logsnr(variances, high, low, steps):
    return torch.tensor([high + (low - high) * i / steps for i in range(steps + 1)], dtype=torch.float64)


def even_in_snr(variances, high, low, steps):
    a, b = math.exp(high), math.exp(low)
    return torch.log(torch.tensor([a + (b - a) * i / steps for i in range(steps + 1)], dtype=torch.float64))


def one_too_few(variances, high, low, steps):
    return torch.linspace(high, low, steps, dtype=torch.float64)


def rising(variances, high, low, steps):
    return torch.linspace(low, high, steps + 1, dtype=torch.float64)


def shorter_path(variances, high, low, steps):
    return torch.linspace(high, low / 2, steps + 1, dtype=torch.float64)


def not_logs(variances, high, low, steps):
    return torch.logspace(high, low, steps + 1, base=math.e, dtype=torch.float64)


def even_in_alpha_bar(variances, high, low, steps):
    return torch.linspace(1 / (1 + math.exp(-high)), 1 / (1 + math.exp(-low)), steps + 1, dtype=torch.float64).logit()


def alpha_bars(variances, high, low, steps):
    return torch.sigmoid(torch.linspace(high, low, steps + 1, dtype=torch.float64))


def denser_in_the_noise(variances, high, low, steps):
    return high + (low - high) * torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 0.5


def one_over_g(variances, high, low, steps):
    """The integral of g in closed form (with u = 1 + l S it is log u + 1/u), and a walk along it."""
    fine = torch.linspace(low, high, 9001, dtype=torch.float64)
    u = 1 + variances * fine.exp()[:, None]
    below = (u.log() + 1 / u).sum(1)
    wanted = below[-1] + (below[0] - below[-1]) * torch.arange(1, steps, dtype=torch.float64) / steps
    return torch.tensor([high, *(fine[(below - w).abs().argmin()].item() for w in wanted), low], dtype=torch.float64)


def by_cutting_in_half(variances, high, low, steps):
    """Each level by bisection: where the share of sqrt(g) above it is j/steps."""

    def above(level, n=2000):
        middle = high - (high - level) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
        told = 1 - 1 / (1 + variances * middle.exp()[:, None])
        return ((told**2).sum(1).sqrt().mean() * (high - level)).item()

    whole, levels = above(low), [high]
    for j in range(1, steps):
        left, right = low, high
        for _ in range(25):
            middle = (left + right) / 2
            left, right = (middle, right) if above(middle) > whole * j / steps else (left, middle)
        levels.append((left + right) / 2)
    return torch.tensor([*levels, low], dtype=torch.float64)


def by_descent(variances, high, low, steps):
    logits = torch.zeros(steps, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.05)
    ends = torch.tensor([high], dtype=torch.float64)
    for _ in range(200):
        levels = torch.cat([ends, high + (low - high) * logits.softmax(0).cumsum(0)])
        snr = levels.exp()
        cost = ((snr[:-1] - snr[1:]) * (variances / (1 + variances * snr[1:, None])).sum(1)).sum()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    return levels.detach()


# 2.8


def for_the_one_who_knows(l, alpha_bar, alpha_bar_before):
    return (1 - alpha_bar_before) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_before)


def of_the_forward_step(l, alpha_bar, alpha_bar_before):
    return (alpha_bar_before - alpha_bar) / alpha_bar_before


def whole_variance(l, alpha_bar, alpha_bar_before):
    _, variance, c_0 = _parts(alpha_bar, alpha_bar_before)
    return variance + l * c_0 * c_0


def unsquared(l, alpha_bar, alpha_bar_before):
    _, variance, c_0 = _parts(alpha_bar, alpha_bar_before)
    return variance + c_0 / (1 / l + alpha_bar / (1 - alpha_bar))


def knows_nothing_beforehand(l, alpha_bar, alpha_bar_before):
    _, variance, c_0 = _parts(alpha_bar, alpha_bar_before)
    return c_0**2 / (alpha_bar / (1 - alpha_bar)) + variance


def spread_of_x_itself(l, alpha_bar, alpha_bar_before):
    _, variance, _ = _parts(alpha_bar, alpha_bar_before)
    return variance + 1 / (1 / l + alpha_bar / (1 - alpha_bar))


def asked_one_step_before(l, alpha_bar, alpha_bar_before):
    _, variance, c_0 = _parts(alpha_bar, alpha_bar_before)
    return variance + c_0**2 / (1 / l + alpha_bar_before / (1 - alpha_bar_before))


def on_top_of_beta(l, alpha_bar, alpha_bar_before):
    beta, _, c_0 = _parts(alpha_bar, alpha_bar_before)
    return beta + c_0**2 / (1 / l + alpha_bar / (1 - alpha_bar))


def its_root(l, alpha_bar, alpha_bar_before):
    return math.sqrt(by_conditioning(l, alpha_bar, alpha_bar_before))


def half_way(l, alpha_bar, alpha_bar_before):
    beta, variance, _ = _parts(alpha_bar, alpha_bar_before)
    return math.sqrt(beta * variance)


def _parts(alpha_bar, alpha_bar_before):
    beta = 1 - alpha_bar / alpha_bar_before
    return beta, beta * (1 - alpha_bar_before) / (1 - alpha_bar), beta * alpha_bar_before**0.5 / (1 - alpha_bar)


def by_conditioning(l, alpha_bar, alpha_bar_before):
    """Var[x_{k-1}] - Cov^2/Var[x_k]."""
    keep = alpha_bar / alpha_bar_before
    before, now = (bar * l + 1 - bar for bar in (alpha_bar_before, alpha_bar))
    return before - keep * before**2 / now


def precisions_again(l, alpha_bar, alpha_bar_before):
    keep = alpha_bar / alpha_bar_before
    return 1 / (1 / (alpha_bar_before * l + 1 - alpha_bar_before) + keep / (1 - keep))


PLANTED = [
    Planted("2.1", textbook_variance, "beta for beta-tilde"),
    Planted("2.1", cumulative_root, "alpha-bar on x_k"),
    Planted("2.1", root_of_what_is_added, "sqrt(beta) on x_k"),
    Planted("2.1", changed_places, "coefficients swapped"),
    Planted("2.1", what_noise_is_multiplied_with, "deviation for variance"),
    Planted("2.1", a_quotient_of_squares, "no root on x_k"),
    Planted("2.1", alpha_bar_itself_on_x, "no root on x"),
    Planted("2.1", alphas_are_alpha_bars, "no root on either"),
    Planted("2.1", both_from_the_later, "the later alpha-bar on x"),
    Planted("2.1", variance_upside_down, None),
    Planted("2.1", mean_without_the_picture, None),
    Planted("2.2", log_of_the_first_over_the_second, "log ratio upside down"),
    Planted("2.2", negated, "sign of the whole"),
    Planted("2.2", reverse, "the two Gaussians exchanged"),
    Planted("2.2", without_a_half, "half missing"),
    Planted("2.2", own_width, "distance over the first variance"),
    Planted("2.2", not_zero_for_equals, "the -1 forgotten"),
    Planted("2.2", deviations_taken_for_variances, "variances taken for deviations"),
    Planted("2.2", half_a_log, "half at the log only"),
    Planted("2.2", as_with_deviations, "half missing at the log"),
    Planted("2.2", one_taken_off, "the -1 outside the half"),
    Planted("2.2", second_over_first, "variance ratio upside down"),
    Planted("2.2", signed_distance, "distance not squared"),
    Planted("2.2", in_bits, None),
    Planted("2.3", for_x, "the weight of x"),
    Planted("2.3", doubled, "half missing"),
    Planted("2.3", negative, "sign"),
    Planted("2.3", at_the_cleaner_end, "SNR of the wrong end"),
    Planted("2.3", of_alpha_bar, "alpha-bar for the SNR"),
    Planted("2.3", ho_with_beta, "beta for beta-tilde"),
    Planted("2.3", lacks_brackets, "half of the 1 only"),
    Planted("2.3", put_in_by_multiplying, "multiplied by the SNR"),
    Planted("2.3", from_k_to_k, "the two SNRs exchanged"),
    Planted("2.3", with_beta_for_its_square, None),
    Planted("2.4", as_found, "closed end buckets"),
    Planted("2.4", only_black, "only black is open"),
    Planted("2.4", only_white, "only white is open"),
    Planted("2.4", exchanged_ends, "ends exchanged"),
    Planted("2.4", narrow_buckets, "half a bucket"),
    Planted("2.4", density, "a density for a mass"),
    Planted("2.4", no_log, "the mass itself"),
    Planted("2.4", negative_log, "the price for the log"),
    Planted("2.4", ends_of_x_in_u, "u compared with -1 and 1"),
    Planted("2.4", threshold_too_wide, "neighbours open too"),
    Planted("2.4", certain_of_the_ends, "all mass to black and white"),
    Planted("2.4", mass_in_bits, None),
    Planted("2.4", density_times_width, None),
    Planted("2.5", nats_left, "log 2 missing"),
    Planted("2.5", unscaled, "offset missing"),
    Planted("2.5", offset_taken_off, "offset with the wrong sign"),
    Planted("2.5", offset_of_nats, "offset in nats"),
    Planted("2.5", upside_down, "sign of the log density"),
    Planted("2.5", other_scale, "offset of the other scaling"),
    Planted("2.5", never_converted, "all in nats"),
    Planted("2.5", a_division_without_brackets, "multiplied by log 2"),
    Planted("2.5", one_offset, "offset once a picture"),
    Planted("2.5", eight_bits, "number of levels for the scale"),
    Planted("2.5", width_of_a_bin_forgotten_by_half, None),
    Planted("2.6", twice, "half missing"),
    Planted("2.6", log_of_the_ratio, "the 1 forgotten"),
    Planted("2.6", from_nothing, "one end only"),
    Planted("2.6", bits_of_information, "in bits"),
    Planted("2.6", one_step, "the rectangle"),
    Planted("2.6", averaged, "mean over the dimensions"),
    Planted("2.6", backwards, "the ends exchanged"),
    Planted("2.6", half_at_the_end, "half of one end only"),
    Planted("2.6", log_of_the_difference, "difference inside the log"),
    Planted("2.6", unbracketed, "brackets around 1 + l SNR"),
    Planted("2.6", of_roots, None),
    Planted("2.7", even_in_logsnr, "uniform in log-SNR"),
    Planted("2.7", even_in_snr, "uniform in the SNR"),
    Planted("2.7", one_too_few, "number of levels"),
    Planted("2.7", rising, "levels that do not fall"),
    Planted("2.7", shorter_path, "ends moved"),
    Planted("2.7", one_over_g, "steps in proportion to 1/g"),
    Planted("2.7", not_logs, "SNRs for log-SNRs"),
    Planted("2.7", even_in_alpha_bar, None),
    Planted("2.7", alpha_bars, "shares of the signal for log-SNRs"),
    Planted("2.7", denser_in_the_noise, "crowded in the noise"),
    Planted("2.8", for_the_one_who_knows, "beta-tilde"),
    Planted("2.8", of_the_forward_step, "beta"),
    Planted("2.8", whole_variance, "prior variance for the leftover"),
    Planted("2.8", unsquared, "coefficient not squared"),
    Planted("2.8", knows_nothing_beforehand, "noise variance for the leftover"),
    Planted("2.8", spread_of_x_itself, "coefficient forgotten"),
    Planted("2.8", asked_one_step_before, "SNR of the wrong end"),
    Planted("2.8", on_top_of_beta, "beta for beta-tilde"),
    Planted("2.8", its_root, "deviation for variance"),
    Planted("2.8", half_way, None),
]

RIGHT = {
    "2.1": [by_precisions, from_the_noise],
    "2.2": [by_expectations, by_deviations],
    "2.3": [ho_with_beta_tilde, by_logsnr],
    "2.4": [open_by_infinity, in_three_cases],
    "2.5": [in_nats_first, by_log2],
    "2.6": [sum_of_logs, by_determinants],
    "2.7": [by_cutting_in_half, by_descent],
    "2.8": [by_conditioning, precisions_again],
}
