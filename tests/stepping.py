"""What the tests of the steps share: schedules, the steps by name, and a denoiser that is nobody's posterior mean."""

import pytest
import torch

from diffusion_book.denoiser import FromFunction
from diffusion_book.samplers import (
    ancestral,
    ancestral_beta,
    ddim,
    dpmpp_2m,
    euler,
    euler_maruyama,
    euler_t,
    heun,
    heun_churn,
    heun_t,
    stochastic_heun,
)
from diffusion_book.schedules import EDM, VE, VP, Cosine, Discrete, Learned, LinearPath, Shifted, SubVP, betas

F64 = torch.float64
SCHEDULES = {
    "VP": VP(),
    "Cosine": Cosine(),
    "LinearPath": LinearPath(),
    "VE": VE(),
    "EDM": EDM(),
    "SubVP": SubVP(),
    "Discrete": Discrete(betas.linear(100, 1e-3, 0.1)),
    "zero terminal": Discrete(betas.zero_terminal(betas.scaled_linear(50))),
    "Shifted": Shifted(Cosine(), 3.0),
    "Learned": Learned(width=4).requires_grad_(False),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
silent = pytest.mark.parametrize("schedule", [SCHEDULES[n] for n in ("Cosine", "LinearPath", "zero terminal")], ids=str)
JUMPS = [(0.9, 0.7), (0.5, 0.48), (0.3, 0.02)]

STEPS = {
    "ancestral": ancestral,
    "ancestral_beta": ancestral_beta,
    "ddim(0)": ddim(0.0),
    "ddim(0.5)": ddim(0.5),
    "ddim(1)": ddim(1.0),
    "euler": euler,
    "heun": heun,
    "heun_churn(0)": heun_churn(0.0),
    "heun_churn(0.2)": heun_churn(0.2, 0.0, 1e3),
    "dpmpp_2m": dpmpp_2m,
    "euler_t": euler_t,
    "heun_t": heun_t,
    "euler_maruyama(0)": euler_maruyama(0.0),
    "euler_maruyama(1)": euler_maruyama(1.0),
    "stochastic_heun(0)": stochastic_heun(0.0),
    "stochastic_heun(1)": stochastic_heun(1.0),
}
steps = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
NOISY = {
    "ancestral",
    "ancestral_beta",
    "ddim(0.5)",
    "ddim(1)",
    "heun_churn(0.2)",
    "euler_maruyama(1)",
    "stochastic_heun(1)",
}


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def close(value, expected, tolerance=1e-12):
    value, expected = torch.as_tensor(value, dtype=F64), torch.as_tensor(expected, dtype=F64)
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


def curved(schedule):
    """A denoiser that is nobody's posterior mean: equalities of steps hold for any function."""
    return FromFunction(lambda x_t, t: torch.tanh(1.3 * x_t + t), schedule)


def forbidden():
    raise AssertionError("noise was drawn and not used")


def take(step, denoiser, x, t, s, z=None):
    return step(denoiser, x, t, s, {}, forbidden if z is None else lambda: z)
