"""The numbered equations of chapter 5, each held against something that is not the function it belongs to."""

import math

import pytest
import torch
from stepping import F64, close, normal

from diffusion_book import figures_ch05, sde
from diffusion_book.checks import ch05
from diffusion_book.denoiser import FromFunction
from diffusion_book.exact import GaussianMixture
from diffusion_book.langevin import langevin, langevin_ratio, stationary_variance, walk
from diffusion_book.samplers import ddim, euler_maruyama
from diffusion_book.schedules import VE, VP, Cosine, LinearPath, SubVP

SCHEDULES = {"VP": VP(), "VE": VE(0.05, 5.0), "SubVP": SubVP(), "Cosine": Cosine(), "LinearPath": LinearPath()}
each = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.equation("eq-brownian")
def test_squared_increments_add_up_to_the_time_and_stretches_are_independent():
    n, times = 4000, torch.tensor([0.0, 0.2, 0.5, 0.6, 1.0], dtype=F64)
    dw = sde.brownian(times, (n,), generator())
    lengths = torch.tensor([0.2, 0.3, 0.1, 0.4], dtype=F64)
    error = lengths * (2 / n) ** 0.5
    assert ((dw.square().mean(1) - lengths).abs() < 4 * error).all()
    assert ((dw.square().mean(1) - lengths**2).abs() > 10 * error).all()  # the length for its root would show
    assert (dw @ dw.T / n).triu(1).abs().max() < 4 * 0.35 / n**0.5
    fine = sde.brownian(torch.linspace(1, 0, 20_001, dtype=F64), (), generator())  # downwards as well
    close(fine.square().sum(), 1.0, 4 * (2 / 20_000) ** 0.5)


@pytest.mark.equation("eq-euler-maruyama")
@pytest.mark.parametrize("t, s", [(0.2, 0.5), (0.8, 0.5)])
def test_a_step_has_the_mean_and_the_variance_of_its_coefficients_where_it_begins(t, s):
    equation = (lambda x, t: torch.sin(x) - t, lambda x, t: 0.5 + t * x**2)
    x, h = torch.tensor([0.7], dtype=F64), abs(s - t)
    up, down = (
        sde.euler_maruyama(equation, x, [t, s], torch.tensor([[w]], dtype=F64))[-1] for w in (h**0.5, -(h**0.5))
    )
    close((up + down) / 2, [0.7 + (s - t) * (math.sin(0.7) - t)])
    close(((up - down) / 2) ** 2, [(0.5 + t * 0.49) ** 2 * h])


@pytest.mark.equation("eq-ito")
@pytest.mark.parametrize(
    "phi, first, second",
    [
        (torch.exp, math.exp, math.exp),
        (torch.sin, math.cos, lambda x: -math.sin(x)),
        (lambda x: 3 * x, lambda x: 3, lambda x: 0),
    ],
    ids=["exp", "sin", "linear"],
)
def test_itos_rule_is_the_mean_and_the_slope_over_a_small_step(phi, first, second):
    """E[phi(x + f h + g sqrt(h) z)] by quadrature: its slope at h = 0; and the closed form with the derivatives."""
    x, f, g = 0.4, -0.7, 0.9
    drift, diffusion = sde.ito((lambda x, t: f, lambda x, t: g), phi)
    at = torch.tensor([x, x], dtype=F64)
    close(drift(at, 0.3), [f * first(x) + g**2 / 2 * second(x)] * 2)
    close(diffusion(at, 0.3), [g * first(x)] * 2)
    z = torch.linspace(-9, 9, 4001, dtype=F64)
    weight = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    h = 1e-4

    def rise(h):
        return torch.trapezoid(weight * phi(x + f * h + g * h**0.5 * z), z).item() - phi(at)[0].item()

    close((4 * rise(h / 2) - rise(h)) / h, drift(at, 0.3)[0], 1e-6)


def test_itos_rule_for_the_logarithm_of_growth_has_constant_coefficients():
    drift, diffusion = sde.ito((lambda x, t: 0.5 * x, lambda x, t: 0.8 * x), torch.log)
    x = torch.tensor([0.1, 1.0, 7.0], dtype=F64)
    close(drift(x, 0.0), [0.5 - 0.32] * 3)
    close(diffusion(x, 0.0), [0.8] * 3)


