"""Planted answers to the exercises of chapter 1."""

import math

import torch
from planted import Planted

from diffusion_book import forward
from diffusion_book.schedules import Discrete

# 1.1


def beta_as_deviation(x, beta, eps):
    return torch.lerp(torch.zeros_like(x), x, (1 - beta) ** 0.5) + torch.mul(eps, beta)


def keep_without_root(x, beta, eps):
    return x - beta * x + eps * math.sqrt(beta)


def mix_like_paint(x, beta, eps):
    return torch.lerp(x, eps, beta)


def only_add(x, beta, eps):
    return torch.add(x, eps, alpha=math.sqrt(beta))


def turned_round(x, beta, eps):
    angle = math.asin(math.sqrt(beta))
    return math.sin(angle) * x + math.cos(angle) * eps


def first_by_angle(x, beta, eps):
    angle = math.asin(math.sqrt(beta))
    return math.cos(angle) * x + math.sin(angle) * eps


def first_by_normal(x, beta, eps):
    return torch.distributions.Normal((x.square() * (1 - beta)).sqrt() * x.sign(), beta**0.5).mean + eps * beta**0.5


def minus_noise(x, beta, eps):
    return (1 - beta) ** 0.5 * x - beta**0.5 * eps


def one_less_the_deviation(x, beta, eps):
    return torch.lerp(x, eps, beta**0.5)


def noise_of_its_own(x, beta, eps):
    return (1 - beta) ** 0.5 * x + beta**0.5 * torch.randn_like(x)


# 1.2


def product_of_betas(betas, k):
    product = 1.0
    for beta in betas[:k].tolist():
        product *= beta
    return product**0.5, (1 - product) ** 0.5


def last_factor_only(betas, k):
    alpha = (1 - betas).tolist()
    return math.sqrt(alpha[k - 1]), math.sqrt(1 - alpha[k - 1])


def too_far(betas, k):
    kept = 1.0
    for j in range(k + 1):
        kept *= 1 - betas[j].item()
    return math.sqrt(kept), math.sqrt(1 - kept)


def wraps(betas, k):
    logs = torch.log1p(-betas).cumsum(0)
    return math.exp(logs[k - 1] / 2), math.sqrt(-math.expm1(logs[k - 1]))


def squares(betas, k):
    kept = math.exp(torch.log1p(-betas[:k]).sum())
    return kept, 1 - kept


def second_is_variance(betas, k):
    kept = math.exp(torch.log1p(-betas[:k]).sum())
    return kept**0.5, 1 - kept


def by_logarithms(betas, k):
    log_bar = torch.log1p(-betas[:k]).sum().item()
    return math.exp(log_bar / 2), math.sqrt(-math.expm1(log_bar))


def by_recursion(betas, k):
    mean, variance = 1.0, 0.0
    for beta in betas[:k].tolist():
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
    return mean, variance**0.5


def without_the_last(betas, k):
    """Right for every k but K."""
    kept = [1.0, *torch.cumprod(1 - betas[:-1], 0).tolist()]
    alpha_bar = kept[min(k, len(kept) - 1)]
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def first_order(betas, k):
    bar = 1 - betas[:k].sum().item()
    return math.sqrt(bar), math.sqrt(1 - bar)


def first_order_in_torch(betas, k):
    gone = sum(betas[:k], torch.zeros((), dtype=torch.float64))
    return (1 - gone).sqrt(), gone.sqrt()


def second_order(betas, k):
    gone = betas[:k].sum().item()
    bar = 1 - gone + gone**2 / 2
    return bar**0.5, abs(1 - bar) ** 0.5


def root_after_the_difference(betas, k):
    kept = math.exp(torch.log1p(-betas[:k]).sum() / 2)
    return kept, 1 - kept


def exponential(betas, k):
    gone = betas[:k].sum().item()
    return math.exp(-gone / 2), math.sqrt(-math.expm1(-gone))


def noise_added_up(betas, k):
    return by_recursion(betas, k)[0], sum(betas[:k].tolist()) ** 0.5


def two_roots(betas, k):
    alpha = torch.log1p(-betas[:k]).sum().mul(0.5).exp()
    return alpha.sqrt(), torch.sqrt(1 - alpha)


def second_root_too_many(betas, k):
    alpha = 1.0
    for beta in betas[:k].tolist():
        alpha *= math.sqrt(1 - beta)
    return alpha, math.sqrt(1 - alpha)


