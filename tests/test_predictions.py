"""One row for every parameterization, one formula between them, and the denoiser built on it, against the oracle."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diffusion_book import predictions
from diffusion_book.denoiser import Denoiser, FromFunction, clipped
from diffusion_book.errors import BookError
from diffusion_book.exact import GaussianMixture
from diffusion_book.predictions import EPS, SCORE, VELOCITY, Prediction, V, X, edm, loss_scale
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, Learned, LinearPath, Shifted, SubVP, betas

F64 = torch.float64
SCHEDULES = {
    "VP": VP(),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "VE": VE(),
    "EDM": EDM(),
    "SubVP": SubVP(),
    "Discrete": Discrete(betas.linear()),
    "zero terminal": Discrete(betas.zero_terminal(betas.scaled_linear(50))),
    "Shifted": Shifted(Cosine(), 3.0),
    "Learned": Learned(width=4).requires_grad_(False),
}
PREDICTIONS = {p.name: p for p in (X, EPS, V, VELOCITY, SCORE, edm(0.5), edm(1.7))}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
predicted = pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS.keys())
silent = [SCHEDULES[name] for name in ("Cosine", "LinearPath", "zero terminal", "Shifted")]  # alpha(1) = 0
T = torch.tensor([0.02, 0.1, 0.3, 0.5, 0.7, 0.9], dtype=F64)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def pair(schedule, t, *shape):
    """(x, eps, x_t)."""
    x, eps = normal(len(t), *shape, seed=1), normal(len(t), *shape, seed=2)
    alpha, sigma = (value.reshape(-1, *[1] * len(shape)) for value in schedule(t))
    return x, eps, alpha * x + sigma * eps


def close(value, expected, tolerance=1e-10):
    value, expected = torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64)
    torch.testing.assert_close(value, expected.expand_as(value), rtol=tolerance, atol=tolerance)


# Rows


@schedules
@predicted
def test_target_and_x_t_give_back_x_and_eps(schedule, prediction):
    x, eps, x_t = pair(schedule, T, 3, 2, 2)
    y = prediction.target(schedule, T, x, eps)
    x_hat, eps_hat = prediction.solve(schedule, T, x_t, y)
    assert (x_hat - x).abs().max() <= 1e-10
    assert (eps_hat - eps).abs().max() <= 1e-10
    close(prediction.solve_x(schedule, T, x_t, y), x_hat, 0)


@schedules
def test_every_parameterization_converts_into_every_other(schedule):
    x, eps, x_t = pair(schedule, T, 4)
    for source in PREDICTIONS.values():
        y = source.target(schedule, T, x, eps)
        for goal in PREDICTIONS.values():
            converted = goal.target(schedule, T, *source.solve(schedule, T, x_t, y))
            close(converted, goal.target(schedule, T, x, eps), 1e-9)


@schedules
@predicted
def test_a_time_for_each_row_is_each_row_by_itself(schedule, prediction):
    x, eps, x_t = pair(schedule, T, 2, 3)
    y = prediction.target(schedule, T, x, eps) + 0.1
    x_hat, eps_hat = prediction.solve(schedule, T, x_t, y)
    for i, t in enumerate(T.tolist()):
        one = slice(i, i + 1)
        close(prediction.target(schedule, t, x[one], eps[one]) + 0.1, y[one], 1e-12)
        alone = prediction.solve(schedule, t, x_t[one], y[one])
        close(alone[0], x_hat[one], 1e-11)
        close(alone[1], eps_hat[one], 1e-11)


@schedules
def test_targets_are_what_the_papers_call_them(schedule):
    x, eps, x_t = pair(schedule, T, 4)
    alpha, sigma = (value[:, None] for value in schedule(T))
    close(X.target(schedule, T, x, eps), x, 0)
    close(EPS.target(schedule, T, x, eps), eps, 0)
    close(V.target(schedule, T, x, eps), alpha * eps - sigma * x, 1e-14)
    close(SCORE.target(schedule, T, x, eps), (alpha * x - x_t) / sigma**2, 1e-9)  # grad log N(x_t; alpha x, sigma^2)
    h = 1e-6
    (alpha_after, sigma_after), (alpha_before, sigma_before) = schedule(T + h), schedule(T - h)
    change = (alpha_after - alpha_before)[:, None] * x + (sigma_after - sigma_before)[:, None] * eps
    if not isinstance(schedule, Discrete):  # whose path has a corner at these times
        close(VELOCITY.target(schedule, T, x, eps), change / (2 * h), 1e-6)


def test_velocity_on_the_linear_path_is_noise_minus_data():
    x, eps, _ = pair(LinearPath(), T, 4)
    close(VELOCITY.target(LinearPath(), T, x, eps), eps - x, 1e-15)


def test_velocity_is_v_times_the_speed_of_the_angle_where_variance_is_preserved_and_not_parallel_elsewhere():
    def ratio(schedule):
        x, eps, _ = pair(schedule, T, 4)
        return VELOCITY.target(schedule, T, x, eps) / V.target(schedule, T, x, eps)

    close(ratio(Cosine()), math.pi / 2, 1e-9)  # the one path where that speed is constant
    alpha, sigma = VP()(T)
    close(ratio(VP()), ((0.1 + 19.9 * T) * alpha / (2 * sigma))[:, None], 1e-9)
    assert ratio(LinearPath())[:3].std(1).min() > 0.01


@pytest.mark.parametrize("sd", [0.5, 1.0, 2.0])
def test_edm_row_is_the_preconditioning_of_karras_et_al(sd):
    """Table 1, written for x_t = x + sigma eps: D(x_t) = c_skip x_t + c_out F(c_in x_t)."""
    x, eps, x_t = pair(EDM(), T, 4)
    sigma, F = 80 * T[:, None], normal(6, 4, seed=3)
    c_skip = sd**2 / (sigma**2 + sd**2)
    c_out = sigma * sd / (sigma**2 + sd**2).sqrt()
    close(edm(sd).solve_x(EDM(), T, x_t, F), c_skip * x_t + c_out * F, 1e-12)
    close(edm(sd).target(EDM(), T, x, eps), (x - c_skip * x_t) / c_out, 1e-9)
    seen = Recorder()
    Denoiser(seen, EDM(), edm(sd), sigma_data=sd)(x_t, T)
    close(seen.inputs[0], x_t / (sigma**2 + sd**2).sqrt(), 1e-13)  # c_in


@schedules
@pytest.mark.parametrize("sd", [0.5, 1.7])
def test_edm_target_is_minus_v_of_the_variance_preserving_schedule_with_the_same_snr(schedule, sd):
    x, eps, _ = pair(schedule, T, 4)
    t = Cosine().inverse_logsnr(schedule.logsnr(T) + 2 * math.log(sd))
    close(edm(sd).target(schedule, T, x, eps), -V.target(Cosine(), t, x / sd, eps), 1e-9)


# Losses


@schedules
@predicted
def test_loss_scale_turns_the_error_of_x_into_the_error_of_the_target(schedule, prediction):
    x, eps, x_t = pair(schedule, T, 4)
    y = prediction.target(schedule, T, x, eps)
    y_hat = y + 0.3 * y.abs().mean(1, keepdim=True) * normal(6, 4, seed=4)
    error = (prediction.solve_x(schedule, T, x_t, y_hat) - x).square().sum(1)
    close((y_hat - y).square().sum(1), loss_scale(prediction, schedule, T) * error, 1e-9)
    close(loss_scale(prediction, schedule, 0.3), loss_scale(prediction, schedule, T)[2], 1e-11)


def test_loss_scales_have_these_closed_forms():
    alpha, sigma = Cosine()(T)
    close(loss_scale(X, Cosine(), T), 1.0, 0)
    close(loss_scale(EPS, Cosine(), T), (alpha / sigma) ** 2, 1e-12)
    close(loss_scale(V, Cosine(), T), (alpha / sigma) ** 2 + 1, 1e-12)
    close(loss_scale(SCORE, Cosine(), T), alpha**2 / sigma**4, 1e-12)
    close(loss_scale(VELOCITY, LinearPath(), T), 1 / T**2, 1e-12)
    s = 80 * T
    close(loss_scale(edm(0.5), EDM(), T), (s**2 + 0.25) / (0.5 * s) ** 2, 1e-12)  # 1/c_out^2


WEIGHTS = {  # the weight of |eps_hat - eps|^2, as the papers state it
    "snr": (predictions.snr, lambda snr: torch.ones_like(snr)),
    "truncated_snr": (predictions.truncated_snr, lambda snr: torch.maximum(snr, torch.ones_like(snr)) / snr),
    "min_snr": (predictions.min_snr, lambda snr: torch.minimum(snr, 5 + 0 * snr) / snr),
    "min_snr(2)": (lambda level: predictions.min_snr(level, 2.0), lambda snr: torch.minimum(snr, 2 + 0 * snr) / snr),
    "p2": (predictions.p2, lambda snr: 1 / (1 + snr)),
    "p2(0.5, 2)": (lambda level: predictions.p2(level, 0.5, 2.0), lambda snr: 1 / (2 + snr) ** 0.5),
    "sigmoid": (predictions.sigmoid_weight, lambda snr: 1 / (1 + snr)),
    "sigmoid(2)": (lambda level: predictions.sigmoid_weight(level, 2.0), lambda snr: 1 / (1 + snr * math.exp(-2))),
}


@pytest.mark.parametrize("curve, weight_of_eps", WEIGHTS.values(), ids=WEIGHTS.keys())
@pytest.mark.parametrize("schedule", [VP(), LinearPath(), EDM()], ids=repr)
def test_weighting_is_that_of_its_paper_on_the_error_of_eps(curve, weight_of_eps, schedule):
    x, eps, x_t = pair(schedule, T, 4)
    eps_hat = eps + 0.3 * normal(6, 4, seed=5)
    error_of_x = (EPS.solve_x(schedule, T, x_t, eps_hat) - x).square().sum(1)
    alpha, sigma = schedule(T)
    expected = weight_of_eps((alpha / sigma) ** 2) * (eps_hat - eps).square().sum(1)
    close(curve(schedule.logsnr(T)) * error_of_x, expected, 1e-8)


@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_edm_weighting_makes_the_error_of_its_network_count_once(sd):
    sigma = 80 * T
    weight = predictions.edm_weight(EDM().logsnr(T), sd)
    close(weight, (sigma**2 + sd**2) / (sigma * sd) ** 2, 1e-12)
    close(weight, loss_scale(edm(sd), EDM(), T), 1e-12)  # lambda c_out^2 = 1


# The ends


@pytest.mark.parametrize("schedule", silent, ids=repr)
@pytest.mark.parametrize("prediction", [EPS, SCORE], ids=["eps", "score"])
def test_without_signal_eps_and_score_say_nothing_and_the_error_names_the_last_usable_t(schedule, prediction):
    assert schedule(1.0)[0] == 0
    x_t = normal(3, 4)
    for t in (1.0, torch.tensor([0.3, 1.0, 0.5], dtype=F64)):
        for solve in (prediction.solve, prediction.solve_x):
            with pytest.raises(
                BookError, match=f"{prediction.name} says nothing .* t = {schedule.last_t:g} or earlier"
            ):
                solve(schedule, t, x_t, x_t)
    x_hat = prediction.solve_x(schedule, schedule.last_t, x_t, x_t)
    assert x_hat.isfinite().all()


@pytest.mark.parametrize("schedule", silent, ids=repr)
@pytest.mark.parametrize("prediction", [X, V, VELOCITY, edm(0.5)], ids=lambda p: p.name)
def test_without_signal_the_other_predictions_still_give_x(schedule, prediction):
    x, eps = normal(3, 4), normal(3, 4, seed=1)
    y = prediction.target(schedule, 1.0, x, eps)
    x_hat, eps_hat = prediction.solve(schedule, 1.0, eps, y)
    close(x_hat, x, 1e-13)
    close(eps_hat, eps, 1e-13)


@schedules
@pytest.mark.parametrize("prediction", [EPS, V, edm(0.5)], ids=lambda p: p.name)
def test_without_noise_eps_and_v_networks_give_x_t(schedule, prediction):
    x = normal(3, 4)
    x_hat, eps_hat = prediction.solve(schedule, 0.0, x, prediction.target(schedule, 0.0, x, 2 * x))
    close(x_hat, x, 1e-14)
    close(eps_hat, 2 * x, 1e-14)


@pytest.mark.parametrize(
    "prediction, schedule",
    [(X, VP()), (X, Cosine()), (SCORE, VP()), (SCORE, LinearPath()), (VELOCITY, VP()), (VELOCITY, Shifted(VP(), 2.0))],
    ids=repr,
)
@pytest.mark.parametrize("t", [0.0, torch.tensor([0.5, 0.0], dtype=F64)], ids=["number", "rows"])
def test_where_a_row_does_not_determine_x_the_error_names_the_first_usable_t(prediction, schedule, t):
    with pytest.raises(BookError, match="first usable t is 1e-05"):
        prediction.solve(schedule, t, normal(2, 4), normal(2, 4))
    with pytest.raises(BookError, match="first usable t is 1e-05"):
        loss_scale(prediction, schedule, t)
    assert prediction.solve_x(schedule, schedule.first_t, normal(2, 4), normal(2, 4)).isfinite().all()


def test_a_row_that_is_x_t_itself_is_refused():
    with pytest.raises(BookError, match="mirror does not determine x"):
        Prediction("mirror", lambda schedule, t: schedule(t)).solve(VP(), 0.5, normal(2, 4), normal(2, 4))


# Networks

MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [0.8, -0.4]], [[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.4]]])


class OracleNet(nn.Module):
    """The network that has learned everything: it answers E[y | x_t] in the terms of its prediction."""

    def __init__(self, schedule, prediction, sigma_data):
        super().__init__()
        self.schedule, self.prediction, self.sigma_data = schedule, prediction, sigma_data

    def forward(self, x, t, cond=None):
        alpha, sigma = self.schedule(t)
        x_t = x * (alpha**2 * self.sigma_data**2 + sigma**2).sqrt()[:, None]
        x_hat, eps_hat = MIXTURE.denoise(x_t, alpha, sigma, cond), MIXTURE.eps(x_t, alpha, sigma, cond)
        return self.prediction.target(self.schedule, t, x_hat, eps_hat)


class Recorder(nn.Module):
    """Answers zero and remembers what it was asked."""

    def __init__(self, dtype=None):
        super().__init__()
        self.inputs, self.times, self.conds = [], [], []
        if dtype:
            self.weight = nn.Parameter(torch.zeros((), dtype=dtype))

    def forward(self, x, t, cond=None):
        self.inputs.append(x)
        self.times.append(t)
        self.conds.append(cond)
        return torch.zeros_like(x)


class Silent(nn.Module):
    def forward(self, x, t, cond=None):
        raise AssertionError("the network must not be asked")


def noisy(schedule, t):
    x = MIXTURE.sample(len(t), seed=3)
    alpha, sigma = schedule(t)
    return alpha[:, None] * x + sigma[:, None] * normal(len(t), 2, seed=4)


@schedules
@predicted
@pytest.mark.parametrize("sd", [1.0, 0.5])
def test_a_perfect_network_of_any_prediction_is_the_oracle(schedule, prediction, sd):
    denoiser, exact = (
        Denoiser(OracleNet(schedule, prediction, sd), schedule, prediction, sd),
        MIXTURE.denoiser(schedule),
    )
    x_t = noisy(schedule, T)
    close(denoiser(x_t, T), exact(x_t, T), 1e-9)
    close(denoiser(x_t, 0.3), exact(x_t, 0.3), 1e-9)
    for name in ("eps", "score", "v", "velocity"):
        close(getattr(denoiser, name)(x_t, T), getattr(exact, name)(x_t, T), 1e-8)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    close(denoiser.given(labels)(x_t, T), exact.given(labels)(x_t, T), 1e-9)


@pytest.mark.parametrize("schedule", silent, ids=repr)
def test_at_alpha_0_a_perfect_network_gives_the_mean_of_the_data_or_says_why_not(schedule):
    x_t = normal(4, 2)
    for prediction in (X, V, VELOCITY, edm(0.5)):
        close(Denoiser(OracleNet(schedule, prediction, 1.0), schedule, prediction)(x_t, 1.0), MIXTURE.mean, 1e-13)
    for prediction in (EPS, SCORE):
        with pytest.raises(BookError, match=f"t = {schedule.last_t:g} or earlier"):
            Denoiser(OracleNet(schedule, prediction, 1.0), schedule, prediction)(x_t, 1.0)


@schedules
@pytest.mark.parametrize("sd", [1.0, 0.5, 3.0])
def test_the_network_sees_unit_variance_for_data_of_sigma_data(schedule, sd):
    seen = Recorder()
    alpha, sigma = schedule(T)
    x_t = normal(6, 4)
    Denoiser(seen, schedule, V, sigma_data=sd)(x_t, T)
    close(seen.inputs[0], x_t / ((alpha * sd) ** 2 + sigma**2).sqrt()[:, None], 1e-13)
    close(seen.times[0], T, 0)
    Denoiser(seen, schedule, V, sigma_data=sd)(x_t, 0.3)
    close(seen.times[1], torch.full((6,), 0.3, dtype=F64), 0)


@schedules
@predicted
def test_at_t_0_the_network_is_not_asked(schedule, prediction):
    x_t = normal(3, 4)
    denoiser = Denoiser(Silent(), schedule, prediction)
    for t in (0.0, torch.tensor(0.0), torch.zeros(3)):
        close(denoiser(x_t, t), x_t, 0)
    for view in (denoiser.eps, denoiser.score, denoiser.v, denoiser.velocity):
        with pytest.raises(BookError, match="first usable t"):
            view(x_t, 0.0)


@pytest.mark.parametrize("cond", [None, torch.tensor([5, 6, 7, 8]), {"label": torch.tensor([5, 6, 7, 8])}], ids=repr)
def test_clean_rows_are_returned_and_the_network_sees_the_noisy_ones_only(cond):
    seen, x_t, t = Recorder(), normal(4, 3), torch.tensor([0.0, 0.4, 0.0, 1.0], dtype=F64)
    denoiser = Denoiser(seen, VP(), V).given(cond)
    x_hat = denoiser(x_t, t)
    close(x_hat[[0, 2]], x_t[[0, 2]], 0)
    close(x_hat[[1, 3]], VP()(t[[1, 3]])[0][:, None] * x_t[[1, 3]], 1e-12)  # v = 0 means x_hat = alpha x_t
    close(seen.times[0], t[[1, 3]], 0)
    if cond is not None:
        labels = seen.conds[0]["label"] if isinstance(cond, dict) else seen.conds[0]
        assert labels.tolist() == [6, 8]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_network_runs_in_its_dtype_and_the_answer_has_that_of_x_t(dtype):
    seen = Recorder(dtype)
    denoiser = Denoiser(seen, VP(), EPS)
    for x_t in (normal(2, 3), normal(2, 3).float()):
        assert denoiser(x_t, 0.4).dtype == x_t.dtype
        assert seen.inputs[-1].dtype == dtype
    t = torch.tensor([0.5, 0.501], dtype=F64)
    denoiser(normal(2, 3), t)
    close(seen.times[-1].double(), t, 1e-7)  # neighbouring times stay apart, in bf16 too


def test_v_asks_the_network_once():
    seen = Recorder()
    denoiser = Denoiser(seen, VP(), EPS)
    for view in (denoiser.eps, denoiser.score, denoiser.v, denoiser.velocity):
        seen.inputs.clear()
        view(normal(2, 3), 0.4)
        assert len(seen.inputs) == 1


# Views and transformers of denoisers


@schedules
def test_views_of_any_denoiser_are_the_closed_forms_of_the_oracle(schedule):
    denoiser = FromFunction(lambda x_t, t: MIXTURE.denoise(x_t, *schedule(t)), schedule)
    x_t, (alpha, sigma) = noisy(schedule, T), schedule(T)
    close(denoiser.eps(x_t, T), MIXTURE.eps(x_t, alpha, sigma), 1e-8)
    close(denoiser.score(x_t, T), MIXTURE.score(x_t, alpha, sigma), 1e-8)
    close(denoiser.v(x_t, T), MIXTURE.v(x_t, alpha, sigma), 1e-8)
    close(denoiser.velocity(x_t, T), MIXTURE.velocity(x_t, alpha, sigma, *schedule.rates(T)), 1e-8)


LEVELS = torch.linspace(-4.5, 6, 8, dtype=F64)  # log-SNRs that every schedule here reaches


@pytest.mark.parametrize("own", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("other", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_the_oracle_on_another_schedule_is_the_oracle_of_that_schedule(own, other):
    moved, exact = MIXTURE.denoiser(own).on(other), MIXTURE.denoiser(other)
    assert moved.schedule is other
    t = other.inverse_logsnr(LEVELS)
    x_t = noisy(other, t)
    close(moved(x_t, t), exact(x_t, t), 1e-10)
    close(moved(x_t, t[3].item()), exact(x_t, t[3].item()), 1e-10)
    close(moved.velocity(x_t, t), exact.velocity(x_t, t), 1e-8)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    close(moved.given(labels)(x_t, t), exact.given(labels)(x_t, t), 1e-10)
    close(moved(x_t, 0.0), x_t, 0)
    close(moved(x_t[:2], torch.stack([t[0] * 0, t[0]])), torch.stack([x_t[0], exact(x_t[1:2], t[:1])[0]]), 1e-10)


@pytest.mark.parametrize("own", silent, ids=repr)
@pytest.mark.parametrize("other", silent, ids=repr)
def test_from_pure_noise_to_pure_noise_the_oracle_stays_the_mean(own, other):
    close(MIXTURE.denoiser(own).on(other)(normal(3, 2), 1.0), MIXTURE.mean, 1e-12)
    close(MIXTURE.denoiser(own).on(other)(normal(3, 2), torch.ones(3)), MIXTURE.mean, 1e-12)


@pytest.mark.parametrize(
    "own, other, t, end, level",
    [
        (VP(), Cosine(), 1.0, 1.0, "-inf"),
        (VP(), EDM(1e4), 1.0, 1.0, "-18.42"),
        (VE(), LinearPath(), 1e-4, 1e-300, "18.42"),
    ],
    ids=repr,
)
def test_beyond_its_own_range_it_is_asked_at_the_end_and_warns_once(own, other, t, end, level):
    inner = MIXTURE.denoiser(own)
    moved, x_t = inner.on(other), normal(3, 2)
    with pytest.warns(UserWarning, match=f"not made for logsnr = {level}"):
        x_hat = moved(x_t, t)
    (own_alpha, own_sigma), (alpha, sigma) = own(end), other(t)
    scale = math.hypot(own_alpha, own_sigma) / math.hypot(alpha, sigma)
    close(x_hat, inner(scale * x_t, end), 1e-12)
    close(moved(x_t, t), x_hat, 0)  # a second warning would be an error here


def test_clipped_keeps_x_hat_in_range_and_the_noise_follows():
    exact, x_t, (alpha, sigma) = MIXTURE.denoiser(VP()), 4 * normal(16, 2), VP()(0.4)
    kept = clipped(exact, -0.7, 0.6)
    expected = exact(x_t, 0.4).clamp(-0.7, 0.6)
    assert (expected != exact(x_t, 0.4)).any()
    close(kept(x_t, 0.4), expected, 0)
    close(kept.eps(x_t, 0.4), (x_t - alpha * expected) / sigma, 1e-13)
    close(clipped(exact)(x_t, 0.4), exact(x_t, 0.4).clamp(-1, 1), 0)
    assert kept.schedule == VP()


# Properties


@settings(max_examples=30, deadline=None, derandomize=True)
@given(a=st.floats(-3, 3), b=st.floats(-3, 3), t=st.floats(0.01, 1.0))
def test_any_row_that_is_not_x_t_round_trips(a, b, t):
    alpha, sigma = VP()(t)
    prediction, (x, eps) = Prediction("any", lambda schedule, t: (a, b)), (normal(1, 4), normal(1, 4, seed=1))
    if abs(alpha * b - sigma * a) < 1e-3:
        return
    solved = prediction.solve(VP(), t, alpha * x + sigma * eps, prediction.target(VP(), t, x, eps))
    close(torch.cat(solved), torch.cat([x, eps]), 1e-10)


def test_clipping_keeps_the_condition():
    mixture = GaussianMixture([0.5, 0.5], [[-3.0], [3.0]], [0.1, 0.1])
    denoiser = clipped(mixture.denoiser(VP())).given(torch.tensor([1]))
    assert denoiser(torch.tensor([[-2.0]]), 0.9).item() == 1.0  # the second component, cut off at 1
