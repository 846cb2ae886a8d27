"""Answers to the exercises of chapter 4 as people write them: wrong ones with their name, and right ones written otherwise."""

import math

import torch
from planted import Planted

from diffusion_book.exact import GaussianMixture

# 4.1


def _by_autograd(x_t, weights, means, variances):
    """The gradient of the log density of a mixture with these parts."""
    leaf = x_t.detach().requires_grad_()
    log_bells = torch.distributions.Normal(means, variances.sqrt()).log_prob(leaf[:, None])
    return torch.autograd.grad((weights.log() + log_bells).logsumexp(1).sum(), leaf)[0]


def _by_exps(x_t, weights, means, variances):
    bells = torch.exp(-((x_t[:, None] - means) ** 2) / (2 * variances)) / torch.sqrt(2 * math.pi * variances)
    r = weights * bells
    r = r / r.sum(1, keepdim=True)
    return (r * (means - x_t[:, None]) / variances).sum(1)


def of_the_data(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, means, variances)


def averaged_arrows(x_t, weights, means, variances, alpha, sigma):
    return sum(
        w * (alpha * m - x_t) / (alpha**2 * v + sigma**2) for w, m, v in zip(weights, means, variances, strict=True)
    )


def uphill_is_downhill(x_t, weights, means, variances, alpha, sigma):
    return -_by_autograd(x_t, weights, alpha * means, alpha**2 * variances + sigma**2)


def sigma_for_its_square(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, alpha * means, alpha**2 * variances + sigma)


def width_as_it_was(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, alpha * means, variances + sigma**2)


def centres_as_they_were(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, means, alpha**2 * variances + sigma**2)


def without_the_widths(x_t, weights, means, variances, alpha, sigma):
    """Responsibilities that forget the normalization of each bell."""
    v = alpha**2 * variances + sigma**2
    r = (weights.log() - (x_t[:, None] - alpha * means) ** 2 / (2 * v)).softmax(1)
    return (r * (alpha * means - x_t[:, None]) / v).sum(1)


def variance_for_the_root(x_t, weights, means, variances, alpha, sigma):
    v = alpha**2 * variances + sigma**2
    r = torch.softmax(torch.log(weights / v) - (x_t[:, None] - alpha * means) ** 2 / (2 * v), dim=1)
    return (r * (alpha * means - x_t[:, None]) / v).sum(1)


def alpha_once(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, alpha * means, alpha * variances + sigma**2)


def equal_parts(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights.new_full((3,), 1 / 3), alpha * means, alpha**2 * variances + sigma**2)


def shared_among_the_points(x_t, weights, means, variances, alpha, sigma):
    v = alpha**2 * variances + sigma**2
    log_joint = weights.log() + torch.distributions.Normal(alpha * means, v.sqrt()).log_prob(x_t[:, None])
    r = torch.exp(log_joint - log_joint.logsumexp(0))
    return (r * (alpha * means - x_t[:, None]) / v).sum(1)


def bare_exps(x_t, weights, means, variances, alpha, sigma):
    return _by_exps(x_t, weights, alpha * means, alpha**2 * variances + sigma**2)


def bare_exps_by_autograd(x_t, weights, means, variances, alpha, sigma):
    leaf, v = x_t.detach().requires_grad_(), alpha**2 * variances + sigma**2
    bells = torch.distributions.Normal(alpha * means, v.sqrt()).log_prob(leaf[:, None]).exp()
    return torch.autograd.grad((bells @ weights).log().sum(), leaf)[0]


def largest_of_all_points(x_t, weights, means, variances, alpha, sigma):
    """One largest exponent for the whole batch: enough near the data, too little far out."""
    v = alpha**2 * variances + sigma**2
    log_joint = weights.log() + torch.distributions.Normal(alpha * means, v.sqrt()).log_prob(x_t[:, None])
    p = torch.exp(log_joint - log_joint.max())
    return ((p / p.sum(1, keepdim=True)) * (alpha * means - x_t[:, None]) / v).sum(1)


