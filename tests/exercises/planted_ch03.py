"""Wrong answers to the exercises of chapter 3, as people write them, and right ones written differently."""

import math

import torch
import torch.nn.functional as F
from planted import Planted


# 3.1: one step
def step_alpha_for_alpha_bar(x, eps_hat, z, betas, k):
    alpha = 1 - betas
    i = k - 1
    mean = (x - (1 - alpha[i]) / torch.sqrt(1 - alpha[i]) * eps_hat) / torch.sqrt(alpha[i])
    return mean if k == 1 else mean + torch.sqrt(betas[i]) * z


def step_beta_times_noise(x, eps_hat, z, betas, k):
    alpha_bar = (1 - betas).cumprod(0)[k - 1]
    x = (x - betas[k - 1] * eps_hat / torch.sqrt(1 - alpha_bar)) * (1 - betas[k - 1]) ** -0.5
    if k > 1:
        x = x + betas[k - 1] * z
    return x


def step_always_noise(x, eps_hat, z, betas, k):
    alpha_bar = torch.exp(torch.log1p(-betas[:k]).sum())
    x = x - betas[k - 1] * (1 - alpha_bar) ** -0.5 * eps_hat
    return x * (1 - betas[k - 1]) ** -0.5 + betas[k - 1] ** 0.5 * z


def step_from_zero(x, eps_hat, z, betas, k):
    beta, alpha_bar = betas[k], torch.prod(1 - betas[: k + 1])
    x = (x - beta / torch.sqrt(1 - alpha_bar) * eps_hat) / torch.sqrt(1 - beta)
    return x + beta.sqrt() * z * (k > 1)


def step_posterior_variance(x, eps_hat, z, betas, k):
    beta, now = betas[k - 1], (1 - betas[:k]).prod()
    before = now / (1 - beta)
    mean = (x - beta / (1 - now) ** 0.5 * eps_hat) / (1 - beta) ** 0.5
    return mean + ((1 - before).clamp(min=0) / (1 - now) * beta) ** 0.5 * z


def step_product_outside(x, eps_hat, z, betas, k):
    bar = (1 - betas[:k]).prod()
    noise = betas[k - 1] ** 0.5 * z if k > 1 else 0 * z
    return (x - betas[k - 1] / (1 - bar) ** 0.5 * eps_hat) / bar**0.5 + noise


def step_noise_inside(x, eps_hat, z, betas, k):
    bar, noise = (1 - betas[:k]).prod(), betas[k - 1] ** 0.5 * z if k > 1 else 0 * z
    return (x - betas[k - 1] / (1 - bar) ** 0.5 * eps_hat + noise) / (1 - betas[k - 1]) ** 0.5


def step_no_noise(x, eps_hat, z, betas, k):
    return step_right_with_floats(x, eps_hat, torch.zeros_like(z), betas, k)


def step_adds(x, eps_hat, z, betas, k):
    bar, noise = torch.prod(1 - betas[:k]), torch.sqrt(betas[k - 1]) * z if k > 1 else 0
    return (x + betas[k - 1] / torch.sqrt(1 - bar) * eps_hat) / torch.sqrt(1 - betas[k - 1]) + noise


def step_over_variance(x, eps_hat, z, betas, k):
    alpha, alpha_bar = 1 - betas, (1 - betas).cumprod(0)
    mean = (x - betas[k - 1] / (1 - alpha_bar[k - 1]) * eps_hat) / alpha[k - 1].sqrt()
    return mean + betas[k - 1].sqrt() * z if k > 1 else mean


def step_over_alpha(x, eps_hat, z, betas, k):
    alpha, alpha_bar = 1 - betas, (1 - betas).cumprod(0)
    mean = 1 / alpha[k - 1] * (x - betas[k - 1] / (1 - alpha_bar[k - 1]).sqrt() * eps_hat)
    return mean + betas[k - 1].sqrt() * z if k > 1 else mean


def step_without_brackets(x, eps_hat, z, betas, k):
    alpha, alpha_bar = 1 - betas, (1 - betas).cumprod(0)
    mean = x - betas[k - 1] / (1 - alpha_bar[k - 1]).sqrt() * eps_hat / alpha[k - 1].sqrt()
    return mean + betas[k - 1].sqrt() * z if k > 1 else mean


def step_quiet_at_two(x, eps_hat, z, betas, k):
    return step_right_with_floats(x, eps_hat, z if k > 2 else 0 * z, betas, k)