def every_step(betas, k):
    logs = torch.log1p(-betas).cumsum(0)
    return torch.exp(logs / 2), torch.sqrt(-torch.expm1(logs))


def fourth_roots(betas, k):
    alpha, sigma = by_recursion(betas, k)
    return alpha**0.5, sigma**0.5


def noise_first(betas, k):
    return by_recursion(betas, k)[::-1]


def from_the_second(betas, k):
    kept = 1.0
    for j in range(1, k):
        kept *= 1 - betas[j].item()
    return kept**0.5, (1 - kept) ** 0.5


# 1.3


def unchanged(x, betas, k, eps):
    alpha = 1 - betas
    k = k.reshape(-1, 1, 1, 1)
    return alpha.sqrt()[k] * x + (1 - alpha).sqrt()[k] * eps


def index_mended(x, betas, k, eps):
    return torch.stack(
        [(1 - betas[i - 1]) ** 0.5 * a + betas[i - 1] ** 0.5 * e for a, i, e in zip(x, k.tolist(), eps, strict=True)]
    )


def product_not_index(x, betas, k, eps):
    log_bar = torch.log1p(-betas).cumsum(0)[k].reshape(-1, 1, 1, 1)
    return (log_bar / 2).exp() * x + (-torch.expm1(log_bar)).sqrt() * eps


def half_mended(x, betas, k, eps):
    bar, beta = (1 - betas).cumprod(0)[k - 1], betas[k - 1]
    return torch.einsum("b,bchw->bchw", bar**0.5, x) + torch.einsum("b,bchw->bchw", beta**0.5, eps)


def root_inside_out(x, betas, k, eps):
    signal = (1 - betas).sqrt().cumprod(0)[k - 1].reshape(-1, 1, 1, 1)
    return signal * x + eps - signal * eps


def products_of_betas(x, betas, k, eps):
    gone = betas.log().cumsum(0).exp()[k - 1][:, None, None, None]
    return gone.sqrt() * x + (1 - gone).sqrt() * eps


def batch_one_by_one(x, betas, k, eps):
    rows = []
    for a, i, e in zip(x, k.tolist(), eps, strict=True):
        bar = torch.prod(1 - betas[:i])
        rows.append(bar.sqrt() * a + (1 - bar).sqrt() * e)
    return torch.stack(rows)


def batch_by_package(x, betas, k, eps):
    return forward.noised(Discrete(betas), k / len(betas), x, eps)


def unchanged_but_clamped(x, betas, k, eps):
    return unchanged(x, betas, k.clamp(max=len(betas) - 1), eps)


def product_not_index_but_clamped(x, betas, k, eps):
    return product_not_index(x, betas, k.clamp(max=len(betas) - 1), eps)


def last_step_missing(x, betas, k, eps):
    """Right for every k but K."""
    return batch_by_package(x, betas, k.clamp(max=len(betas) - 1), eps)


def first_step_missing(x, betas, k, eps):
    """Right for every k but 1."""
    return batch_by_package(x, betas, torch.where(k == 1, 0, k), eps)


def squares_of_factors(x, betas, k, eps):
    log_bar = torch.log1p(-betas).cumsum(0)[k - 1].reshape(-1, 1, 1, 1)
    return log_bar.exp() * x - torch.expm1(log_bar) * eps


def from_a_float32_table(x, betas, k, eps):
    table = torch.ones(len(betas) + 1)
    for j, beta in enumerate(betas.tolist(), 1):
        table[j] = table[j - 1] * (1 - beta)
    bar = table[k].reshape(-1, 1, 1, 1)
    return bar.sqrt() * x + (1 - bar).sqrt() * eps


def own_noise_in_the_batch(x, betas, k, eps):
    return batch_by_package(x, betas, k, torch.randn_like(x))


def same_step_for_all(x, betas, k, eps):
    bar = (1 - betas).cumprod(0)[k[0] - 1]
    return bar.sqrt() * x + (1 - bar).sqrt() * eps


def as_after_the_last(x, betas, k, eps):
    bar = math.exp(torch.log1p(-betas).sum())
    return bar**0.5 * x + (1 - bar) ** 0.5 * eps


def noise_summed(x, betas, k, eps):
    added = torch.stack([betas[:i].sum() for i in k.tolist()])
    signal = batch_by_package(x, betas, k, torch.zeros_like(eps))
    return signal + torch.einsum("b,bchw->bchw", added**0.5, eps)