def guarded_division(x_t, weights, means, variances, alpha, sigma):
    m, v = alpha * means, alpha**2 * variances + sigma**2
    p = weights * torch.distributions.Normal(m, v.sqrt()).log_prob(x_t[:, None]).exp()
    return (p * (m - x_t[:, None]) / v).sum(1) / (p.sum(1) + 1e-16)


def of_the_data_by_exps(x_t, weights, means, variances, alpha, sigma):
    return _by_exps(x_t, weights, means, variances)


def sigma_by_exps(x_t, weights, means, variances, alpha, sigma):
    return _by_exps(x_t, weights, alpha * means, alpha**2 * variances + sigma)


def without_the_widths_by_exps(x_t, weights, means, variances, alpha, sigma):
    m, v = alpha * means, alpha**2 * variances + sigma**2
    p = weights * torch.exp(-((x_t[:, None] - m) ** 2) / v / 2)
    return (p * (m - x_t[:, None]) / v).sum(1) / p.sum(1)


def not_over_the_variance(x_t, weights, means, variances, alpha, sigma):
    data = GaussianMixture(weights, means[:, None], variances)
    r = data.responsibilities(x_t[:, None], alpha, sigma)
    return (r * (alpha * means - x_t[:, None])).sum(1)


def by_autograd(x_t, weights, means, variances, alpha, sigma):
    return _by_autograd(x_t, weights, alpha * means, alpha**2 * variances + sigma**2)


def by_tweedie(x_t, weights, means, variances, alpha, sigma):
    data = GaussianMixture(weights, means[:, None], variances)
    return (alpha * data.denoise(x_t[:, None], alpha, sigma)[:, 0] - x_t) / sigma**2


# 4.2


def _jacobian(score, x):
    """(B, D, D), row by row."""
    return torch.stack(
        [torch.autograd.functional.jacobian(lambda y: score(y[None])[0], row, create_graph=True) for row in x]
    )


def as_found(score, x):
    x = x.detach().requires_grad_()
    value = score(x)
    return (value**2).sum(1) / 2 + torch.autograd.grad(value.sum(), x, create_graph=True)[0].sum(1)


def short_arrows_only(score, x):
    return 0.5 * (score(x) ** 2).sum(1)


def runs_apart(score, x):
    return 0.5 * (score(x) ** 2).sum(1) - _jacobian(score, x).diagonal(dim1=1, dim2=2).sum(1)


def whole_square(score, x):
    return (score(x) ** 2).sum(1) + _jacobian(score, x).diagonal(dim1=1, dim2=2).sum(1)


def all_halved(score, x):
    return ((score(x) ** 2).sum(1) + _jacobian(score, x).diagonal(dim1=1, dim2=2).sum(1)) / 2


def length_not_squared(score, x):
    return 0.5 * score(x).norm(dim=1) + _jacobian(score, x).diagonal(dim1=1, dim2=2).sum(1)


def means_for_sums(score, x):
    return 0.5 * (score(x) ** 2).mean(1) + _jacobian(score, x).diagonal(dim1=1, dim2=2).mean(1)


def size_of_the_jacobian(score, x):
    return 0.5 * (score(x) ** 2).sum(1) + _jacobian(score, x).square().sum((1, 2))


def _by_a_loop(score, x, keep):
    x = x.detach().requires_grad_()
    value = score(x)
    columns = [torch.autograd.grad(value[:, i].sum(), x, retain_graph=keep(i))[0][:, i] for i in range(x.shape[1])]
    return value.square().sum(1) / 2 + sum(columns)


def divergence_kept_as_a_number(score, x):
    return _by_a_loop(score, x, lambda i: True)


def graph_given_up(score, x):
    """After the last coordinate even |s|^2/2 has no way back."""
    return _by_a_loop(score, x, lambda i: i + 1 < x.shape[1])


def only_a_number(score, x):
    return by_the_whole_jacobian(score, x).detach()


def by_the_whole_jacobian(score, x):
    return 0.5 * (score(x) ** 2).sum(1) + torch.einsum("bii->b", _jacobian(score, x))


def by_differences(score, x):
    h, total = 1e-5, 0.0
    for e in torch.eye(x.shape[1], dtype=x.dtype):
        total = total + ((score(x + h * e) - score(x - h * e)) * e).sum(1) / (2 * h)
    return score(x).square().sum(1) / 2 + total


