"""Chapter 1: the chain against its closed form, one time from another, and the observer who makes the best of every pixel."""

import math

import pytest
import torch

from diffusion_book import forward
from diffusion_book.errors import BookError
from diffusion_book.exact import EmpiricalDenoiser, GaussianMixture
from diffusion_book.noise import Noise
from diffusion_book.observer import EmpiricalObserver, gaussian_information, two_picture_error
from diffusion_book.posterior import posterior, transition
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, LinearPath, Shifted, SubVP, betas

F64 = torch.float64
CHAINS = {
    "linear": betas.linear(50, 1e-3, 0.2),
    "scaled": betas.scaled_linear(40, 0.01, 0.2),
    "cosine": betas.cosine(30),
    "random": 0.5 * torch.rand(25, generator=torch.Generator().manual_seed(4), dtype=F64) + 1e-3,
}
chains = pytest.mark.parametrize("b", CHAINS.values(), ids=CHAINS.keys())
SCHEDULES = [VP(), Cosine(), LinearPath(), VE(), EDM(), SubVP(), Discrete(betas.linear()), Shifted(VP(), 2.0)]
schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def close(value, expected, tolerance=1e-12):
    torch.testing.assert_close(
        torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64), rtol=tolerance, atol=tolerance
    )


# The chain


@pytest.mark.equation("eq-chain-step")
def test_a_step_shrinks_the_picture_and_adds_beta_of_variance():
    x, eps = normal(3, 4), normal(3, 4, seed=1)
    for beta in (0.1, 0.36, 0.9):
        kept, added = forward.chain_step(x, beta, 0 * eps) / x, forward.chain_step(0 * x, beta, eps) / eps
        close(kept**2, torch.full_like(x, 1 - beta))
        close(added**2, torch.full_like(x, beta))
    close(forward.chain_step(x, 0.36, eps), 0.8 * x + 0.6 * eps)


@pytest.mark.equation("eq-chain-step")
def test_the_chain_takes_all_steps_in_order_with_fresh_noise():
    b, x = torch.tensor([0.36, 0.64, 0.19], dtype=F64), normal(2, 5)
    noises = [normal(2, 5, seed=i) for i in range(1, 4)]
    walk = list(forward.chain(x, b, iter(noises).__next__))
    by_hand = x
    for i, (keep, push) in enumerate([(0.8, 0.6), (0.6, 0.8), (0.9, 0.19**0.5)]):
        by_hand = keep * by_hand + push * noises[i]
        close(walk[i], by_hand)
    assert len(walk) == 3


@pytest.mark.equation("eq-alpha-bar")
@chains
def test_alpha_bar_is_the_product_of_what_each_step_keeps(b):
    product, bars = 1.0, [1.0]
    for beta in b.tolist():
        product *= 1 - beta
        bars.append(product)
    close(Discrete(b).alpha_bar, bars)


def moments(b):
    """Mean (for x = 1) and variance of x_k after each step, by the recursion of a linear Gaussian chain."""
    mean, variance, found = 1.0, 0.0, []
    for beta in b.tolist():
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        found.append((mean, variance))
    return torch.tensor(found, dtype=F64)


@pytest.mark.equation("eq-closed-form")
@chains
def test_one_jump_has_the_mean_and_the_variance_of_all_steps(b):
    chain = Discrete(b)
    alpha, sigma = chain(chain.times()[1:])
    close(alpha, moments(b)[:, 0], 1e-10)
    close(sigma**2, moments(b)[:, 1], 1e-10)


def test_the_errata_are_far_from_the_moments_of_the_chain():
    """What the common slips say after 500 steps, against the exact moments."""
    b = betas.linear()
    mean, variance = moments(b)[499]
    bar = torch.cumprod(1 - b, 0)
    assert abs((1 - b[499]).sqrt() - mean) > 0.7  # one step's alpha_k
    assert abs(torch.prod(b[:500]).sqrt() - mean) > 0.2  # product of betas
    assert abs((1 - bar[500]) - variance) > 5e-4  # one step too far
    wrong = 1.0
    for beta in b.tolist():
        wrong = (1 - beta) * wrong + beta**2
    assert wrong**0.5 == pytest.approx(0.138, abs=1e-3)  # beta for its root: far from 1