def mean_step(x, betas, k, eps):
    return batch_by_package(x, betas, k.double().mean().round().long().expand(len(k)), eps)


# 1.4


def variances_subtracted(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t / alpha_s, (sigma_t - sigma_s) * (sigma_t + sigma_s)


def square_forgotten(alpha_s, sigma_s, alpha_t, sigma_t):
    ratio = alpha_t / alpha_s
    return ratio, sigma_t * sigma_t - sigma_s * sigma_s * ratio


def a_deviation(alpha_s, sigma_s, alpha_t, sigma_t):
    ratio = alpha_t / alpha_s
    return ratio, math.sqrt((sigma_t - ratio * sigma_s) * (sigma_t + ratio * sigma_s))


def from_the_start(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t, (sigma_t - alpha_t * sigma_s) * (sigma_t + alpha_t * sigma_s)


def difference_of_deviations(alpha_s, sigma_s, alpha_t, sigma_t):
    missing = sigma_t - sigma_s * alpha_t / alpha_s
    return alpha_t / alpha_s, missing * missing


def as_if_preserving(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t / alpha_s, (alpha_s**2 - alpha_t**2) / alpha_s**2


def between_by_conjugates(alpha_s, sigma_s, alpha_t, sigma_t):
    old = alpha_t * sigma_s / alpha_s
    return alpha_t / alpha_s, (sigma_t - old) * (sigma_t + old)


def between_in_logs(alpha_s, sigma_s, alpha_t, sigma_t):
    fall = 2 * (math.log(alpha_t / sigma_t) - math.log(alpha_s / sigma_s))
    return math.exp(math.log(alpha_t) - math.log(alpha_s)), -(sigma_t**2) * math.expm1(fall)


def ratio_upside_down(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_s / alpha_t, sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2


def from_t_to_s(alpha_s, sigma_s, alpha_t, sigma_t):
    ratio = alpha_s / alpha_t
    return ratio, (sigma_t - ratio * sigma_s) * (sigma_t + ratio * sigma_s)


def t_before_s(alpha_s, sigma_s, alpha_t, sigma_t):
    return between_by_conjugates(alpha_t, sigma_t, alpha_s, sigma_s)


def square_of_the_factor(alpha_s, sigma_s, alpha_t, sigma_t):
    kept = alpha_t**2 / alpha_s**2
    return kept, sigma_t**2 - kept * sigma_s**2


def plus_for_minus(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t / alpha_s, math.hypot(sigma_t, sigma_s * alpha_t / alpha_s) ** 2


def bare_sigmas(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t / alpha_s, sigma_t - sigma_s * alpha_t**2 / alpha_s**2


def by_the_circle(alpha_s, sigma_s, alpha_t, sigma_t):
    return alpha_t / alpha_s, math.sin(math.acos(alpha_t / alpha_s))


def variance_first(alpha_s, sigma_s, alpha_t, sigma_t):
    return between_by_conjugates(alpha_s, sigma_s, alpha_t, sigma_t)[::-1]


# 1.5

NORMAL = torch.distributions.Normal(0.0, 1.0)


def tail(z):
    return NORMAL.cdf(-torch.as_tensor(z, dtype=torch.float64)).item()


def all_the_way(x, other, alpha, sigma):
    return tail(torch.dist(x, other) * alpha / sigma)


def a_pixel(x, other, alpha, sigma):
    return tail(torch.dist(x, other) / x.numel() ** 0.5 * alpha / 2 / sigma)


def no_root(x, other, alpha, sigma):
    return tail(((x - other) ** 2).sum() * alpha / 2 / sigma)


def alpha_missing(x, other, alpha, sigma):
    return tail(torch.dist(x, other) / 2 / sigma)


def right_answers(x, other, alpha, sigma):
    return NORMAL.cdf(torch.dist(x, other) * alpha / 2 / sigma)


def over_variance(x, other, alpha, sigma):
    return tail(torch.dist(x, other) * alpha / 2 / sigma / sigma)


def confusion_by_cdf(x, other, alpha, sigma):
    return NORMAL.cdf(-torch.dist(alpha * x, alpha * other) / (2 * sigma))


def confusion_by_snr(x, other, alpha, sigma):
    snr = (alpha / sigma) ** 2
    return tail((snr * (x - other).square().sum() / 4).sqrt())


def bare_erfc(x, other, alpha, sigma):
    return math.erfc(torch.dist(x, other) * alpha / 2 / sigma) / 2


def both_tails(x, other, alpha, sigma):
    return 2 * tail(torch.dist(x, other) * alpha / 2 / sigma)


def largest_difference(x, other, alpha, sigma):
    return tail((x - other).abs().max() * alpha / 2 / sigma)


def manhattan(x, other, alpha, sigma):
    return tail((x - other).abs().sum() * alpha / 2 / sigma)


def no_brackets(x, other, alpha, sigma):
    return NORMAL.cdf(-alpha * torch.dist(x, other) / 2 * sigma)


def names_swapped(x, other, alpha, sigma):
    return confusion_by_cdf(x, other, sigma, alpha)


def a_mean_of_errors(x, other, alpha, sigma):
    return NORMAL.cdf(-alpha / sigma / 2 * torch.abs(other - x)).sum().item() / x.numel()


def logistic(x, other, alpha, sigma):
    return torch.sigmoid(-torch.dist(x, other) * alpha / 2 / sigma)


def own_sigma(x, other, alpha, sigma):
    return confusion_by_cdf(x, other, alpha, math.sin(math.acos(alpha)))


# 1.6


def bar_by_angles(steps, offset, max_beta):
    """alpha_bar by one step after the other, each no smaller than it may be."""
    bars, before = [1.0], math.cos(math.pi / 2 * offset / (1 + offset)) ** 2
    for k in range(1, steps + 1):
        now = math.cos(math.pi / 2 * (k / steps + offset) / (1 + offset)) ** 2
        bars.append(bars[-1] * max(now / before, 1 - max_beta))
        before = now
    return torch.tensor(bars, dtype=torch.float64)


def bar_by_logs(steps, offset, max_beta):
    angle = math.pi / 2 * (torch.arange(steps + 1, dtype=torch.float64) / steps + offset) / (1 + offset)
    falls = (2 * torch.log(torch.cos(angle).abs())).diff().clamp(min=math.log1p(-max_beta))
    return torch.cat([falls.new_zeros(1), falls.cumsum(0)]).exp()


def starts_below_one(steps, offset, max_beta):
    return bar_by_angles(steps, offset, max_beta) * math.cos(math.pi / 2 * offset / (1 + offset)) ** 2


def h_itself(steps, offset, max_beta):
    angle = math.pi * (torch.arange(steps + 1, dtype=torch.float64) / steps + offset) / (1 + offset)
    return (1 + torch.cos(angle)) / 2


def no_clip(steps, offset, max_beta):
    h = h_itself(steps, offset, max_beta)
    return h / h[0]


def clips_the_last_only(steps, offset, max_beta):
    bar = no_clip(steps, offset, max_beta)
    bar[-1] = (1 - max_beta) * bar[-2]
    return bar


def clips_the_last_two(steps, offset, max_beta):
    bar = no_clip(steps, offset, max_beta)
    for k in (-2, -1):
        bar[k] = max(bar[k], (1 - max_beta) * bar[k - 1])
    return bar


def clips_the_bars(steps, offset, max_beta):
    return torch.maximum(no_clip(steps, offset, max_beta), torch.tensor(1 - max_beta, dtype=torch.float64))


def no_square(steps, offset, max_beta):
    h = h_itself(steps, offset, max_beta).clamp(min=0).sqrt()
    kept = torch.maximum(h[1:] / h[:-1], torch.tensor(1 - max_beta, dtype=torch.float64))
    return torch.cat([torch.ones(1, dtype=torch.float64), kept.log().cumsum(0).exp()])


def no_offset(steps, offset, max_beta):
    return bar_by_angles(steps, 0.0, max_beta)


def usual_offset(steps, offset, max_beta):
    return bar_by_logs(steps, 0.008, max_beta)


def usual_bound(steps, offset, max_beta):
    return bar_by_angles(steps, offset, 0.999)


def without_step_0(steps, offset, max_beta):
    return bar_by_logs(steps, offset, max_beta)[1:]


def as_many_points_as_steps(steps, offset, max_beta):
    u = torch.linspace(0, 1, steps, dtype=torch.float64)
    h = torch.cos((u + offset) / (1 + offset) * math.pi / 2).square()
    betas = torch.minimum(1 - h[1:] / h[:-1], torch.tensor(max_beta, dtype=torch.float64))
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])


def alpha_without_bar(steps, offset, max_beta):
    return torch.exp(bar_by_logs(steps, offset, max_beta).log() / 2)


def stops_at_the_betas(steps, offset, max_beta):
    bar = bar_by_angles(steps, offset, max_beta)
    return -bar.diff() / bar[:-1]


def past_the_quarter(steps, offset, max_beta):
    bars, h = [1.0], [math.cos(math.pi / 2 * (k / steps + offset)) ** 2 for k in range(steps + 1)]
    for before, now in zip(h, h[1:], strict=False):
        bars.append(bars[-1] * (1 - min(1 - now / before, max_beta)))
    return torch.tensor(bars, dtype=torch.float64)


def clamp_turned_round(steps, offset, max_beta):
    h = h_itself(steps, offset, max_beta)
    betas = torch.maximum(1 - h[1:] / h[:-1], torch.tensor(max_beta, dtype=torch.float64))
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).log().cumsum(0).exp()])


def both_usual(steps, offset, max_beta):
    return bar_by_angles(steps, 0.008, 0.999)


def sine_instead(steps, offset, max_beta):
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


# 1.7


def divided_once(alpha_bar, factor):
    return alpha_bar / (alpha_bar + factor * (1 - alpha_bar))


def less_noise(alpha_bar, factor):
    return factor**2 * alpha_bar / (factor**2 * alpha_bar + 1 - alpha_bar)


def bar_over_square(alpha_bar, factor):
    return alpha_bar * factor**-2


def fourth_power(alpha_bar, factor):
    return alpha_bar / (alpha_bar + factor**4 * (1 - alpha_bar))


def noise_times_square(alpha_bar, factor):
    return alpha_bar - (factor**2 - 1) * (1 - alpha_bar)


def size_by_snr(alpha_bar, factor):
    noise_over_signal = factor**2 * (1 - alpha_bar) / alpha_bar
    return 1 / (1 + noise_over_signal)


def by_way_of_the_ratio(alpha_bar, factor):
    snr = alpha_bar / ((1 - alpha_bar) * factor * factor)
    return snr / (snr + 1)


def the_ratio_itself(alpha_bar, factor):
    return alpha_bar / ((1 - alpha_bar) * factor**2)


def size_by_logit(alpha_bar, factor):
    return torch.sigmoid(torch.logit(alpha_bar) - math.log(factor**2))


def no_brackets_below(alpha_bar, factor):
    return alpha_bar / alpha_bar + factor**2 * (1 - alpha_bar)


def root_at_the_end(alpha_bar, factor):
    return size_by_snr(alpha_bar, factor) ** 0.5


def in_octaves(alpha_bar, factor):
    return torch.sigmoid(torch.logit(alpha_bar) - math.log(factor**2) / math.log(2))


def a_power(alpha_bar, factor):
    return alpha_bar**factor


# 1.8


def _to_betas(levels):
    bar = torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(levels)])
    return 1 - bar[1:] / bar[:-1]