def step_plus(x, eps_hat, z, betas, k):
    return (x + betas[k - 1] / (1 - (1 - betas[:k]).prod()) ** 0.5 * eps_hat) / (1 - betas[k - 1]) ** 0.5


def step_right_through_x_hat(x, eps_hat, z, betas, k):
    now, before = torch.prod(1 - betas[:k]), torch.prod(1 - betas[: k - 1])
    x_hat = (x - (1 - now).sqrt() * eps_hat) / now.sqrt()
    mean = (now / before).sqrt() * (1 - before) / (1 - now) * x + before.sqrt() * betas[k - 1] / (1 - now) * x_hat
    return mean + (k > 1) * betas[k - 1] ** 0.5 * z


def step_right_with_floats(x, eps_hat, z, betas, k):
    *_, beta = values = betas[:k].tolist()
    alpha_bar = math.exp(sum(math.log1p(-b) for b in values))
    x = x / math.sqrt(1 - beta) - beta / math.sqrt((1 - alpha_bar) * (1 - beta)) * eps_hat
    return x if k == 1 else x.add(z, alpha=math.sqrt(beta))


# 3.2: time features
def time_one_frequency(t, width):
    angle = (1000 * t).repeat(width // 2, 1).T
    return torch.hstack([torch.cos(angle), torch.sin(angle)])


def time_unscaled(t, width):
    omega = torch.exp(-math.log(10000) * torch.arange(width // 2, dtype=t.dtype) / (width / 2))
    return torch.cat([torch.cos(torch.outer(t, omega)), torch.sin(torch.outer(t, omega))], 1)


def time_half_exponent(t, width):
    omega = torch.tensor([10000 ** (-i / width) for i in range(width // 2)], dtype=t.dtype)
    angle = torch.outer(t * 1000, omega)
    return torch.cat([torch.cos(angle), torch.sin(angle)], 1)


def time_rising(t, width):
    omega = torch.logspace(0, 4 - 8 / width, width // 2, dtype=t.dtype)
    angle = torch.einsum("b,i->bi", 1000 * t, omega)
    return torch.cat([torch.cos(angle), torch.sin(angle)], 1)


def time_sines_first(t, width):
    angle = 1000 * t[:, None] / 10000 ** (torch.arange(0, width, 2, dtype=t.dtype) / width)
    return torch.cat([angle.sin(), angle.cos()], -1)


def time_woven(t, width):
    out = torch.empty(len(t), width, dtype=t.dtype)
    angle = 1000 * t[:, None] / 10000 ** (torch.arange(0, width, 2, dtype=t.dtype) / width)
    out[:, 0::2], out[:, 1::2] = angle.cos(), angle.sin()
    return out


def time_linear_frequencies(t, width):
    angle = 1000 * t[:, None] * torch.linspace(1, 0, width // 2, dtype=t.dtype)
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_to_the_end(t, width):
    half = width // 2
    omega = torch.exp(torch.arange(half, dtype=t.dtype) * -(math.log(10000) / (half - 1)))
    return torch.cat([torch.cos(1000 * t[:, None] * omega), torch.sin(1000 * t[:, None] * omega)], 1)


def time_of_ho(t, width):
    half = width // 2
    angle = 1000 * t[:, None] * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))[None, :]
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)


def time_of_vaswani(t, width):
    i = torch.arange(0, width, 2, dtype=t.dtype)
    out = torch.zeros(len(t), width, dtype=t.dtype)
    out[:, 0::2] = torch.sin(1000 * t[:, None] / 10000 ** (i / width))
    out[:, 1::2] = torch.cos(1000 * t[:, None] / 10000 ** (i / width))
    return out


def time_base_1000(t, width):
    i = torch.arange(width // 2, dtype=t.dtype)
    angle = 1000 * t[:, None] * 1000 ** (-2 * i / width)
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_power_first(t, width):
    i = torch.arange(width // 2, dtype=t.dtype)
    angle = 1000 * t[:, None] * 10000**-2 * i / width
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_from_one(t, width):
    angle = torch.stack([1000 * t * 10000 ** (-2 * i / width) for i in range(1, width // 2 + 1)], 1)
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_in_turns(t, width):
    omega = torch.logspace(0, 8 / width - 4, width // 2, dtype=t.dtype)
    angle = 2 * math.pi * torch.outer(1000 * t, omega)
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_to_999(t, width):
    return time_right_with_phase(0.999 * t, width)


def time_coarse(t, width):
    """As in bfloat16 the angles would be."""
    omega = (10000 ** -(torch.arange(0, width, 2, dtype=t.dtype) / width)).bfloat16().to(t.dtype)
    angle = torch.outer(1000 * t, omega)
    return torch.cat([angle.cos(), angle.sin()], 1)


def time_right_in_float32(t, width):
    half = width // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half) / half)  # float32, as without dtype= it is
    angle = 1000 * t[:, None] * freqs
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def time_right_with_loop(t, width):
    columns = [1000 * t * math.exp(-math.log(10000) * 2 * i / width) for i in range(width // 2)]
    return torch.stack([torch.cos(c) for c in columns] + [torch.sin(c) for c in columns], 1)


def time_right_with_phase(t, width):
    omega = 10000 ** -(torch.arange(0, width, 2, dtype=t.dtype) / width)
    angle = torch.outer(1000 * t, omega)
    return torch.cat([angle, angle - math.pi / 2], 1).cos()


# 3.3: norm, scale and shift
def norm_scale_only(x, scale, shift, groups):
    return F.group_norm(x, groups) * scale[..., None, None] + shift[..., None, None]


def norm_layer(x, scale, shift, groups):
    normal = F.layer_norm(x, x.shape[1:])
    return normal + normal * scale[..., None, None] + shift[..., None, None]


def norm_instance(x, scale, shift, groups):
    return F.instance_norm(x) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_batch(x, scale, shift, groups):
    B, C, H, W = x.shape
    flat = x.reshape(B, groups, -1).transpose(0, 1).reshape(groups, -1)
    flat = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, correction=0, keepdim=True) + 1e-5) ** 0.5
    normal = flat.reshape(groups, B, -1).transpose(0, 1).reshape(x.shape)
    return normal * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_batch_norm(x, scale, shift, groups):
    normal = F.batch_norm(x, None, None, training=True, eps=1e-5)
    return normal * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_default_variance(x, scale, shift, groups):
    flat = x.reshape(len(x), groups, -1)
    flat = (flat - flat.mean(-1, keepdim=True)) / torch.sqrt(flat.var(-1, keepdim=True) + 1e-5)
    return flat.reshape(x.shape) * (scale[..., None, None] + 1) + shift[..., None, None]


def norm_eps_outside(x, scale, shift, groups):
    flat = x.reshape(len(x), groups, -1)
    flat = (flat - flat.mean(-1, keepdim=True)) / (flat.std(-1, correction=0, keepdim=True) + 1e-5)
    return flat.reshape(x.shape) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_shift_first(x, scale, shift, groups):
    return (F.group_norm(x, groups) + shift[..., None, None]) * (1 + scale[..., None, None])


def norm_over_variance(x, scale, shift, groups):
    flat = x.reshape(len(x), groups, -1)
    flat = (flat - flat.mean(-1, keepdim=True)) / (flat.var(-1, correction=0, keepdim=True) + 1e-5)
    return flat.reshape(x.shape) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_no_eps(x, scale, shift, groups):
    return F.group_norm(x, groups, eps=0.0) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_by_std(x, scale, shift, groups):
    flat = x.reshape(len(x), groups, -1)
    flat = (flat - flat.mean(-1, keepdim=True)) / (flat.std(-1, keepdim=True) + 1e-5)
    return flat.reshape(x.shape) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_size_for_number(x, scale, shift, groups):
    parts = [F.group_norm(part, 1) for part in x.split(groups, dim=1)]
    return torch.cat(parts, 1) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_larger_eps(x, scale, shift, groups):
    return F.group_norm(x, groups, eps=2e-5) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_exchanged(x, scale, shift, groups):
    return F.group_norm(x, groups) * (1 + shift[..., None, None]) + scale[..., None, None]


def norm_nothing(x, scale, shift, groups):
    return x * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_right_library(x, scale, shift, groups):
    return F.group_norm(x, groups) * (1 + scale[..., None, None]) + shift[..., None, None]


def norm_right_with_loop(x, scale, shift, groups):
    parts = []
    for part in x.chunk(groups, dim=1):
        centred = part - part.mean((1, 2, 3), keepdim=True)
        parts.append(centred * (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5) ** -0.5)
    return torch.cat(parts, 1) * (1 + scale[..., None, None]) + shift[..., None, None]


# 3.4: attention
def attend_wrong_axis(q, k, v):
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhij,bhjd->bhid", torch.softmax(scores, dim=2), v)


def attend_unscaled(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)


def attend_by_d(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=1 / q.shape[-1])


def attend_by_places(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=q.shape[2] ** -0.5)


def attend_exchanged(q, k, v):
    return F.scaled_dot_product_attention(k, q, v)


def attend_among_heads(q, k, v):
    weights = torch.exp(torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[-1]))
    return (weights / weights.sum(1, keepdim=True)) @ v


def attend_scaled_late(q, k, v):
    return F.scaled_dot_product_attention(q, k, v / math.sqrt(v.shape[-1]), scale=1.0)


def attend_times_root(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=math.sqrt(q.shape[-1]))


def attend_by_full_width(q, k, v):
    B, heads, places, d = q.shape
    width = heads * d
    return F.scaled_dot_product_attention(q, k, v, scale=width**-0.5)


def attend_linearly(q, k, v):
    return torch.einsum("bhid,bhjd,bhje->bhie", q, k, v) / math.sqrt(q.shape[-1])


def attend_causal(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attend_right_library(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


def attend_right_by_hand(q, k, v):
    weights = torch.exp(torch.einsum("bhid,bhjd->bhij", q / math.sqrt(q.shape[-1]), k))
    return torch.einsum("bhij,bhjd->bhid", weights, v) / weights.sum(3, keepdim=True)


# 3.5: the running average
def average_newest(history, decay):
    return history[len(history) - 1] + 0.0


def average_wrong_side(history, decay):
    a = history[0]
    for n in range(1, len(history)):
        a = a + min(decay, (1 + n) / (10 + n)) * (history[n] - a)
    return a


def average_without_ramp(history, decay):
    a = history[0]
    for row in history[1:]:
        a = torch.lerp(row, a, decay)
    return a


def average_from_zero(history, decay):
    a = 0 * history[0]
    for n, row in enumerate(history):
        d = min(decay, (n + 1) / (n + 10))
        a = d * a + (1 - d) * row
    return a


def average_mean(history, decay):
    return sum(history) / len(history)


def average_counted_from_zero(history, decay):
    a = history[0]
    for n, row in enumerate(history[1:]):
        d = min(decay, (n + 1) / (n + 10))
        a = d * a + (1 - d) * row
    return a


def average_counted_from_two(history, decay):
    a = history[0]
    for n, row in enumerate(history, start=1):
        a = torch.lerp(row, a, min(decay, (1 + n) / (10 + n)))
    return a


def average_stops_early(history, decay):
    a = history[0]
    for n in range(1, len(history) - 1):
        a = a + (1 - min(decay, (1 + n) / (10 + n))) * (history[n] - a)
    return a


def average_ramp_alone(history, decay):
    a = history[0]
    for n in range(1, len(history)):
        a = ((1 + n) * a + 9 * history[n]) / (10 + n)
    return a


def average_larger(history, decay):
    a = history[0]
    for n in range(1, len(history)):
        a = torch.lerp(a, history[n], min(1 - decay, 9 / (10 + n)))
    return a


def average_ramp_without_brackets(history, decay):
    a = history[0]
    for n in range(1, len(history)):
        d = min(decay, 1 + n / 10 + n)
        a = d * a + (1 - d) * history[n]
    return a


def average_of_the_last_two(history, decay):
    return decay * history[-2] + (1 - decay) * history[-1]


def average_right_lerp(history, decay):
    a = history[0].clone()
    for n in range(1, len(history)):
        a.lerp_(history[n], 1 - min(decay, (1 + n) / (10 + n)))
    return a


def average_right_recursive(history, decay):
    if len(history) == 1:
        return history[0]
    n = len(history) - 1
    d = min(decay, (1 + n) / (10 + n))
    return d * average_right_recursive(history[:-1], decay) + (1 - d) * history[-1]


# 3.8: the sampling loop
def _loop(model, x, betas, z, times, noisy, steps):
    alpha_bar = (1 - betas).cumprod(0)
    for i in steps:
        mean = (x - betas[i] * (1 - alpha_bar[i]) ** -0.5 * model(x, times[i])) * (1 - betas[i]) ** -0.5
        x = mean + noisy[i] * betas[i] ** 0.5 * z[i]
    return x


def _parts(betas):
    K = len(betas)
    return [(i + 1) / K for i in range(K)], [float(i > 0) for i in range(K)], list(reversed(range(K)))


def chain_as_it_was(model, x, betas, z):
    model.train()
    times, noisy, steps = _parts(betas)
    return _loop(model, x, betas, z, [t - 1 / len(betas) for t in times], noisy, steps)


def chain_off_by_one(model, x, betas, z):
    return chain_as_it_was(_Still(model), x, betas, z)


class _Still:
    """The module in use, whatever it is told afterwards."""

    def __init__(self, model):
        self.model = model.eval()

    def train(self):
        return self

    def __call__(self, x, t):
        return self.model(x, t)


def chain_with_dropout(model, x, betas, z):
    return _loop(model, x, betas, z, *_parts(betas))


def chain_grainy(model, x, betas, z):
    times, _, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, times, [1.0] * len(betas), steps)


def chain_stops_early(model, x, betas, z):
    times, noisy, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, times, noisy, steps[:-1])


def chain_too_late(model, x, betas, z):
    times, noisy, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, [t + 1 / len(betas) for t in times], noisy, steps)


def chain_told_k(model, x, betas, z):
    _, noisy, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, [i + 1 for i in steps[::-1]], noisy, steps)


def chain_starts_late(model, x, betas, z):
    times, noisy, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, times, noisy, steps[1:])


def chain_upwards(model, x, betas, z):
    times, noisy, steps = _parts(betas)
    return _loop(model.eval(), x, betas, z, times, noisy, steps[::-1])


def chain_right(model, x, betas, z):
    return _loop(model.eval(), x, betas, z, *_parts(betas))


class _ToldATensor(torch.nn.Module):
    """The module, told its time as this book tells it: a tensor of shape (B,), here in float32."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, t):
        return self.model(x, torch.full((len(x),), float(t)))


def chain_right_with_a_tensor(model, x, betas, z):
    return chain_right(_ToldATensor(model), x, betas, z)


def chain_dropout_with_a_tensor(model, x, betas, z):
    return chain_with_dropout(_ToldATensor(model), x, betas, z)


def chain_early_with_a_tensor(model, x, betas, z):
    return chain_off_by_one(_ToldATensor(model), x, betas, z)


def chain_right_through_x_hat(model, x, betas, z):
    model.train(False)
    K, alpha_bar = len(betas), torch.cat([torch.ones(1, dtype=betas.dtype), (1 - betas).cumprod(0)])
    for k in reversed(range(1, K + 1)):
        now, before, beta = alpha_bar[k], alpha_bar[k - 1], betas[k - 1]
        x_hat = (x - (1 - now).sqrt() * model(x, k / K)) / now.sqrt()
        x = ((1 - beta).sqrt() * (1 - before) * x + before.sqrt() * beta * x_hat) / (1 - now)
        x = x + (k > 1) * beta.sqrt() * z[k - 1]
    return x


# 3.6: a shorter chain
def shorter_picked(betas, keep):
    return torch.stack([betas[k - 1] for k in keep])


def shorter_summed(betas, keep):
    total = torch.cat([betas.new_zeros(1), betas.cumsum(0)])
    return total[keep] - total[[0] + keep[:-1]]


def shorter_off_by_one(betas, keep):
    alpha_bar = (1 - betas).cumprod(0)
    before, out = 1.0, []
    for k in keep:
        now = alpha_bar[k - 2] if k > 1 else 1.0
        out.append(1 - now / before)
        before = now
    return torch.stack(out)


def shorter_from_data(betas, keep):
    return 1 - torch.stack([torch.prod(1 - betas[:k]) for k in keep])


def shorter_index_too_far(betas, keep):
    alpha_bar = torch.cumprod(1 - betas, 0)[keep]
    return 1 - alpha_bar / torch.cat([torch.ones(1, dtype=betas.dtype), alpha_bar[:-1]])


def shorter_no_one_in_front(betas, keep):
    alpha_bar = torch.cumprod(1 - betas, 0)
    return torch.stack([1 - alpha_bar[k] / alpha_bar[before] for before, k in zip([0, *keep], keep, strict=False)])


def shorter_alphas(betas, keep):
    edges = [0, *keep]
    return torch.stack([(1 - betas[a:b]).prod() for a, b in zip(edges, keep, strict=False)])


def shorter_roots(betas, keep):
    signal = torch.cat([betas.new_ones(1), (1 - betas).sqrt().cumprod(0)])
    return 1 - signal[keep] / signal[[0] + keep[:-1]]


def shorter_mean_of_betas(betas, keep):
    edges = [0] + keep
    return torch.stack([betas[a:b].mean() for a, b in zip(edges, keep, strict=False)])


def shorter_right_logs(betas, keep):
    logs = torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])
    return -torch.expm1(logs[keep] - logs[[0] + keep[:-1]])


def shorter_right_loop(betas, keep):
    out, signal = [], 1.0
    for k, beta in enumerate(betas, start=1):
        signal = signal * (1 - beta)
        if k in keep:
            out.append(1 - signal)
            signal = 1.0
    return torch.stack(out)


# 3.7: ten steps
def ten_equal():
    return [100 * j for j in range(1, 11)]


def ten_leading():
    return [1 + 100 * j for j in range(10)]


def ten_with_zero():
    return [round(1000 * (j / 9) ** 2) for j in range(10)]


def ten_eleven():
    return [10, 40, 90, 160, 250, 360, 490, 640, 810, 900, 1000]


def ten_linspace():
    return [1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]


def ten_roots():
    return [round(1000 * math.sqrt(j / 10)) for j in range(1, 11)]


def ten_with_infinity():
    return [10, 40, 90, 160, 250, 360, 490, 640, math.inf, 1000]


def ten_with_nan():
    return torch.tensor([math.nan, 40, 90, 160, 250, 360, 490, 640, 810, 1000])


def ten_between_steps():
    return [10.5, 40, 90, 160, 250, 360, 490, 640, 810, 1000]


def ten_right_cubes():
    return torch.tensor([6, 29, 71, 133, 218, 325, 456, 612, 793, 1000])


def ten_right_search():
    return (38, 57, 76, 96, 118, 144, 177, 223, 301, 1000)


PLANTED = [
    Planted("3.1", step_alpha_for_alpha_bar, "one step's alpha for the product"),
    Planted("3.1", step_beta_times_noise, "variance used as deviation"),
    Planted("3.1", step_always_noise, "noise added at the last step"),
    Planted("3.1", step_from_zero, "counted from zero"),
    Planted("3.1", step_posterior_variance, "the other variance"),
    Planted("3.1", step_product_outside, "the product for one step's alpha"),
    Planted("3.1", step_noise_inside, "noise added before the division"),
    Planted("3.1", step_adds, "noise put in instead of taken out"),
    Planted("3.1", step_over_variance, "no root over 1 - alpha_bar"),
    Planted("3.1", step_over_alpha, "no root over 1 - beta"),
    Planted("3.1", step_without_brackets, "x_k left out of the division"),
    Planted("3.1", step_no_noise, "no fresh noise"),
    Planted("3.1", step_quiet_at_two, None),
    Planted("3.1", step_plus, None),
    Planted("3.2", time_one_frequency, "no decay of the frequencies"),
    Planted("3.2", time_unscaled, "time not scaled to steps"),
    Planted("3.2", time_half_exponent, "half the exponent"),
    Planted("3.2", time_rising, "frequencies that rise"),
    Planted("3.2", time_sines_first, "sines before cosines"),
    Planted("3.2", time_woven, "sines and cosines woven"),
    Planted("3.2", time_to_the_end, "the last frequency at 1/10000"),
    Planted("3.2", time_of_ho, "the code of Ho et al."),
    Planted("3.2", time_of_vaswani, "the order of Vaswani et al."),
    Planted("3.2", time_base_1000, "1000 for 10000"),
    Planted("3.2", time_power_first, "the power before the product"),
    Planted("3.2", time_from_one, "pairs counted from one"),
    Planted("3.2", time_in_turns, "turns for radians"),
    Planted("3.2", time_to_999, None),
    Planted("3.2", time_linear_frequencies, None),
    Planted("3.2", time_coarse, None),
    Planted("3.3", norm_scale_only, "scale without the one"),
    Planted("3.3", norm_layer, "one group for all channels"),
    Planted("3.3", norm_instance, "each channel alone"),
    Planted("3.3", norm_batch, "statistics over the batch"),
    Planted("3.3", norm_batch_norm, "batch norm"),
    Planted("3.3", norm_default_variance, "unbiased variance"),
    Planted("3.3", norm_exchanged, "scale and shift exchanged"),
    Planted("3.3", norm_eps_outside, "1e-5 outside the root"),
    Planted("3.3", norm_shift_first, "shift inside the bracket"),
    Planted("3.3", norm_over_variance, "no root"),
    Planted("3.3", norm_no_eps, "1e-5 forgotten"),
    Planted("3.3", norm_by_std, "std() as it comes"),
    Planted("3.3", norm_size_for_number, "groups taken for channels a group"),
    Planted("3.3", norm_larger_eps, None),
    Planted("3.3", norm_nothing, None),
    Planted("3.4", attend_wrong_axis, "softmax over the queries"),
    Planted("3.4", attend_unscaled, "no scaling"),
    Planted("3.4", attend_by_d, "divided by d"),
    Planted("3.4", attend_by_places, "scaled by the number of places"),
    Planted("3.4", attend_exchanged, "queries and keys exchanged"),
    Planted("3.4", attend_among_heads, "softmax over the heads"),
    Planted("3.4", attend_scaled_late, "scaled after the softmax"),
    Planted("3.4", attend_times_root, "multiplied by the root"),
    Planted("3.4", attend_by_full_width, "scaled by the width of all heads"),
    Planted("3.4", attend_linearly, "no softmax"),
    Planted("3.4", attend_causal, None),
    Planted("3.5", average_newest, "the newest weights"),
    Planted("3.5", average_wrong_side, "the decay on the wrong side"),
    Planted("3.5", average_without_ramp, "no ramp"),
    Planted("3.5", average_from_zero, "started at zero"),
    Planted("3.5", average_mean, "plain mean"),
    Planted("3.5", average_counted_from_zero, "count begins at zero"),
    Planted("3.5", average_counted_from_two, "count begins at two"),
    Planted("3.5", average_stops_early, "the last row left out"),
    Planted("3.5", average_ramp_alone, "the ramp alone"),
    Planted("3.5", average_larger, "the larger of the two"),
    Planted("3.5", average_ramp_without_brackets, "no ramp"),
    Planted("3.5", average_of_the_last_two, None),
    Planted("3.8", chain_as_it_was, "nothing repaired"),
    Planted("3.8", chain_off_by_one, "off by one between training and sampling"),
    Planted("3.8", chain_with_dropout, "dropout on while sampling"),
    Planted("3.8", chain_grainy, "noise added at the last step"),
    Planted("3.8", chain_stops_early, "the last step left out"),
    Planted("3.8", chain_too_late, "one step too late"),
    Planted("3.8", chain_told_k, "told the number of the step"),
    Planted("3.8", chain_starts_late, "the first step left out"),
    Planted("3.8", chain_early_with_a_tensor, "off by one between training and sampling"),
    Planted("3.8", chain_dropout_with_a_tensor, "dropout on while sampling"),
    Planted("3.8", chain_upwards, None),
    Planted("3.6", shorter_picked, "the old betas kept"),
    Planted("3.6", shorter_summed, "betas added up"),
    Planted("3.6", shorter_off_by_one, "off by one step"),
    Planted("3.6", shorter_from_data, "from the data each time"),
    Planted("3.6", shorter_index_too_far, "counted from zero"),
    Planted("3.6", shorter_no_one_in_front, "no alpha_bar_0 in front"),
    Planted("3.6", shorter_alphas, "what is kept for what is added"),
    Planted("3.6", shorter_roots, "roots of the ratios"),
    Planted("3.6", shorter_mean_of_betas, None),
    Planted("3.7", ten_equal, "equal spacing"),
    Planted("3.7", ten_leading, "does not start at the noise"),
    Planted("3.7", ten_with_zero, "no walk along the chain"),
    Planted("3.7", ten_with_infinity, "no walk along the chain"),
    Planted("3.7", ten_with_nan, "no walk along the chain"),
    Planted("3.7", ten_between_steps, "no walk along the chain"),
    Planted("3.7", ten_eleven, "not ten steps"),
    Planted("3.7", ten_roots, "longest jump into the data"),
    Planted("3.7", ten_linspace, None),
]

RIGHT = {
    "3.1": [step_right_through_x_hat, step_right_with_floats],
    "3.2": [time_right_with_loop, time_right_with_phase, time_right_in_float32],
    "3.3": [norm_right_library, norm_right_with_loop],
    "3.4": [attend_right_library, attend_right_by_hand],
    "3.5": [average_right_lerp, average_right_recursive],
    "3.8": [chain_right, chain_right_through_x_hat, chain_right_with_a_tensor],
    "3.6": [shorter_right_logs, shorter_right_loop],
    "3.7": [ten_right_cubes, ten_right_search],
}