# 4.3


def only_centred(A, u):
    v = u - 0.5
    return (v @ A * v).sum(1)


def from_minus_one_to_one(A, u):
    v = 2 * u - 1
    return (v @ A * v).sum(1)


def only_scaled(A, u):
    v = u * math.sqrt(12)
    return (v @ A * v).sum(1)


def over_the_variance(A, u):
    v = (u - 0.5) / (1 / 12)
    return (v @ A * v).sum(1)


def one_sided(A, u):
    return (12**0.5 * (u - 0.5) @ A).sum(1)


def shifted_last(A, u):
    v = math.sqrt(12) * u - 0.5
    return (v @ A * v).sum(1)


def smaller_still(A, u):
    v = (u - 1 / 2) * math.sqrt(1 / 12)
    return (v @ A * v).sum(1)


def coins(A, u):
    v = torch.where(u < 0.5, -1.0, 1.0).double()
    return (v @ A * v).sum(1)


def mean_of_products(A, u):
    v = math.sqrt(12) * (u - 0.5)
    return (v @ A * v).mean(1)


def mean_square_one(A, u):
    """Scaled so that E[v^2] = 1, and not centred."""
    v = 3**0.5 * u
    return (v @ A * v).sum(1)


def symmetric_part(A, u):
    v = (u - 0.5) * 2 * 3**0.5
    return torch.einsum("bi,ij,bj->b", v, (A + A.T) / 2, v)


def row_by_row(A, u):
    return torch.stack([12 * (row - 0.5) @ A @ (row - 0.5) for row in u])


# 4.4


def away_from_the_data(score, x, eps, alpha, sigma):
    return 0.5 * ((score(alpha * x + sigma * eps) - eps / sigma) ** 2).sum(1)


def minus_the_noise(score, x, eps, alpha, sigma):
    return 0.5 * ((score(alpha * x + sigma * eps) + eps) ** 2).sum(1)


def over_sigma_twice(score, x, eps, alpha, sigma):
    return 0.5 * ((score(alpha * x + sigma * eps) + eps / sigma**2) ** 2).sum(1)


def sees_the_clean(score, x, eps, alpha, sigma):
    return 0.5 * ((score(x) + eps / sigma) ** 2).sum(1)


def a_whole_square(score, x, eps, alpha, sigma):
    return ((score(alpha * x + sigma * eps) + eps / sigma) ** 2).sum(1)


def of_the_noise(score, x, eps, alpha, sigma):
    return 0.5 * ((sigma * score(alpha * x + sigma * eps) + eps) ** 2).sum(1)


def arrow_to_x(score, x, eps, alpha, sigma):
    x_t = alpha * x + sigma * eps
    return 0.5 * ((score(x_t) - (x - x_t) / sigma**2) ** 2).sum(1)


def seen_without_alpha(score, x, eps, alpha, sigma):
    return 0.5 * ((score(x + sigma * eps) + eps / sigma) ** 2).sum(1)


def mean_of_squares(score, x, eps, alpha, sigma):
    return 0.5 * ((score(alpha * x + sigma * eps) + eps / sigma) ** 2).mean(dim=1)


def halved_before_the_square(score, x, eps, alpha, sigma):
    return (0.5 * (score(alpha * x + sigma * eps) + eps / sigma)).square().sum(1)


def arrow_back(score, x, eps, alpha, sigma):
    x_t = alpha * x + sigma * eps
    return 0.5 * ((score(x_t) - (alpha * x - x_t) / sigma**2) ** 2).sum(1)


def multiplied_out(score, x, eps, alpha, sigma):
    s = score(torch.add(alpha * x, eps, alpha=sigma))
    return (s.square() / 2 + s * eps / sigma + eps.square() / (2 * sigma**2)).sum(1)


# 4.5


def no_identity(div, dims, alpha, sigma):
    return div * (sigma**2 / alpha) ** 2


def less_sure_where_sharp(div, dims, alpha, sigma):
    return (sigma / alpha) ** 2 * dims - sigma**4 / alpha**2 * div