def _information(variances, levels):
    return torch.log1p(levels.exp()[:, None] * variances).sum(1) / 2


def even_by_bisection(variances, steps, high, low):
    ends = _information(variances, torch.tensor([high, low], dtype=torch.float64))
    wanted = torch.linspace(ends[0].item(), ends[1].item(), steps, dtype=torch.float64)
    above, below = torch.full_like(wanted, high), torch.full_like(wanted, low)
    for _ in range(60):
        middle = (above + below) / 2
        more = _information(variances, middle) > wanted
        above, below = torch.where(more, middle, above), torch.where(more, below, middle)
    return _to_betas(above)


def even_by_relaxation(variances, steps, high, low):
    levels = torch.linspace(high, low, steps, dtype=torch.float64)
    for _ in range(400):
        cost = -_information(variances, levels).diff()
        length = levels.diff() * (cost.mean() / cost) ** 0.5
        length = length * (low - high) / length.sum()
        levels = torch.cat([levels[:1], high + length.cumsum(0)])
    return _to_betas(levels)


def one_too_many(variances, steps, high, low):
    return even_by_bisection(variances, steps + 1, high, low)


def a_column_of_betas(variances, steps, high, low):
    return even_by_bisection(variances, steps, high, low)[:, None]


def bars_not_betas(variances, steps, high, low):
    return torch.linspace(high, low, steps, dtype=torch.float64).sigmoid()