@pytest.mark.equation("eq-ornstein-uhlenbeck")
def test_the_exact_step_is_the_limit_of_many_small_ones():
    """Var I and Cov(I, dw) as sums over a fine grid of what each piece of dw contributes."""
    r, c, h, n = 1.7, 0.9, 0.6, 60_000
    x, dw = sde.ornstein_uhlenbeck(torch.full((n,), 1.0, dtype=F64), [0.0, h], r, c, generator())
    pieces = (torch.arange(2000, dtype=F64) + 0.5) * h / 2000
    share = c * torch.exp(-r * (h - pieces))
    variance, covariance = share.square().mean() * h, share.mean() * h
    left = x[1] - math.exp(-r * h)
    assert abs(left.var() - variance) < 4 * variance * (2 / n) ** 0.5
    products = left * dw[0]
    assert abs(products.mean() - covariance) < 4 * products.std() / n**0.5
    assert abs(left.mean()) < 4 * (variance / n) ** 0.5


@pytest.mark.equation("eq-forward-sde")
@each
def test_the_coefficients_of_a_schedule_from_its_curves_by_differences(schedule):
    """m' = f m and v' = 2 f v + g^2 with m = alpha, v = sigma^2; and g^2 = -sigma^2 dlogsnr/dt."""
    drift, diffusion = sde.forward(schedule)
    for t in (0.1, 0.45, 0.9):
        h = 1e-6
        (a0, s0), (a, s), (a1, s1) = (schedule(u) for u in (t - h, t, t + h))
        f, g = drift(1.0, t), diffusion(1.0, t)
        close((a1 - a0) / (2 * h), f * a, 1e-6)
        close((s1**2 - s0**2) / (2 * h), 2 * f * s**2 + g**2, 1e-6)
        close(-(s**2) * (schedule.logsnr(t + h) - schedule.logsnr(t - h)) / (2 * h), g**2, 1e-6)


@pytest.mark.equation("eq-vp")
def test_vp_keeps_the_variance_of_data_of_variance_one():
    schedule = VP(0.3, 12.0)
    for t in (0.0, 0.3, 1.0):
        beta = 0.3 + 11.7 * t
        close(schedule.diffusion(t), math.sqrt(beta))
        close(2 * schedule.drift(t) + schedule.diffusion(t) ** 2, 0.0, 1e-9)


@pytest.mark.equation("eq-ve")
def test_ve_has_the_diffusion_of_its_geometric_curve():
    schedule = VE(0.02, 7.0)
    for t in (0.1, 0.5, 1.0):
        close(schedule.diffusion(t), 0.02 * 350**t * math.sqrt(2 * math.log(350)))
        close(schedule.drift(t), 0.0)


@pytest.mark.equation("eq-subvp")
def test_sub_vp_solves_the_equation_of_its_variance():
    """v' = -beta v + g^2 with the g of the equation, by small steps from the v of the schedule."""
    schedule, t, h = SubVP(), 0.05, 1e-4
    variance = schedule(t)[1] ** 2
    for i in range(4500):
        middle = t + (i + 0.5) * h
        beta, B = 0.1 + 19.9 * middle, 0.1 * middle + 9.95 * middle**2
        g2 = beta * (1 - math.exp(-2 * B))
        close(schedule.diffusion(middle) ** 2, g2, 1e-9)
        variance = (variance * (1 - beta * h / 2) + g2 * h) / (1 + beta * h / 2)
    close(variance, schedule(0.5)[1] ** 2, 1e-6)


@pytest.mark.equation("eq-fokker-planck")
@each
def test_the_density_of_a_gaussian_moves_as_its_mean_and_variance_do(schedule):
    """N(m, v) with m' = f m, v' = 2 f v + g^2: the derivative of its log density by hand, in two dimensions."""
    t, V, mu = 0.4, 0.3, torch.tensor([0.8, -0.5], dtype=F64)
    data = GaussianMixture([1.0], mu[None], [V])
    (alpha, sigma), f, g = schedule(t), schedule.drift(t), schedule.diffusion(t)
    m, v = alpha * mu, alpha**2 * V + sigma**2
    x = normal(5, 2)
    off = ((x - m) ** 2).sum(1)
    v_rate = 2 * f * v + g**2
    expected = -v_rate / v + ((x - m) * f * m).sum(1) / v + off / 2 * v_rate / v**2
    close(sde.fokker_planck(schedule, lambda y: data.log_prob(y, alpha, sigma), x, t), expected, 1e-9)


