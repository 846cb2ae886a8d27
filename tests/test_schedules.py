"""Every schedule against its defining formulas, the literature's closed forms and numbers computed elsewhere."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_book.errors import BookError
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, Learned, LinearPath, Shifted, SubVP, betas

F64 = torch.float64


def learned():
    """A learned schedule as training leaves one: not at its initial values."""
    schedule, generator = Learned(width=16), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=F64)
    return schedule.requires_grad_(False)


FAMILIES = {
    "linear": betas.linear(),
    "quadratic": betas.quadratic(),
    "scaled_linear": betas.scaled_linear(),
    "cosine": betas.cosine(),
    "sigmoid": betas.sigmoid(),
    "exponential": betas.exponential(),
    "constant": betas.constant(),
    "zero_terminal": betas.zero_terminal(betas.scaled_linear()),
    "shifted": betas.shifted(betas.linear(), 2.0),
    "two steps": torch.tensor([0.2, 0.7], dtype=F64),
    "zero terminal in two steps": torch.tensor([0.2, 1.0], dtype=F64),
}
SHIFTED = {
    "VP up": Shifted(VP(), 3.0),
    "VP down": Shifted(VP(), 0.4),
    "Cosine up": Shifted(Cosine(), 3.0),
    "Cosine down": Shifted(Cosine(), 0.4),
    "LinearPath up": Shifted(LinearPath(), 3.0),
    "VE up": Shifted(VE(), 2.0),
    "VE down": Shifted(VE(), 0.5),
    "EDM up": Shifted(EDM(), 2.0),
    "EDM down": Shifted(EDM(), 0.5),
    "SubVP up": Shifted(SubVP(), 2.0),
    "Learned down": Shifted(learned(), 0.5),
}
SMOOTH = {
    "VP": VP(),
    "VP(1, 5)": VP(1.0, 5.0),
    "VP constant": VP(3.0, 3.0),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "VE": VE(),
    "EDM": EDM(),
    "SubVP": SubVP(),
    "Learned": learned(),
}
CHAINS = {f"Discrete {name}": Discrete(b) for name, b in FAMILIES.items()}
ALL = SMOOTH | CHAINS | {f"Shifted {name}": s for name, s in SHIFTED.items()}
everything = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL.keys())
chains = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())


def grid(schedule):
    """Times inside (0, 1), never at a knot of a chain, where the rates jump."""
    if isinstance(schedule, Discrete):
        return (torch.arange(schedule.steps, dtype=F64) + 0.4) / schedule.steps
    return (torch.arange(97, dtype=F64) + 0.4) / 97


def slope(curve, t, h=2e-6):
    """d curve/dt by a central difference of fourth order."""
    far, near = curve(t + 2 * h) - curve(t - 2 * h), curve(t + h) - curve(t - h)
    return (8 * near - far) / (12 * h)


def close(value, expected, tolerance=1e-10):
    value, expected = torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64)
    torch.testing.assert_close(value, expected.expand_as(value), rtol=tolerance, atol=tolerance)


# What every schedule is


@everything
def test_t_0_is_the_clean_image_exactly(schedule):
    assert schedule(0.0) == (1.0, 0.0)
    assert schedule.logsnr(0.0) == math.inf


@everything
def test_signal_falls_and_noise_rises(schedule):
    t = torch.linspace(0, 1, 301, dtype=F64)
    alpha, sigma = schedule(t)
    assert (alpha.diff() <= 0).all()
    assert (sigma.diff() >= 0).all()
    assert (alpha >= 0).all()
    assert (schedule.logsnr(t).diff() < 1e-12).all()


VARIANCE_PRESERVING = {n: s for n, s in ALL.items() if not any(w in n for w in ("Path", "VE", "EDM", "SubVP"))}


@pytest.mark.parametrize("schedule", VARIANCE_PRESERVING.values(), ids=VARIANCE_PRESERVING.keys())
def test_variance_is_preserved(schedule):
    alpha, sigma = schedule(torch.linspace(0, 1, 301, dtype=F64))
    close(alpha**2 + sigma**2, 1.0, 1e-14)


@everything
def test_rates_are_the_slopes_of_the_curves(schedule):
    t = grid(schedule)
    for rate, number in zip(schedule.rates(t), (0, 1), strict=True):
        close(rate, slope(lambda u, number=number: schedule(u)[number], t), 1e-7)


@everything
def test_logsnr_is_log_of_signal_over_noise(schedule):
    t = grid(schedule)
    alpha, sigma = schedule(t)
    close(schedule.logsnr(t), torch.log(alpha**2 / sigma**2), 1e-12)


@everything
def test_forward_sde_follows_from_the_curves(schedule):
    t = grid(schedule)
    alpha, sigma = schedule(t)
    close(schedule.drift(t), slope(lambda u: schedule(u)[0].log(), t), 3e-6)
    close(schedule.diffusion(t) ** 2, -(sigma**2) * slope(schedule.logsnr, t), 3e-6)


@everything
def test_forward_sde_keeps_the_variance_of_the_noise(schedule):
    """d sigma^2/dt = 2 f sigma^2 + g^2."""
    t = grid(schedule)
    (_, sigma), (_, sigma_rate) = schedule(t), schedule.rates(t)
    close(2 * schedule.drift(t) * sigma**2 + schedule.diffusion(t) ** 2, 2 * sigma * sigma_rate, 1e-9)


@everything
def test_inverse_logsnr_undoes_logsnr(schedule):
    t = grid(schedule)
    logsnr = schedule.logsnr(t)
    moving = (
        slope(schedule.logsnr, t).abs() > 1e-3
    )  # a shifted schedule stands still where its base has no more to show
    assert moving.sum() > len(t) / 3
    assert (schedule.inverse_logsnr(logsnr) - t)[moving].abs().max() <= 1e-10
    reached = schedule.logsnr(schedule.inverse_logsnr(logsnr))
    close(reached[moving], logsnr[moving], 1e-9)


@everything
def test_inverse_logsnr_at_infinity_and_out_of_range_is_an_end(schedule):
    assert schedule.inverse_logsnr(math.inf) == 0.0
    assert schedule.inverse_logsnr(-math.inf) == 1.0
    assert schedule.inverse_logsnr(torch.tensor([math.inf, -math.inf], dtype=F64)).tolist() == [0.0, 1.0]
    assert 0 <= schedule.inverse_logsnr(200.0) < 1e-3 or schedule.first_t > 1e-3
    assert schedule.inverse_logsnr(-200.0) == pytest.approx(1.0, abs=1e-12)
    assert all(math.isfinite(schedule.inverse_logsnr(float(level))) for level in range(-60, 61, 5))


@everything
def test_a_number_gives_the_numbers_that_a_tensor_gives(schedule):
    times = [0.0, 1e-3, 0.3, 0.777, 1.0]
    t = torch.tensor(times, dtype=F64)
    for name in ("__call__", "rates", "logsnr", "drift", "diffusion"):
        values = getattr(schedule, name)(t)
        for i, time in enumerate(times):
            one = getattr(schedule, name)(time)
            pairs = zip(one, values, strict=True) if isinstance(one, tuple) else [(one, values)]
            for number, tensor in pairs:
                assert type(number) is float
                assert tensor.dtype == F64
                assert tensor.shape == t.shape
                close(number, tensor[i], 1e-14)
    levels = torch.tensor([-3.0, 0.1, 4.0], dtype=F64)
    for level, time in zip(levels.tolist(), schedule.inverse_logsnr(levels), strict=True):
        assert type(schedule.inverse_logsnr(level)) is float
        close(schedule.inverse_logsnr(level), time, 1e-14)


@everything
def test_values_keep_the_shape_of_t_and_are_float64(schedule):
    t = torch.tensor([[0.0, 0.25, 0.5], [0.75, 0.875, 1.0]], dtype=torch.float32)
    for value in (*schedule(t), *schedule.rates(t), schedule.logsnr(t), schedule.drift(t), schedule.diffusion(t)):
        assert value.shape == t.shape
        assert value.dtype == F64
    close(schedule(t)[0].flatten(), schedule(t.double().flatten())[0], 0)


@everything
def test_a_time_out_of_range_is_refused(schedule):
    for t in (-0.01, 1.01, math.nan, 999, torch.tensor([0.5, 1.2]), torch.tensor([-1e-9, 0.5])):
        for ask in (schedule, schedule.rates, schedule.logsnr, schedule.drift, schedule.diffusion):
            with pytest.raises(BookError, match=r"time must lie in \[0, 1\]"):
                ask(t)


@everything
def test_between_first_t_and_last_t_everything_is_finite(schedule):
    for t in (schedule.first_t, schedule.last_t):
        values = (*schedule(t), *schedule.rates(t), schedule.logsnr(t), schedule.drift(t), schedule.diffusion(t))
        assert all(math.isfinite(value) for value in values), (t, values)
    assert schedule(schedule.last_t)[0] > 0
    assert schedule(schedule.first_t)[1] > 0


# The literature's closed forms

T = torch.linspace(0.01, 0.99, 50, dtype=F64)
BETA = 0.1 + 19.9 * T
B = 0.1 * T + 19.9 * T**2 / 2
SDES = {
    "VP, Song et al. 2021 eq. 11": (VP(), -BETA / 2, BETA),
    "SubVP, Song et al. 2021 eq. 14": (SubVP(), -BETA / 2, BETA * (1 - torch.exp(-2 * B))),
    "VE, Song et al. 2021 eq. 9": (VE(), 0 * T, 2 * (0.01 * 5000**T) ** 2 * math.log(5000)),
    "EDM, Karras et al. 2022": (EDM(), 0 * T, 2 * 80**2 * T),
    "Cosine": (Cosine(), -math.pi / 2 * torch.tan(math.pi * T / 2), math.pi * torch.tan(math.pi * T / 2)),
    "LinearPath": (LinearPath(), -1 / (1 - T), 2 * T / (1 - T)),
}


@pytest.mark.parametrize("schedule, f, g2", SDES.values(), ids=SDES.keys())
def test_forward_sde_is_the_one_in_the_literature(schedule, f, g2):
    close(schedule.drift(T), f, 1e-11)
    close(schedule.diffusion(T) ** 2, g2, 1e-11)


CURVES = {
    "VP": (VP(), torch.exp(-B / 2), (1 - torch.exp(-B)).sqrt()),
    "SubVP": (SubVP(), torch.exp(-B / 2), 1 - torch.exp(-B)),
    "Cosine": (Cosine(), torch.cos(math.pi * T / 2), torch.sin(math.pi * T / 2)),
    "LinearPath": (LinearPath(), 1 - T, T),
    "VE": (VE(), 1 + 0 * T, 0.01 * 5000**T),
    "EDM": (EDM(), 1 + 0 * T, 80 * T),
}


@pytest.mark.parametrize("schedule, alpha, sigma", CURVES.values(), ids=CURVES.keys())
def test_curves_are_the_ones_in_the_literature(schedule, alpha, sigma):
    close(schedule(T)[0], alpha, 1e-13)
    close(schedule(T)[1], sigma, 1e-13)


def test_vp_has_these_values():
    close(VP()(0.25), [0.72365718508308643, 0.69015960362630874], 1e-15)
    close(VP()(0.5), [0.28118288079675238, 0.95965420206803625], 1e-15)
    close(VP()(1.0), [0.006571586494929615, 0.99997840689233868], 1e-15)


def test_paths_that_end_without_signal_do_so_exactly():
    for schedule in (Cosine(), LinearPath(), Shifted(Cosine(), 2.0), CHAINS["Discrete zero_terminal"]):
        assert schedule(1.0) == (0.0, 1.0)
        assert schedule.logsnr(1.0) == -math.inf
        assert schedule.drift(1.0) == -math.inf
        assert all(math.isfinite(rate) for rate in schedule.rates(1.0))


def test_ve_jumps_to_clean_at_t_0_and_begins_at_sigma_min():
    assert VE()(0.0) == (1.0, 0.0)
    close(VE()(1e-300)[1], 0.01, 1e-15)
    close(VE()(1.0)[1], 50.0, 1e-14)
    t = VE().inverse_logsnr(-2 * math.log(0.001))  # less noise than it has
    assert 0 < t < 1e-300


@pytest.mark.parametrize(
    "schedule, start, end",
    [
        (VP(), (-0.05, math.inf), (-10 * 0.006571586494929615, 10 * 0.006571586494929615**2 / 0.99997840689233868)),
        (Cosine(), (0.0, math.pi / 2), (-math.pi / 2, 0.0)),
        (LinearPath(), (-1.0, 1.0), (-1.0, 1.0)),
        (EDM(), (0.0, 80.0), (0.0, 80.0)),
        (VE(), (0.0, 0.01 * math.log(5000)), (0.0, 50 * math.log(5000))),
        (SubVP(), (-0.05, 0.1), (-10 * 0.006571586494929615, 20 * 0.006571586494929615**2)),
        (Shifted(VP(), 3.0), (-0.45, math.inf), (0.0, 0.0)),
        (Shifted(VP(), 0.5), (-0.0125, math.inf), None),
        (Shifted(Cosine(), 3.0), (0.0, 1.5 * math.pi), (-math.pi / 6, 0.0)),
        (Shifted(LinearPath(), 3.0), (-3.0, 3.0), (-1 / 3, 1 / 3)),
        (Shifted(LinearPath(), 0.5), (-0.5, 0.5), (-2.0, 2.0)),
        (Shifted(EDM(), 2.0), (0.0, 160.0), (0.0, 0.0)),
        (Shifted(EDM(), 0.5), (0.0, 40.0), (0.0, 40.0)),
        (Shifted(VE(), 2.0), (0.0, 0.02 * math.log(5000)), (0.0, 0.0)),
        (Shifted(SubVP(), 2.0), (-0.1, 0.2), (0.0, 0.0)),
    ],
    ids=repr,
)
def test_rates_at_both_ends(schedule, start, end):
    close(schedule.rates(0.0), start, 1e-12)
    if end is not None:
        close(schedule.rates(1.0), end, 1e-12)
    last = torch.tensor([1.0, 1 - 1e-5, 1 - 2e-5], dtype=F64)
    for rate, y in zip(schedule.rates(1.0), schedule(last), strict=True):
        close(rate, (3 * y[0] - 4 * y[1] + y[2]) / 2e-5, 1e-5)


# Chains


def product(beta, family_steps=1000):
    """sqrt(alpha_bar_k) by a loop in plain Python."""
    roots, alpha_bar = [], 1.0
    for k in range(1, family_steps + 1):
        alpha_bar *= 1 - beta(k)
        roots.append(math.sqrt(alpha_bar))
    return roots


def h(u):
    return math.cos(math.pi / 2 * (u + 0.008) / 1.008) ** 2


GOLDEN = {  # beta_k as the papers write it, and sqrt(alpha_bar) at k = 1, 500, 1000, computed with 40 digits
    "linear": (
        lambda k: 1e-4 + (0.02 - 1e-4) * (k - 1) / 999,
        (0.9999499987499375, 0.28033416288739808, 0.0063528180875700221),
    ),
    "quadratic": (
        lambda k: (0.01 + (math.sqrt(0.02) - 0.01) * (k - 1) / 999) ** 2,
        (0.9999499987499375, 0.57722419158962821, 0.027081588941212717),
    ),
    "scaled_linear": (
        lambda k: (math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * (k - 1) / 999) ** 2,
        (0.99957490964909678, 0.52694368812660411, 0.068264914217167521),
    ),
    "cosine": (
        lambda k: min(1 - h(k / 1000) / h((k - 1) / 1000), 0.999),
        (0.99997935767453631, 0.70274005894116902, 4.9282521313691616e-5),
    ),
    "sigmoid": (
        lambda k: 1e-4 + (0.02 - 1e-4) / (1 + math.exp(6 - 12 * (k - 1) / 999)),
        (0.99992539461660987, 0.54948253530225611, 0.0062993507526833333),
    ),
    "exponential": (
        lambda k: 1e-4 * 200 ** ((k - 1) / 999),
        (0.9999499987499375, 0.88340676832105249, 0.15097078286363104),
    ),
    "constant": (lambda k: 0.01, (0.99498743710661995, 0.08105851616218146, 0.0065704830424146329)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_beta_family_is_the_formula_of_its_paper(name):
    beta, (first, middle, last) = GOLDEN[name]
    chain, roots = Discrete(FAMILIES[name]), product(beta)
    close(FAMILIES[name], [beta(k) for k in range(1, 1001)], 1e-13)
    close(chain(chain.times()[1:])[0], roots, 1e-12)
    close(chain(torch.tensor([0.001, 0.5, 1.0], dtype=F64))[0], [first, middle, last], 1e-12)
    assert chain(1.0)[0] == pytest.approx(last, rel=1e-9)


def test_the_signal_that_well_known_chains_leave_at_the_end():
    assert round(Discrete(betas.linear())(1.0)[0], 4) == 0.0064
    assert round(Discrete(betas.scaled_linear())(1.0)[0], 3) == 0.068
    assert round(Discrete(betas.linear()).alpha_bar[500].item(), 4) == 0.0786


def test_cosine_betas_are_normalized_at_0_and_clipped_at_the_end():
    beta = betas.cosine()
    close(beta[0], 4.1284224821777802e-5, 1e-15)
    assert abs(beta[0].item() - (1 - h(0.001))) > 1e-4  # the first beta without the division by h(0)
    assert beta[-1] == 0.999
    assert (beta[:-1] < 0.999).all()
    close(Discrete(beta).alpha_bar[:-1], [h(k / 1000) / h(0) for k in range(1000)], 1e-13)


def test_zero_terminal_stretches_sqrt_alpha_bar_from_its_first_value_to_0():
    before, after = Discrete(betas.scaled_linear()), Discrete(betas.zero_terminal(betas.scaled_linear()))
    old, new = before.alpha_bar[1:].sqrt(), after.alpha_bar[1:].sqrt()
    assert after.betas[-1] == 1
    assert new[-1] == 0
    close(new[0], old[0], 1e-14)
    close(new.diff() / old.diff(), (new[0] - new[-1]) / (old[0] - old[-1]), 1e-9)


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_shifted_betas_lower_the_logsnr_of_every_step(factor):
    before, after = Discrete(betas.linear()), Discrete(betas.shifted(betas.linear(), factor))
    t = before.times()[1:]
    close(after.logsnr(t), before.logsnr(t) - 2 * math.log(factor), 1e-10)


@chains
def test_a_chain_at_its_knots_is_its_own_product(chain):
    alpha_bar = [1.0]
    for beta in chain.betas.tolist():
        alpha_bar.append(alpha_bar[-1] * (1 - beta))
    alpha_bar = torch.tensor(alpha_bar, dtype=F64)
    alpha, sigma = chain(chain.times())
    close(alpha**2, alpha_bar, 1e-12)
    close(sigma**2, 1 - alpha_bar, 1e-12)
    assert sigma[1].item() == pytest.approx(chain.betas[0].sqrt().item(), rel=1e-14)
    steps = [k / chain.steps for k in range(chain.steps + 1)][:: max(chain.steps // 50, 1)]
    close([chain(t)[0] ** 2 for t in steps], alpha_bar[:: max(chain.steps // 50, 1)], 1e-12)


@chains
def test_between_steps_logsnr_is_linear_but_sigma_is_below_the_first_and_alpha_above_the_last(chain):
    knots = chain.times()
    for fraction in (0.1, 0.5, 0.9):
        t = knots[:-1] + fraction * knots.diff()
        alpha, sigma = chain(t)
        (alpha_0, _), (alpha_1, sigma_1) = chain(knots[:-1]), chain(knots[1:])
        close(sigma[0], fraction * sigma_1[0], 1e-14)
        inner = slice(1, -1) if alpha_1[-1] == 0 else slice(1, None)
        low, high = chain.logsnr(knots[:-1])[inner], chain.logsnr(knots[1:])[inner]
        close(chain.logsnr(t)[inner], low + fraction * (high - low), 1e-9)
        if alpha_1[-1] == 0:
            close(alpha[-1], (1 - fraction) * alpha_0[-1], 1e-14)


@chains
def test_the_curve_has_no_jump_at_a_knot_and_the_rate_is_that_of_the_interval_below(chain):
    knots, tiny = chain.times()[1:-1], 1e-7 / chain.steps
    for before, at, after in zip(chain(knots - tiny), chain(knots), chain(knots + tiny), strict=True):
        close(before, at, 1e-6)
        close(after, at, 1e-6)
    for at, before in zip(chain.rates(chain.times()[1:]), chain.rates(chain.times()[1:] - tiny), strict=True):
        close(at, before, 1e-5)


def test_linear_betas_approach_vp_as_steps_multiply():
    def gap(steps):
        chain = Discrete(betas.linear(steps, 0.1 / steps, 20 / steps))
        return (chain(T)[0] - VP(0.1, 20.0)(T)[0]).abs().max().item()

    assert gap(1000) < 5e-3
    assert gap(1000) / gap(2000) == pytest.approx(2, abs=0.1)


BAD_BETAS = [[0.1], [[0.1, 0.2]], [0.1, 0.0], [0.1, -0.2], [0.1, 1.1], [1.0, 0.5], [0.1, math.nan]]


@pytest.mark.parametrize("bad", BAD_BETAS, ids=repr)
def test_bad_betas_are_refused(bad):
    with pytest.raises(BookError, match="betas must be"):
        Discrete(torch.tensor(bad))


def test_a_chain_whose_signal_dies_before_its_end_is_refused():
    with pytest.raises(BookError, match="after step 359 of 1000 no signal is left"):
        Discrete(betas.constant(1000, 0.875))  # 2^-1074, after 358 steps, is the least number above 0
    Discrete(betas.constant(300, 0.875))


@pytest.mark.parametrize(
    "make",
    [
        lambda: VP(0.0, 20.0),
        lambda: VP(0.1, -1.0),
        lambda: SubVP(0.0),
        lambda: VE(0.0, 1.0),
        lambda: VE(2.0, 1.0),
        lambda: EDM(0.0),
        lambda: Shifted(VP(), 0.0),
        lambda: Shifted(VP(), -2.0),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(BookError, match="needs|must be positive"):
        make()


# Shifted


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0, 7.5])
def test_shift_on_the_linear_path_is_that_of_stable_diffusion_3(factor):
    moved = factor * T / (1 + (factor - 1) * T)
    alpha, sigma = Shifted(LinearPath(), factor)(T)
    close(sigma, moved, 1e-13)
    close(alpha, 1 - moved, 1e-13)


@pytest.mark.parametrize("name", SHIFTED)
def test_shift_lowers_the_logsnr_by_twice_the_log_of_the_factor(name):
    schedule = SHIFTED[name]
    base, t = schedule.base, grid(schedule)
    wanted = base.logsnr(t) - 2 * math.log(schedule.factor)
    just_after_0 = base.logsnr(1e-12)
    close(schedule.logsnr(t), wanted.clamp(base.logsnr(1.0), just_after_0), 1e-8)


@pytest.mark.parametrize("base", [VP(), Cosine(), LinearPath(), EDM()], ids=repr)
def test_a_shift_by_1_changes_nothing_and_two_shifts_are_one(base):
    close(Shifted(base, 1.0)(T)[1], base(T)[1], 1e-13)
    close(Shifted(Shifted(base, 0.7), 0.5)(T)[1], Shifted(base, 0.35)(T)[1], 1e-12)
    close(Shifted(Shifted(base, 0.7), 0.5).rates(T)[1], Shifted(base, 0.35).rates(T)[1], 1e-10)


def test_diffusion_of_shifted_vp_is_finite_at_t_0():
    close(Shifted(VP(0.1, 20.0), 3.0).diffusion(0.0) ** 2, 9 * 0.1, 1e-12)
    close(Shifted(VP(0.1, 20.0), 3.0).drift(0.0), -9 * 0.1 / 2, 1e-12)


def test_a_chain_is_not_shifted_on_its_clock():
    with pytest.raises(TypeError, match="betas.shifted"):
        Shifted(Discrete(betas.linear()), 2.0)


# Learned


def test_a_learned_schedule_is_monotone_between_its_ends():
    schedule = learned()
    logsnr = schedule.logsnr(torch.linspace(0, 1, 2001, dtype=F64))
    assert (logsnr.diff() < 0).all()
    assert schedule.logsnr(1e-14) == pytest.approx(schedule.high, abs=1e-9)
    assert schedule.logsnr(1.0) == pytest.approx(schedule.low, abs=1e-12)
    alpha, sigma = Learned(high=8.0, low=-3.0)(1.0)
    close([alpha, sigma], [(1 / (1 + math.exp(3))) ** 0.5, (1 / (1 + math.exp(-3))) ** 0.5], 1e-14)


@pytest.mark.parametrize("name", ["__call__", "logsnr", "rates", "diffusion"])
def test_every_parameter_of_a_learned_schedule_gets_a_gradient(name):
    schedule = copy.deepcopy(learned()).requires_grad_(True)
    values = getattr(schedule, name)(torch.tensor([0.2, 0.6, 0.9], dtype=F64))
    total = sum(value.sum() for value in values) if isinstance(values, tuple) else values.sum()
    total.backward()
    for parameter in schedule.parameters():
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).any()


def test_the_gradient_of_a_learned_schedule_is_the_slope_of_its_values():
    schedule = copy.deepcopy(learned()).requires_grad_(True)
    t = torch.tensor([0.3, 0.7], dtype=F64)
    (gradient,) = torch.autograd.grad(schedule.diffusion(t).sum(), schedule.slope)
    with torch.no_grad():
        values = []
        for change in (1e-5, -2e-5):
            schedule.slope += change
            values.append(schedule.diffusion(t).sum())
    close(gradient, (values[0] - values[1]) / 2e-5, 1e-7)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: Shifted(s, 2.0)], ids=["Learned", "Shifted"])
def test_a_learned_schedule_remembers_no_old_value(wrap):
    inner = copy.deepcopy(learned())
    schedule = wrap(inner)
    before = schedule(0.4), schedule.logsnr(0.4), schedule.rates(0.4)
    inner.slope += 2.0
    after = schedule(0.4), schedule.logsnr(0.4), schedule.rates(0.4)
    assert all(old != new for old, new in zip(before, after, strict=True))
    close(after[0], torch.stack(schedule(torch.tensor(0.4))), 1e-7)


# Properties

quick = settings(max_examples=25, deadline=None, derandomize=True)
positive = st.floats(0.01, 30.0)


@quick
@given(beta_min=positive, beta_max=positive, t=st.floats(1e-3, 1.0), kind=st.sampled_from([VP, SubVP]))
def test_inverse_logsnr_holds_for_any_betas(beta_min, beta_max, t, kind):
    schedule = kind(beta_min, beta_max)
    assert schedule.inverse_logsnr(schedule.logsnr(t)) == pytest.approx(t, abs=1e-9)


@quick
@given(st.lists(st.floats(1e-4, 0.9), min_size=2, max_size=12), st.floats(0.0, 1.0), st.booleans())
def test_any_chain_falls_in_logsnr_and_inverts(values, t, ends_in_noise):
    chain = Discrete(torch.tensor(values[:-1] + [1.0 if ends_in_noise else values[-1]], dtype=F64))
    assert (chain.logsnr(torch.linspace(0, 1, 60, dtype=F64)).diff() < 0).all()
    assert chain.inverse_logsnr(chain.logsnr(t)) == pytest.approx(t, abs=1e-9)
    close(sum(value**2 for value in chain(t)), 1.0, 1e-13)


@quick
@given(st.floats(0.1, 10.0), st.floats(0.0, 1.0))
def test_a_shift_and_its_reciprocal_cancel(factor, t):
    close(Shifted(Shifted(LinearPath(), factor), 1 / factor)(t), LinearPath()(t), 1e-12)
    close(Shifted(Shifted(Cosine(), factor), 1 / factor)(t), Cosine()(t), 1e-12)