def noise_not_betas(variances, steps, high, low):
    return torch.linspace(-high, -low, steps, dtype=torch.float64).sigmoid()


def rising(variances, steps, high, low):
    return _to_betas(torch.linspace(low, high, steps, dtype=torch.float64))


def even_in_float32(variances, steps, high, low):
    return even_by_bisection(variances, steps, high, low).float()


def even_in_numpy(variances, steps, high, low):
    return even_by_bisection(variances, steps, high, low).numpy()


def even_as_a_list(variances, steps, high, low):
    return even_by_bisection(variances, steps, high, low).tolist()


def levels_not_betas(variances, steps, high, low):
    return torch.linspace(high, low, steps, dtype=torch.float64)


def other_ends(variances, steps, high, low):
    return even_by_bisection(variances, steps, high, low + 1)


def evenly_in_logsnr(variances, steps, high, low):
    return _to_betas(torch.linspace(high, low, steps, dtype=torch.float64))


def evenly_in_alpha(variances, steps, high, low):
    first, last = torch.sigmoid(torch.tensor([high, low], dtype=torch.float64)).sqrt().tolist()
    bar = torch.linspace(first, last, steps, dtype=torch.float64) ** 2
    return _to_betas(torch.logit(bar))


PLANTED = [
    Planted("1.1", beta_as_deviation, "beta for its root"),
    Planted("1.1", keep_without_root, "1 - beta for its root"),
    Planted("1.1", mix_like_paint, "both roots missing"),
    Planted("1.1", only_add, "picture not shrunk"),
    Planted("1.1", turned_round, "factors exchanged"),
    Planted("1.1", one_less_the_deviation, "one minus the root"),
    Planted("1.1", minus_noise, "noise subtracted"),
    Planted("1.1", noise_of_its_own, None),
    Planted("1.2", product_of_betas, "product of the betas"),
    Planted("1.2", last_factor_only, "one step's factor"),
    Planted("1.2", too_far, "one step too many"),
    Planted("1.2", wraps, "step 0 wraps around"),
    Planted("1.2", squares, "roots missing"),
    Planted("1.2", second_is_variance, "variance for deviation"),
    Planted("1.2", first_order, "one minus the sum"),
    Planted("1.2", first_order_in_torch, "one minus the sum"),
    Planted("1.2", root_after_the_difference, "one minus the root"),
    Planted("1.2", noise_first, "signal and noise exchanged"),
    Planted("1.2", from_the_second, "first step left out"),
    Planted("1.2", exponential, "limit of small steps"),
    Planted("1.2", noise_added_up, "sum of the betas"),
    Planted("1.2", two_roots, "root taken twice"),
    Planted("1.2", second_root_too_many, "root of one minus the root"),
    Planted("1.2", every_step, "all steps at once"),
    Planted("1.2", fourth_roots, None),
    Planted("1.2", second_order, None),
    Planted("1.2", without_the_last, None),
    Planted("1.3", unchanged, "as it was found"),
    Planted("1.3", index_mended, "alpha_k for alpha_bar_k"),
    Planted("1.3", product_not_index, "index off by one"),
    Planted("1.3", unchanged_but_clamped, "as it was found"),
    Planted("1.3", product_not_index_but_clamped, "index off by one"),
    Planted("1.3", half_mended, "noise of one step"),
    Planted("1.3", root_inside_out, "one minus the root"),
    Planted("1.3", products_of_betas, "product of the betas"),
    Planted("1.3", squares_of_factors, "roots missing"),
    Planted("1.3", same_step_for_all, "first picture's step for all"),
    Planted("1.3", as_after_the_last, "all K steps"),
    Planted("1.3", noise_summed, "sum of the betas"),
    Planted("1.3", mean_step, None),
    Planted("1.3", own_noise_in_the_batch, None),
    Planted("1.3", last_step_missing, None),
    Planted("1.3", first_step_missing, None),
    Planted("1.4", variances_subtracted, "difference of the variances"),
    Planted("1.4", square_forgotten, "factor not squared"),
    Planted("1.4", a_deviation, "deviation for variance"),
    Planted("1.4", from_the_start, "whole factor"),
    Planted("1.4", difference_of_deviations, "deviations subtracted"),
    Planted("1.4", as_if_preserving, "always variance preserving"),
    Planted("1.4", from_t_to_s, "factor upside down"),
    Planted("1.4", variance_first, "factor and variance exchanged"),
    Planted("1.4", t_before_s, "s and t exchanged"),
    Planted("1.4", square_of_the_factor, "factor returned squared"),
    Planted("1.4", plus_for_minus, "variances added"),
    Planted("1.4", bare_sigmas, "sigmas not squared"),
    Planted("1.4", by_the_circle, "deviation, always variance preserving"),
    Planted("1.4", ratio_upside_down, None),
    Planted("1.5", all_the_way, "whole distance"),
    Planted("1.5", a_pixel, "distance a pixel"),
    Planted("1.5", no_root, "squared distance"),
    Planted("1.5", alpha_missing, "signal not shrunk"),
    Planted("1.5", right_answers, "share of right answers"),
    Planted("1.5", over_variance, "variance for deviation"),
    Planted("1.5", manhattan, "sum of the differences"),
    Planted("1.5", bare_erfc, "erfc without the root of 2"),
    Planted("1.5", both_tails, "erfc not halved"),
    Planted("1.5", own_sigma, "sigma from alpha"),
    Planted("1.5", no_brackets, "multiplied by sigma"),
    Planted("1.5", names_swapped, "alpha and sigma exchanged"),
    Planted("1.5", a_mean_of_errors, "each pixel for itself"),
    Planted("1.5", logistic, "sigmoid for Phi"),
    Planted("1.5", largest_difference, None),
    Planted("1.6", starts_below_one, "not divided by h(0)"),
    Planted("1.6", h_itself, "neither divided nor clipped"),
    Planted("1.6", no_clip, "betas not clipped"),
    Planted("1.6", clips_the_last_only, "only the last clipped"),
    Planted("1.6", clips_the_bars, "alpha_bar clipped"),
    Planted("1.6", no_square, "cosine not squared"),
    Planted("1.6", no_offset, "offset forgotten"),
    Planted("1.6", usual_offset, "0.008 for the offset"),
    Planted("1.6", usual_bound, "0.999 for the bound"),
    Planted("1.6", without_step_0, "alpha_bar_0 left out"),
    Planted("1.6", as_many_points_as_steps, "one point too few"),
    Planted("1.6", alpha_without_bar, "root returned"),
    Planted("1.6", stops_at_the_betas, "betas returned"),
    Planted("1.6", past_the_quarter, "not divided by 1 + offset"),
    Planted("1.6", clamp_turned_round, "bounded from below"),
    Planted("1.6", both_usual, None),
    Planted("1.6", sine_instead, None),
    Planted("1.6", clips_the_last_two, None),
    Planted("1.7", divided_once, "factor for its square"),
    Planted("1.7", less_noise, "wrong direction"),
    Planted("1.7", bar_over_square, "alpha_bar divided"),
    Planted("1.7", fourth_power, "area squared"),
    Planted("1.7", noise_times_square, "noise variance multiplied"),
    Planted("1.7", by_way_of_the_ratio, "infinity over infinity"),
    Planted("1.7", the_ratio_itself, "ratio, not alpha_bar"),
    Planted("1.7", no_brackets_below, "brackets missing"),
    Planted("1.7", root_at_the_end, "root returned"),
    Planted("1.7", in_octaves, "logarithm to base 2"),
    Planted("1.7", a_power, None),
    Planted("1.8", one_too_many, "number of betas"),
    Planted("1.8", levels_not_betas, "not betas"),
    Planted("1.8", bars_not_betas, "alpha_bars for betas"),
    Planted("1.8", noise_not_betas, "1 - alpha_bar for betas"),
    Planted("1.8", rising, "log-SNR rises"),
    Planted("1.8", even_in_float32, None),
    Planted("1.8", even_as_a_list, None),
    Planted("1.8", other_ends, "ends moved"),
    Planted("1.8", evenly_in_logsnr, "equal steps in log-SNR"),
    Planted("1.8", evenly_in_alpha, None),
    Planted("1.8", a_column_of_betas, None),
]

RIGHT = {
    "1.1": [first_by_angle, first_by_normal],
    "1.2": [by_logarithms, by_recursion],
    "1.3": [batch_one_by_one, batch_by_package, from_a_float32_table],
    "1.4": [between_by_conjugates, between_in_logs],
    "1.5": [confusion_by_cdf, confusion_by_snr],
    "1.6": [bar_by_angles, bar_by_logs],
    "1.7": [size_by_snr, size_by_logit],
    "1.8": [even_by_bisection, even_by_relaxation, even_in_numpy],
}