def in_units_of_x_t(div, dims, alpha, sigma):
    return dims * sigma**2 + sigma**4 * div


def one_alpha(div, dims, alpha, sigma):
    return (dims * sigma**2 + sigma**4 * div) / alpha


def slope_of_the_guess(div, dims, alpha, sigma):
    return dims / alpha + sigma**2 / alpha * div


def for_each_dimension(div, dims, alpha, sigma):
    return (sigma / alpha) ** 2 * (1 + sigma**2 * div / dims)


def noise_once(div, dims, alpha, sigma):
    return sigma**2 / alpha**2 * (dims + sigma * div)


def identity_of_trace_one(div, dims, alpha, sigma):
    return (sigma / alpha) ** 2 + sigma**4 / alpha**2 * div


def upside_down(div, dims, alpha, sigma):
    return (dims + sigma**2 * div) * (alpha / sigma) ** 2


def noise_thrice(div, dims, alpha, sigma):
    return sigma**2 / alpha**2 * (dims + sigma**3 * div)


def noise_minus_what_is_known(div, dims, alpha, sigma):
    return (dims * sigma**2 - sigma**4 * -div) / alpha**2


def by_the_slope(div, dims, alpha, sigma):
    slope = (dims + sigma**2 * div) / alpha
    return sigma**2 / alpha * slope


# 4.6


def _loop(start, s2, r, added, steps):
    for _ in range(steps):
        start = r * start + added
    return start


def cold(start, s2, size, steps):
    return _loop(start, s2, (1 - size / s2) ** 2, size, steps)


def hot(start, s2, size, steps):
    return _loop(start, s2, (1 - size / s2 / 2) ** 2, 2 * size, steps)


def twice_as_long(start, s2, size, steps):
    return _loop(start, s2, (1 - size / s2) ** 2, 2 * size, steps)


def unsquared(start, s2, size, steps):
    rest = 2 * s2
    return rest + (1 - size / (2 * s2)) ** steps * (start - rest)


def at_rest(start, s2, size, steps):
    return 4 * s2**2 / (4 * s2 - size)


def silent(start, s2, size, steps):
    return start * (1 - size / (2 * s2)) ** (2 * steps)


def root_of_it(start, s2, size, steps):
    return math.sqrt(_loop(start, s2, (1 - size / (2 * s2)) ** 2, size, steps))


def without_bias(start, s2, size, steps):
    return s2 + (1 - size / (2 * s2)) ** (2 * steps) * (start - s2)


def once_a_step(start, s2, size, steps):
    rest = 4 * s2**2 / (4 * s2 - size)
    return rest + (start - rest) * (1 - size / (2 * s2)) ** steps


def two_times_steps(start, s2, size, steps):
    rest = 4 * s2**2 / (4 * s2 - size)
    return rest + (1 - size / (2 * s2)) ** 2 * steps * (start - rest)


def start_beside_rest(start, s2, size, steps):
    return s2 / (1 - size / (4 * s2)) + start * (1 - size / (2 * s2)) ** (2 * steps)


def root_of_the_step(start, s2, size, steps):
    return _loop(start, s2, (1 - size / 2 / s2) ** 2, math.sqrt(size), steps)


def range_from_one(start, s2, size, steps):
    for _ in range(1, steps):
        start = (1 - size / (2 * s2)) ** 2 * start + size
    return start


def deviation_in_the_arrow(start, s2, size, steps):
    return _loop(start, s2, (1 - size / (2 * math.sqrt(s2))) ** 2, size, steps)


def by_a_loop(start, s2, size, steps):
    return _loop(start, s2, (1 - size / (2 * s2)) ** 2, size, steps)


def by_a_geometric_sum(start, s2, size, steps):
    r2 = (1 - size / (2 * s2)) ** 2
    return r2**steps * start + size * sum(r2**i for i in range(steps))


# 4.7


def _walk(score, x, sigmas, h, noise, arrow=0.5, shake=1.0):
    for i, sigma in enumerate(sigmas.tolist()):
        for z in noise[i]:
            x = x + arrow * h[i] * score(x, sigma) + (shake * h[i]) ** 0.5 * z
    return x