@pytest.mark.equation("eq-anderson")
@each
def test_a_small_step_back_has_the_law_that_bayes_rule_gives(schedule):
    """p(x_s | x_t) of Gaussian data by conditioning the joint Gaussian, against the step's mean and variance, as h -> 0."""
    V, t, y = 0.3, 0.5, torch.tensor([[0.9]], dtype=F64)
    data = GaussianMixture([1.0], [[0.4]], [V]).denoiser(schedule)
    step, zero, one = euler_maruyama(1.0), torch.zeros(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64)
    for h in (1e-4, 1e-5):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(t - h)
        of_s, of_t = alpha_s**2 * V + sigma_s**2, alpha_t**2 * V + sigma_t**2
        both = alpha_t / alpha_s * of_s
        mean = alpha_s * 0.4 + both / of_t * (0.9 - alpha_t * 0.4)
        variance = of_s - both**2 / of_t
        found = step(data, y, t, t - h, {}, lambda: zero)
        spread = step(data, y, t, t - h, {}, lambda: one) - found
        assert abs((found - 0.9).item() - (mean - 0.9)) < 2e3 * h**2
        close(spread.item() ** 2 / variance, 1.0, 40 * h)


@pytest.mark.equation("eq-family")
@each
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.7])
def test_every_eta_moves_mean_and_variance_as_the_schedule_says(schedule, eta):
    """On Gaussian data the drift is affine, b = A x + c: the rates of m and v backwards are those of the marginals."""
    V, mu, t = 0.3, 0.4, 0.5
    drift, diffusion = sde.reverse(GaussianMixture([1.0], [[mu]], [V]).denoiser(schedule), eta)
    c, with_x = drift(torch.tensor([[0.0], [1.0]], dtype=F64), t).flatten().tolist()
    (alpha, sigma), (alpha_rate, sigma_rate) = schedule(t), schedule.rates(t)
    m, v = alpha * mu, alpha**2 * V + sigma**2
    close((with_x - c) * m + c, alpha_rate * mu, 1e-9)
    # walking down by h: v -> (1 - h A)^2 v + diffusion^2 h, so dv/dt = 2 A v - diffusion^2
    close(2 * (with_x - c) * v - diffusion(0.0, t) ** 2, 2 * alpha * alpha_rate * V + 2 * sigma * sigma_rate, 1e-9)
    close(diffusion(0.0, t), eta * schedule.diffusion(t))


def test_the_correlation_of_start_and_end_on_unit_variance_is_alpha_to_the_eta_squared():
    """The slope of the end over the start, by many small steps without noise in the affine map."""
    schedule, n = VP(), 20_000
    times = torch.linspace(1, 0, n + 1, dtype=F64).tolist()
    for eta in (0.0, 0.5, 1.0):
        factor = 1.0
        for t, s in zip(times, times[1:], strict=False):
            factor *= 1 + (s - t) * (schedule.drift(t) + (1 + eta**2) / 2 * schedule.diffusion(t) ** 2)
        close(factor, schedule(1.0)[0] ** eta**2, 2e-3)


@pytest.mark.equation("eq-corrector")
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_noise_of_a_corrector_is_that_much_longer_than_its_drift(scale):
    level, x, z = VE(0.5, 2.0), scale * normal(3, 7), normal(3, 7, seed=1)
    score = -x / scale**2
    move = langevin_ratio(0.16)
    told = FromFunction(lambda y, t: y + score, level)  # sigma = 1 at t = 1/2
    drift = move(told, x, 0.5, 0.5, {}, lambda: z) - x
    opposite = move(told, x, 0.5, 0.5, {}, lambda: -z) - x
    noise, along = (drift - opposite) / 2, (drift + opposite) / 2
    close(along.norm(dim=1) / noise.norm(dim=1), [0.16] * 3, 1e-9)
    close(
        noise.square() / z.square(), 2 * along / score, 1e-9
    )  # one size in both: size = noise^2, drift = size/2 score


