"""From one time to another: q(x_t | x_s) forwards, q(x_s | x_t, x) backwards, and the two variances a model chooses between.

See chapters 1 and 2.
"""

import torch

from diffusion_book.errors import BookError
from diffusion_book.predictions import any_zero
from diffusion_book.schedules.base import Schedule, Time, as_float64


def transition(schedule: Schedule, t: Time, s: Time) -> tuple[Time, Time]:
    """q(x_t | x_s) = N(alpha_ts x_s, beta I) for s < t: returns (alpha_ts, beta), each like t.

    alpha_ts = alpha_t/alpha_s, and beta = sigma_t^2 - alpha_ts^2 sigma_s^2 is the variance that the step s -> t adds.
    Needs alpha_s > 0 and raises BookError without it. Source: Kingma et al. 2021, section 2.1 (there alpha_t|s and
    sigma^2_t|s). See chapter 1.
    """
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    if any_zero(alpha_s):
        raise BookError(
            f"no step leads on from s = {_named(s)}, where alpha = 0 and nothing of the picture is left to shrink: "
            f"the last usable s is {schedule.last_t:g}"
        )
    alpha_ts = alpha_t / alpha_s
    beta = sigma_t**2 - alpha_ts**2 * sigma_s**2
    # rounding could make a tiny step's variance negative
    return alpha_ts, beta.clamp(min=0) if isinstance(beta, torch.Tensor) else max(beta, 0.0)


def posterior(schedule: Schedule, t: Time, s: Time) -> tuple[Time, Time, Time, Time]:
    """q(x_s | x_t, x) = N(c_t x_t + c_0 x, beta_tilde I): returns (c_t, c_0, beta_tilde, beta), each like t.

    With alpha_ts and beta of `transition`,
    c_t = alpha_ts sigma_s^2/sigma_t^2, c_0 = alpha_s beta/sigma_t^2, beta_tilde = beta sigma_s^2/sigma_t^2.
    Needs alpha_s > 0 and sigma_t > 0 and raises BookError without them. At s = 0 all the weight is on x: (0, 1, 0, beta).
    Source: Kingma et al. 2021, eq. 30-32; Ho et al. 2020, eq. 7 for one step of the chain. See chapters 1 and 2.
    """
    (_, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    if any_zero(sigma_t):
        raise BookError(
            f"no way leads back from t = {_named(t)}, where sigma = 0 and x_t is the picture itself: "
            f"the first usable t is {schedule.first_t:g}"
        )
    alpha_ts, beta = transition(schedule, t, s)
    return alpha_ts * sigma_s**2 / sigma_t**2, alpha_s * beta / sigma_t**2, beta * sigma_s**2 / sigma_t**2, beta


def log_variance_range(schedule: Schedule, t: Time, s: Time) -> tuple[Time, Time]:
    """(log beta_tilde, log beta) of the step t -> s, each like t: the ends between which a variance is learned.

    beta_tilde is 0 at s = 0; there it takes the value of the next step, 2t -> t (1 -> t if 2t > 1), which on a chain
    is beta_tilde_2 at k = 1. Raises BookError where a variance is 0: a step that adds no noise, or t = 1 to s = 0.
    Source: Nichol & Dhariwal 2021, section 3.1; the clipping: Ho et al. 2020 (code).
    """
    asked, t = t, as_float64(t)
    s = as_float64(s).to(t.device).expand(t.shape)
    last = s == 0
    next_t, next_s = torch.where(last, (2 * t).clamp(max=1), t), torch.where(last, t, s)
    if bool((next_s < next_t).all()):
        *_, beta = posterior(schedule, t, s)
        _, _, beta_tilde, _ = posterior(schedule, next_t, next_s)
        if bool(((beta > 0) & (beta_tilde > 0)).all()):
            low, high = beta_tilde.log(), beta.log()
            return (low, high) if isinstance(asked, torch.Tensor) else (low.item(), high.item())
    raise BookError(
        f"the step from t = {t.tolist()} to {s.tolist()} has a variance of 0 and so no logarithm: "
        "take s < t where the log-SNR falls, and more than one step from t = 1 to 0"
    )


def _named(t: Time):
    return t.tolist() if isinstance(t, torch.Tensor) else t