def same_everywhere(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, [size] * len(sigmas), noise)


def root_of_the_scale(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * sigmas, noise)


def growing(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * (sigmas[-1] / sigmas) ** 2, noise)


def as_in_the_paper(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * (sigmas / sigmas[-1]) ** 2, noise)


def whole_arrow(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * sigmas**2, noise, arrow=1.0)


def strong_shake(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * sigmas**2, noise, shake=2.0)


def one_draw(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * sigmas**2, noise[:, :1].expand_as(noise))


def without_a_root(score, x, sigmas, size, noise):
    for i, sigma in enumerate(sigmas.tolist()):
        for z in noise[i]:
            x = x + size * sigma**2 / 2 * score(x, sigma) + size * sigma**2 * z
    return x


def twice_as_long_a_step(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, 2 * size * sigmas**2, noise)


def shaken_alike(score, x, sigmas, size, noise):
    for sigma, draws in zip(sigmas.tolist(), noise, strict=True):
        for z in draws:
            x = x + size * sigma**2 / 2 * score(x, sigma) + size**0.5 * z
    return x


def against_the_arrows(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas, size * sigmas**2, noise, arrow=-0.5)


def levels_inside(score, x, sigmas, size, noise):
    for j in range(noise.shape[1]):
        for i in range(len(sigmas)):
            h = size * float(sigmas[i]) ** 2
            x = x + h / 2 * score(x, float(sigmas[i])) + h**0.5 * noise[i, j]
    return x


def from_the_last_level(score, x, sigmas, size, noise):
    return _walk(score, x, sigmas.flip(0), size * sigmas.flip(0) ** 2, noise.flip(0))


def in_units_of_the_noise(score, x, sigmas, size, noise):
    for i in range(noise.shape[0]):
        sigma = float(sigmas[i])
        for j in range(noise.shape[1]):
            x = x + sigma * (size / 2 * (sigma * score(x, sigma)) + size**0.5 * noise[i, j])
    return x


def by_a_flat_loop(score, x, sigmas, size, noise):
    levels = sigmas.repeat_interleave(noise.shape[1]).tolist()
    for sigma, z in zip(levels, noise.flatten(0, 1), strict=True):
        half = size * sigma**2 / 2
        x = torch.add(x, score(x, sigma), alpha=half) + math.sqrt(2 * half) * z
    return x


# 4.8


def _rows(sigma, relative):
    return torch.stack([sigma, relative * sigma**2], 1)


def _geometric(first, last, moves):
    return torch.logspace(math.log10(first), math.log10(last), moves, dtype=torch.float64)


def one_size(first, last, moves):
    sigma = _geometric(first, last, moves)
    return torch.stack([sigma, torch.full_like(sigma, 0.5 * last**2)], 1)


def plain(first, last, moves):
    return _rows(_geometric(first, last, moves), 0.5)


def one_move_short(first, last, moves):
    return _rows(_geometric(first, last, moves - 1), 0.5)


def heated(first, last, moves):
    return _rows(_geometric(last, first, moves), 0.5)


def stops_early(first, last, moves):
    return _rows(_geometric(first, 1.5 * last, moves), 0.5)


def small_steps(first, last, moves):
    return _rows(_geometric(first, last, moves), 0.2)


def calm_at_the_end(first, last, moves):
    sigma = torch.cat([_geometric(1.0, last, moves - 10), torch.full((10,), last, dtype=torch.float64)])
    relative = torch.cat(
        [0.6 * (0.8 / 0.6) ** torch.linspace(0, 1, moves - 10), 0.8 * 0.25 ** torch.linspace(0, 1, 10)]
    )
    return _rows(sigma, relative.double())