@pytest.mark.equation("eq-shares")
@chains
def test_each_step_has_the_share_that_its_noise_alone_would_leave(b):
    """A walk in which only step j adds noise: its variance in the end, from the chain itself."""
    for k in (1, 2, len(b) // 2, len(b)):
        shares = forward.noise_shares(b, k)
        assert shares.shape == (k,)
        for j in {1, (k + 1) // 2, k}:
            only = iter([torch.full((1,), float(i == j), dtype=F64) for i in range(1, k + 1)])
            *_, end = forward.chain(torch.zeros(1, dtype=F64), b[:k], only.__next__)
            close(shares[j - 1], end.item() ** 2, 1e-14)


@pytest.mark.equation("eq-shares")
@chains
def test_the_shares_sum_to_the_noise(b):
    for k in (1, 7, len(b)):
        close(forward.noise_shares(b, k).sum(), 1 - Discrete(b).alpha_bar[k])


def test_a_step_that_is_not_there_is_refused():
    for k in (0, 26, -1):
        with pytest.raises(BookError, match="numbered 1 to 25"):
            forward.noise_shares(CHAINS["random"], k)


@pytest.mark.equation("eq-marginal")
@schedules
def test_a_jump_is_signal_times_picture_plus_noise_times_eps(schedule):
    x, eps, t = normal(3, 2, 2), normal(3, 2, 2, seed=1), torch.tensor([0.1, 0.5, 0.9], dtype=F64)
    together = forward.noised(schedule, t, x, eps)
    for i, time in enumerate(t.tolist()):
        alpha, sigma = schedule(time)
        close(together[i], x[i] * alpha + eps[i] * sigma)
        close(forward.noised(schedule, time, x[i], eps[i]), together[i])


# One time from another


@pytest.mark.equation("eq-transition")
@schedules
def test_the_marginal_goes_over_into_the_marginal(schedule):
    for s, t in ((0.0, 0.4), (0.1, 0.3), (0.3, 0.95), (0.5, 0.5)):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
        factor, variance = transition(schedule, t, s)
        close(factor * alpha_s, alpha_t)
        close(factor**2 * sigma_s**2 + variance, sigma_t**2)
        assert variance >= 0


@pytest.mark.equation("eq-transition")
@schedules
def test_two_transitions_in_a_row_are_one(schedule):
    first, second, both = (transition(schedule, *ts) for ts in ((0.3, 0.1), (0.8, 0.3), (0.8, 0.1)))
    close(second[0] * first[0], both[0])
    close(second[0] ** 2 * first[1] + second[1], both[1])


@pytest.mark.equation("eq-transition")
def test_a_step_of_the_chain_is_the_transition_between_neighbours():
    b = CHAINS["random"]
    chain = Discrete(b)
    for k in (1, 2, 13, 25):
        factor, variance = transition(chain, k / 25, (k - 1) / 25)
        close([factor**2, variance], [1 - b[k - 1], b[k - 1]], 1e-10)
    t = torch.tensor([0.2, 0.4], dtype=F64)
    for value, one in zip(transition(chain, t, t - 0.04), transition(chain, 0.4, 0.36), strict=True):
        close(value[1], one)


@pytest.mark.equation("eq-bridge")
@schedules
def test_the_bridge_is_the_conditional_of_the_joint_gaussian(schedule):
    """By the 2x2 covariance of (x_s, x_t) given x and its inverse, the precision matrix."""
    x, x_t, s, t = 0.7, -1.1, 0.25, 0.6
    (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
    shared = alpha_t / alpha_s * sigma_s**2
    precision = torch.linalg.inv(torch.tensor([[sigma_s**2, shared], [shared, sigma_t**2]], dtype=F64))
    variance = 1 / precision[0, 0]
    mean = alpha_s * x - variance * precision[0, 1] * (x_t - alpha_t * x)
    c_t, c_0, spread, _ = posterior(schedule, t, s)
    close(c_t * x_t + c_0 * x, mean, 1e-9)
    close(spread, variance, 1e-9)


@pytest.mark.equation("eq-bridge")
@schedules
def test_the_bridge_averaged_over_its_end_is_the_marginal(schedule):
    for s, t in ((0.1, 0.3), (0.4, 0.9)):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
        c_t, c_0, spread, _ = posterior(schedule, t, s)
        close(c_t * alpha_t + c_0, alpha_s)
        close(c_t**2 * sigma_t**2 + spread, sigma_s**2)


ENDS = {"float": lambda t: t, "tensor": lambda t: torch.tensor([0.5, t], dtype=F64)}
ends = pytest.mark.parametrize("time", ENDS.values(), ids=ENDS.keys())


@ends
@pytest.mark.parametrize(
    "schedule, last",
    [(Cosine(), "0.99999"), (Discrete(betas.zero_terminal(betas.linear(20, 0.01, 0.4))), "0.95")],
    ids=["Cosine", "zero terminal"],
)
def test_no_step_leads_on_from_where_no_signal_is_left(schedule, last, time):
    for function in (transition, posterior):
        with pytest.raises(BookError, match=rf"from s = .*1\.0.* alpha = 0 .* the last usable s is {last}"):
            function(schedule, time(1.0), time(1.0))
    for value in transition(schedule, time(1.0), time(float(last))):
        assert torch.as_tensor(value).isfinite().all()


@ends
@pytest.mark.parametrize(
    "schedule, first", [(LinearPath(), "1e-05"), (Discrete(CHAINS["linear"]), "0.02")], ids=["LinearPath", "linear"]
)
def test_no_way_leads_back_from_the_picture_itself(schedule, first, time):
    with pytest.raises(BookError, match=rf"back from t = .*0\.0.* sigma = 0 .* the first usable t is {first}"):
        posterior(schedule, time(0.0), time(0.0))
    for value, expected in zip(posterior(schedule, float(first), 0.0)[:3], (0.0, 1.0, 0.0), strict=True):
        close(value, expected)


# The clock and the schedules


@pytest.mark.equation("eq-logsnr")
@schedules
def test_logsnr_is_the_log_of_the_ratio_of_variances(schedule):
    for t in (0.1, 0.5, 0.9):
        alpha, sigma = schedule(t)
        close(math.exp(schedule.logsnr(t)), alpha**2 / sigma**2, 1e-10)


@pytest.mark.equation("eq-cosine")
@pytest.mark.parametrize("steps, offset", [(1000, 0.008), (20, 0.05)])
def test_the_cosine_chain_follows_its_curve_until_the_clip(steps, offset):
    chain = Discrete(betas.cosine(steps, offset))
    angle = math.pi / 2 * (torch.arange(steps + 1, dtype=F64) / steps + offset) / (1 + offset)
    curve = (1 + torch.cos(2 * angle)) / 2
    close(chain.alpha_bar[:-1], (curve / curve[0])[:-1], 1e-12)
    close(chain.alpha_bar[-1] / chain.alpha_bar[-2], 0.001, 1e-12)
    assert abs(chain.alpha_bar[1] - curve[1]) > 1e-4 * (chain.alpha_bar[1] - chain.alpha_bar[2])  # h(0) is not 1


@pytest.mark.equation("eq-zero-terminal")
def test_zero_terminal_keeps_the_first_step_and_ends_without_signal():
    for b in (betas.scaled_linear(), CHAINS["random"]):
        root, mended = Discrete(b).alpha_bar.sqrt(), Discrete(betas.zero_terminal(b)).alpha_bar.sqrt()
        close(mended[1], root[1])
        assert mended[-1] == 0
        falls, wanted = mended[1:].diff(), root[1:].diff()
        close(falls / falls.sum(), wanted / wanted.sum(), 1e-9)  # a straight line of the old one


@pytest.mark.equation("eq-shift")
@chains
def test_the_shift_lowers_the_logsnr_of_every_step_by_twice_the_log(b):
    for factor in (0.5, 2.0, 3.7):
        old, new = Discrete(b), Discrete(betas.shifted(b, factor))
        t = old.times()[1:]
        close(new.logsnr(t), old.logsnr(t) - 2 * math.log(factor), 1e-9)


# The observer


def world(n=60, classes=4, shape=(3, 3)):
    return normal(n, *shape, seed=5), torch.arange(n) % classes


@pytest.mark.equation("eq-bayes")
def test_the_observer_is_bayes_rule_term_by_term():
    data, labels = world()
    alpha, sigma = 0.6, 0.9
    x_t = alpha * data[:7] + sigma * normal(7, 3, 3, seed=6)
    expected = torch.zeros(7, 4, dtype=F64)
    for b in range(7):
        for i in range(60):
            density = math.exp(-((x_t[b] - alpha * data[i]).norm().item() ** 2) / (2 * sigma**2))
            expected[b, labels[i]] += density
    observer = EmpiricalObserver(data, labels)
    close(observer(x_t, alpha, sigma), expected / expected.sum(1, keepdim=True), 1e-10)
    close(
        observer(x_t, torch.full((7,), alpha, dtype=F64), torch.full((7,), sigma, dtype=F64)),
        observer(x_t, alpha, sigma),
    )


@pytest.mark.equation("eq-bayes")
def test_the_observer_agrees_with_the_mixture_of_narrow_gaussians_and_with_the_denoiser():
    data, labels = world()
    schedule, t = Cosine(), 0.55
    alpha, sigma = schedule(t)
    x_t = forward.noised(schedule, t, data[:5], normal(5, 3, 3, seed=2))
    observer = EmpiricalObserver(data, labels)
    mixture = GaussianMixture(torch.full((60,), 1 / 60), data.flatten(1), torch.full((60,), 1e-12))
    responsibilities = mixture.responsibilities(x_t.flatten(1), alpha, sigma)
    close(observer.pictures(x_t, alpha, sigma), responsibilities, 1e-8)
    x_hat = (observer.pictures(x_t, alpha, sigma) @ data.flatten(1)).reshape(5, 3, 3)
    close(EmpiricalDenoiser(data, schedule)(x_t, t), x_hat, 1e-9)


@pytest.mark.equation("eq-bayes")
def test_along_is_the_observer_at_each_level():
    data, labels = world()
    observer, eps = EmpiricalObserver(data, labels), normal(6, 3, 3, seed=8)
    levels = torch.tensor([3.0, -0.5, -4.0], dtype=F64)
    rows = observer.along(data[:6], eps, levels)
    assert rows.shape == (3, 6, 4)
    for row, level in zip(rows, levels.tolist(), strict=True):
        alpha, sigma = (1 / (1 + math.exp(-level))) ** 0.5, (1 / (1 + math.exp(level))) ** 0.5
        close(row, observer(alpha * data[:6] + sigma * eps, alpha, sigma), 1e-10)


def test_equal_logsnr_equal_knowledge():
    data, labels = world()
    observer, eps = EmpiricalObserver(data, labels), normal(6, 3, 3, seed=8)
    level = VP().logsnr(0.4)
    known = observer(forward.noised(VP(), 0.4, data[:6], eps), *VP()(0.4))
    for schedule in (Cosine(), LinearPath(), VE(), EDM(), SubVP()):
        t = schedule.inverse_logsnr(level)
        close(observer(forward.noised(schedule, t, data[:6], eps), *schedule(t)), known, 1e-8)
        later = schedule.inverse_logsnr(level - 1)
        other = observer(forward.noised(schedule, later, data[:6], eps), *schedule(later))
        assert (other - known).abs().max() > 0.01


def test_the_share_of_right_answers_is_the_mean_of_the_largest_belief():
    data, labels = world(400, 4, (2,))
    observer, n = EmpiricalObserver(data, labels), 4000
    x, truth = data.repeat(10, 1), labels.repeat(10)
    beliefs = observer(0.8 * x + 0.6 * normal(n, 2, seed=9), 0.8, 0.6)
    believed, hits = beliefs.max(1).values, (beliefs.argmax(1) == truth).double()
    assert abs((hits - believed).mean()) < 4 * (hits - believed).std() / n**0.5
    assert believed.mean() > 0.27


def test_averaging_pixels_is_a_shift_of_the_logsnr():
    """Pictures made of 2 x 2 equal pixels: shifted by 2 log 2, they tell exactly what the small pictures tell."""
    small, labels = world(50, 5, (1, 4, 4))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    eps = Noise(3, (6, 1, 8, 8), dtype=F64)()
    averaged = 2 * torch.nn.functional.avg_pool2d(eps, 2)
    levels = torch.tensor([1.0, -1.0, -3.0], dtype=F64)
    one = EmpiricalObserver(large, labels).along(large[:6], eps, levels - 2 * math.log(2))
    other = EmpiricalObserver(small, labels).along(small[:6], averaged, levels)
    close(one, other, 1e-9)
    assert (EmpiricalObserver(large, labels).along(large[:6], eps, levels) - other).abs().max() > 0.05


def test_an_observer_refuses_what_it_cannot_read():
    data, labels = world()
    with pytest.raises(BookError, match="label a picture"):
        EmpiricalObserver(data, labels[:-1])
    with pytest.raises(BookError, match="label a picture"):
        EmpiricalObserver(data, labels.double())
    with pytest.raises(BookError, match="sigma = 0"):
        EmpiricalObserver(data, labels)(data, 1.0, 0.0)


@pytest.mark.equation("eq-two-pictures")
def test_two_pictures_are_confused_as_often_as_the_formula_says():
    """The observer's own error, integrated on a fine grid along the line between the two: in one dimension, exactly."""
    x, other, alpha, sigma = torch.tensor([[0.3]], dtype=F64), torch.tensor([[-0.9]], dtype=F64), 0.6, 0.8
    observer = EmpiricalObserver(torch.cat([x, other]), torch.tensor([0, 1]))
    x_t = torch.linspace(-8, 8, 400_001, dtype=F64)[:, None]
    density = torch.exp(-((x_t - alpha * x) ** 2) / (2 * sigma**2))[:, 0]
    wrong = observer(x_t, alpha, sigma)[:, 0] < 0.5
    close(two_picture_error(x[0], other[0], alpha, sigma), density[wrong].sum() / density.sum(), 1e-5)


@pytest.mark.equation("eq-two-pictures")
def test_the_distance_is_summed_over_pixels_and_only_the_ratio_counts():
    x, other = normal(5, 5), normal(5, 5, seed=1)
    z = 0.3 * (x - other).square().sum().sqrt().item() / (2 * 0.5)
    close(two_picture_error(x, other, 0.3, 0.5), 0.5 * math.erfc(z / math.sqrt(2)))
    close(two_picture_error(x, other, 0.6, 1.0), two_picture_error(x, other, 0.3, 0.5))
    assert 0 < two_picture_error(10 * x, 10 * other, 0.3, 0.5) < 1e-40  # no underflow to 0 in the tail


@pytest.mark.equation("eq-information")
def test_information_is_the_mean_log_ratio_of_densities():
    """E log p(x_t | x)/p(x_t), by the mixture's log-densities; and exactly, from the determinants."""
    l, schedule, t = torch.tensor([4.0, 0.5, 0.01], dtype=F64), VP(), 0.4
    alpha, sigma = schedule(t)
    prior = GaussianMixture([1.0], torch.zeros(1, 3), torch.diag(l)[None])
    x, eps = l.sqrt() * normal(200_000, 3), normal(200_000, 3, seed=1)
    x_t = forward.noised(schedule, t, x, eps)
    given = -(eps**2).sum(1) / 2 - 3 * math.log(sigma * math.sqrt(2 * math.pi))
    ratios = given - prior.log_prob(x_t, alpha, sigma)
    value = gaussian_information(l, schedule.logsnr(t)).item()
    assert abs(ratios.mean().item() - value) < 4 * ratios.std().item() / 200_000**0.5
    assert abs(ratios.mean().item() - 2 * value) > 10 * ratios.std().item() / 200_000**0.5  # the half forgotten
    covariance = alpha**2 * torch.diag(l) + sigma**2 * torch.eye(3, dtype=F64)
    close(value, (torch.logdet(covariance) - 3 * math.log(sigma**2)) / 2)
    assert gaussian_information(l, torch.zeros(2, 5)).shape == (2, 5)