def at_rest(D, n, ratio, moves, measure):
    """The mean of measure(x / sqrt(v)) under the corrector on N(0, v I), over the second half of the moves."""
    schedule, g = VE(0.05, 5.0), generator(1)
    v = 1 + schedule(0.4)[1] ** 2
    flat = FromFunction(lambda x, t: x / (1 + schedule(t)[1] ** 2), schedule)

    def noise():
        return torch.randn(n, D, generator=g, dtype=F64)

    path = list(walk(flat, v**0.5 * noise(), 0.4, moves, langevin_ratio(ratio), noise))[moves // 2 :]
    return sum(measure(x / v**0.5).mean().item() for x in path) / len(path)


def test_in_many_dimensions_the_corrector_rests_at_a_variance_larger_by_its_square():
    D, ratio = 784, 0.5
    found = at_rest(D, 30, ratio, 280, lambda x: x.square())
    assert abs(found - (1 + ratio**2) * (D + 2) / (D - 2)) < 0.01
    V = 1 + ratio**2  # where it rests the size is 4 ratio^2 v^2/V, and with that size it is the fixed one's variance
    close(stationary_variance(4 * ratio**2 * 0.7 / V, 0.7), 0.7 * V)
    assert langevin(1.0).order == 1


def test_in_few_dimensions_the_corrector_rests_elsewhere_for_every_ratio():
    """E|x'|^2 = E|x|^2 gives E[v/|x|^2] = 1/((1 + ratio^2)(D + 2)) exactly, where N(0, v I) has 1/(D - 2)."""
    D = 8
    for ratio in (0.16, 0.5):
        found = at_rest(D, 2000, ratio, 400, lambda x: 1 / x.square().sum(1))
        assert abs(found * (1 + ratio**2) * (D + 2) - 1) < 0.02
    assert abs(at_rest(D, 2000, 0.08, 500, lambda x: x.square()) - (1 + 2 / D) ** 2) < 0.04


def test_what_the_open_exercise_measures():
    """Its error of Euler-Maruyama, against variances taken from step to step by hand; Heun comes in under the target."""
    V = 0.3
    drift, g, x, times, increments = ch05._solver_case(V, 80)
    found = ch05.solver_error(ch05._plain(drift, g, x, times, increments), times, V)
    law = {t: VP()(t)[0] ** 2 * V + VP()(t)[1] ** 2 for t in times}
    variance = law[times[0]]
    for t, s in zip(times, times[1:], strict=False):
        g2 = VP().diffusion(t) ** 2
        variance = (1 + (s - t) * (VP().drift(t) + g2 / law[t])) ** 2 * variance + g2 * (t - s)
    close(found, abs(variance / law[times[-1]] - 1), 1e-9)
    arguments = ch05._solver_case(V)
    close(ch05._variance_of(arguments), V, 1e-9)
    assert ch05._share(arguments, ch05._pair()(*ch05._solver_case(V))) < ch05.SOLVER_SHARE / 2


def test_the_figures_draw():
    w = torch.cat([torch.zeros(1, dtype=F64), sde.brownian(torch.linspace(0, 1, 513), (), generator()).cumsum(0)])
    assert len(figures_ch05.zoom(w, 4).axes) == 3
    path = normal(5, 4)
    times = torch.linspace(0, 1, 5, dtype=F64)
    assert len(figures_ch05.fans({"a": (VP(), times, path)}, 1.0).axes) == 1
    assert len(figures_ch05.roads(times, {"a": path, "b": path}).axes) == 2
    strip = figures_ch05.film({"a": normal(6, 1, 4, 4).clamp(-1, 1), "b": normal(6, 1, 4, 4).clamp(-1, 1)})
    assert [label.get_text() for label in strip.axes[0].get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddims_eta_is_that_of_the_family_in_the_limit_of_small_steps(eta):
    denoiser, x, z, t = GaussianMixture([1.0], [[0.4]], [0.3]).denoiser(VP()), normal(4, 1), normal(4, 1, seed=1), 0.5
    apart = []
    for h in (1e-2, 1e-3):
        for noise in (0 * z, z):
            ours, theirs = (make(eta)(denoiser, x, t, t - h, {}, lambda n=noise: n) for make in (euler_maruyama, ddim))
            apart.append((ours - theirs).abs().max().item())
    assert apart[2] < apart[0] / 50  # the drifts: second order in h
    assert apart[3] < apart[1] / 10**1.4  # the noises: order 3/2