def by_trying(first, last, moves):
    """The best of a few plans, by the exact recursion."""
    l = torch.tensor([0.0, 0.01, 0.03, 0.1, 0.3, 1.0], dtype=torch.float64)

    def error(plan):
        variance = torch.full_like(l, first**2)
        for sigma, h in plan.tolist():
            variance = (1 - h / (2 * (l + sigma**2))) ** 2 * variance + h
        return (variance / (l + last**2)).log().abs().max().item()

    plans = []
    for stay in (10, 20):
        for low in (0.1, 0.2):
            sigma = torch.cat([_geometric(1.0, last, moves - stay), torch.full((stay,), last, dtype=torch.float64)])
            parts = torch.logspace(-0.22, 0, moves - stay), torch.logspace(0, math.log10(low), stay)
            plans.append(_rows(sigma, torch.cat(parts).double()))
    return min(plans, key=error)


def only_the_sizes_fall(first, last, moves):
    """No level but the last: what is left of the start goes by sizes at the roots of a Chebyshev polynomial."""
    calm = 40
    low, high = 1 / (1 + last**2), 1 / last**2
    angles = math.pi * (torch.arange(moves - calm, dtype=torch.float64) + 0.5) / (moves - calm)
    roots = (low + high) / 2 - (high - low) / 2 * angles.cos()
    small = torch.logspace(math.log10(0.5), math.log10(0.05), calm, dtype=torch.float64) * last**2
    sizes = torch.cat([2 / roots, small])
    return torch.stack([torch.full_like(sizes, last), sizes], 1)


def in_single_precision(first, last, moves):
    """calm_at_the_end, in float32: its last equal levels rise by what rounds."""
    levels = torch.logspace(math.log10(first), math.log10(last), moves - 20)
    sizes = torch.cat([torch.ones(moves - 20), torch.logspace(0, -1, 20)])
    sigma = torch.cat([levels, torch.full((20,), last)])
    return torch.stack([sigma, sizes * sigma**2], 1)


PLANTED = [
    Planted("4.1", of_the_data, "score of the clean mixture"),
    Planted("4.1", averaged_arrows, "weights for responsibilities"),
    Planted("4.1", uphill_is_downhill, "sign"),
    Planted("4.1", sigma_for_its_square, "deviation for variance"),
    Planted("4.1", width_as_it_was, "alpha on the means only"),
    Planted("4.1", centres_as_they_were, "means not shrunk"),
    Planted("4.1", without_the_widths, "widths forgotten in the responsibilities"),
    Planted("4.1", variance_for_the_root, "bells divided by the variance"),
    Planted("4.1", alpha_once, "alpha for its square"),
    Planted("4.1", equal_parts, "weights forgotten"),
    Planted("4.1", shared_among_the_points, "responsibilities over the points"),
    Planted("4.1", bare_exps, "exponentials far out"),
    Planted("4.1", bare_exps_by_autograd, "exponentials far out"),
    Planted("4.1", largest_of_all_points, "exponentials far out"),
    Planted("4.1", guarded_division, "exponentials far out"),
    Planted("4.1", of_the_data_by_exps, "score of the clean mixture"),
    Planted("4.1", sigma_by_exps, "deviation for variance"),
    Planted("4.1", without_the_widths_by_exps, "widths forgotten in the responsibilities"),
    Planted("4.1", not_over_the_variance, None),
    Planted("4.2", as_found, "as it was found"),
    Planted("4.2", short_arrows_only, "divergence dropped"),
    Planted("4.2", runs_apart, "sign of the divergence"),
    Planted("4.2", whole_square, "half missing"),
    Planted("4.2", all_halved, "half on both"),
    Planted("4.2", length_not_squared, "length for its square"),
    Planted("4.2", means_for_sums, "mean over the coordinates"),
    Planted("4.2", divergence_kept_as_a_number, "no gradient"),
    Planted("4.2", only_a_number, "no gradient"),
    Planted("4.2", graph_given_up, "no gradient"),
    Planted("4.2", size_of_the_jacobian, None),
    Planted("4.3", only_centred, "variance 1/12"),
    Planted("4.3", from_minus_one_to_one, "variance 1/3"),
    Planted("4.3", only_scaled, "not centred"),
    Planted("4.3", over_the_variance, "scaled by the variance"),
    Planted("4.3", one_sided, "probe on one side only"),
    Planted("4.3", shifted_last, "scaled before the shift"),
    Planted("4.3", smaller_still, "scaled the wrong way"),
    Planted("4.3", coins, "signs only"),
    Planted("4.3", mean_of_products, "mean over the entries"),
    Planted("4.3", mean_square_one, None),
    Planted("4.4", away_from_the_data, "sign of the target"),
    Planted("4.4", minus_the_noise, "target not divided by sigma"),
    Planted("4.4", over_sigma_twice, "target divided by the variance"),
    Planted("4.4", sees_the_clean, "score asked at the clean picture"),
    Planted("4.4", a_whole_square, "half missing"),
    Planted("4.4", of_the_noise, "weighted by the variance"),
    Planted("4.4", arrow_to_x, "arrow to x"),
    Planted("4.4", seen_without_alpha, "alpha forgotten"),
    Planted("4.4", mean_of_squares, "mean over the dimensions"),
    Planted("4.4", halved_before_the_square, None),
    Planted("4.5", no_identity, "the identity forgotten"),
    Planted("4.5", less_sure_where_sharp, "sign of the divergence"),
    Planted("4.5", in_units_of_x_t, "alpha forgotten"),
    Planted("4.5", one_alpha, "alpha once"),
    Planted("4.5", slope_of_the_guess, "the slope, not the variance"),
    Planted("4.5", for_each_dimension, "mean over the dimensions"),
    Planted("4.5", noise_once, "deviation for variance"),
    Planted("4.5", identity_of_trace_one, "trace of the identity"),
    Planted("4.5", upside_down, "factor upside down"),
    Planted("4.5", noise_thrice, None),
    Planted("4.6", cold, "forms mixed, too cold"),
    Planted("4.6", hot, "forms mixed, too hot"),
    Planted("4.6", twice_as_long, "the other form"),
    Planted("4.6", unsquared, "factor not squared"),
    Planted("4.6", at_rest, "the end of all walks"),
    Planted("4.6", silent, "no noise"),
    Planted("4.6", root_of_it, "deviation for variance"),
    Planted("4.6", without_bias, "at rest without bias"),
    Planted("4.6", once_a_step, "a power of steps"),
    Planted("4.6", two_times_steps, "times the steps, not to their power"),
    Planted("4.6", start_beside_rest, "the start not measured from rest"),
    Planted("4.6", root_of_the_step, "deviation of the shake"),
    Planted("4.6", range_from_one, "one step too few"),
    Planted("4.6", deviation_in_the_arrow, None),
    Planted("4.7", same_everywhere, "step not scaled"),
    Planted("4.7", root_of_the_scale, "scaled by sigma"),
    Planted("4.7", growing, "scaled upside down"),
    Planted("4.7", as_in_the_paper, "scaled to the last level"),
    Planted("4.7", whole_arrow, "forms mixed, too cold"),
    Planted("4.7", strong_shake, "forms mixed, too hot"),
    Planted("4.7", one_draw, "one shake a level"),
    Planted("4.7", without_a_root, "h for sqrt(h)"),
    Planted("4.7", twice_as_long_a_step, "the other form"),
    Planted("4.7", shaken_alike, "shake not scaled"),
    Planted("4.7", against_the_arrows, "downhill"),
    Planted("4.7", levels_inside, "loops exchanged"),
    Planted("4.7", from_the_last_level, None),
    Planted("4.8", one_size, "step not scaled"),
    Planted("4.8", plain, "the row to beat"),
    Planted("4.8", one_move_short, "number of moves"),
    Planted("4.8", heated, "sigma that rises"),
    Planted("4.8", stops_early, "ends moved"),
    Planted("4.8", small_steps, None),
]

RIGHT = {
    "4.1": [by_autograd, by_tweedie],
    "4.2": [by_the_whole_jacobian, by_differences],
    "4.3": [symmetric_part, row_by_row],
    "4.4": [arrow_back, multiplied_out],
    "4.5": [noise_minus_what_is_known, by_the_slope],
    "4.6": [by_a_loop, by_a_geometric_sum],
    "4.7": [in_units_of_the_noise, by_a_flat_loop],
    "4.8": [in_single_precision, calm_at_the_end, by_trying, only_the_sizes_fall],
}
