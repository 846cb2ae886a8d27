"""Golden values: what diffusers and azula compute, stored in tests/golden by scripts/make_golden.py.

The stored values are compared with this package always, and with the libraries themselves where they are installed.
"""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from diffusion_book import grids
from diffusion_book.denoiser import Denoiser, FromFunction
from diffusion_book.exact import GaussianMixture
from diffusion_book.predictions import EPS, VELOCITY, V, X, edm
from diffusion_book.samplers import ancestral, ancestral_beta, ddim, dpmpp_2m, euler, euler_t, heun, sample
from diffusion_book.schedules import EDM, VE, Cosine, Discrete, LinearPath, betas

F64 = torch.float64
ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("make_golden", ROOT / "scripts" / "make_golden.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)


def stored(library):
    return json.loads((ROOT / "tests" / "golden" / f"{library}.json").read_text())["cases"]


def tensor(value):
    return torch.tensor(value, dtype=F64)


def names(cases):
    return ["-".join(str(value) for value in case.values() if isinstance(value, (str, float, bool))) for case in cases]


class Net(nn.Module):
    """make_golden's network, in float64."""

    def __init__(self, timeless=False):
        super().__init__()
        self.unit, self.timeless = nn.Parameter(torch.ones((), dtype=F64)), timeless

    def forward(self, x, t, cond=None):
        return self.unit * (golden.timeless(x) if self.timeless else golden.network(x, t[:, None]))


# diffusers

BETAS = {"linear": betas.linear, "scaled_linear": betas.scaled_linear, "squaredcos_cap_v2": betas.cosine}
PREDICTIONS = {"epsilon": EPS, "v_prediction": V, "sample": X}
CHAIN_STEPS = {
    "fixed_small": lambda case: ancestral,
    "fixed_large": lambda case: ancestral_beta,
    "ddim": lambda case: ddim(case["eta"]),
    "dpmpp_2m": lambda case: dpmpp_2m,
    "heun": lambda case: heun,
}


def by_this_package(case):
    """The same computation as a case of diffusers."""
    kind, x = case["kind"], tensor(case["x"])
    if kind == "alpha_bar":
        beta = BETAS[case["betas"]]()
        chain = Discrete(betas.zero_terminal(beta) if case["rescaled"] else beta)
        return chain.alpha_bar[case["k"]]
    if kind == "flow":
        return sample(Denoiser(Net(), LinearPath(), VELOCITY), x, grids.shifted(golden.STEPS, case["shift"]), euler_t)
    if kind == "edm":
        denoiser = Denoiser(Net(timeless=True), EDM(80.0), edm(0.5), sigma_data=0.5)
        return sample(denoiser, 80 * x, grids.karras(golden.STEPS, EDM(80.0)), euler)
    denoiser = Denoiser(Net(), Discrete(BETAS[case["betas"]]()), PREDICTIONS[case["prediction"]])
    noise = iter(tensor(case.get("noise", []))).__next__
    times = grids.uniform(golden.STEPS)[: -1 if kind.startswith("fixed") else None]
    return sample(denoiser, x, times, CHAIN_STEPS[kind](case), noise)


@pytest.mark.parametrize("case", stored("diffusers"), ids=names(stored("diffusers")))
def test_this_package_computes_what_diffusers_does(case):
    torch.testing.assert_close(by_this_package(case), tensor(case["result"]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", [c for c in stored("diffusers") if c["kind"] in ("flow", "edm")], ids=["flow", "edm"])
def test_grids_are_those_of_diffusers(case):
    if case["kind"] == "flow":
        ours, theirs = grids.shifted(golden.STEPS, case["shift"]), tensor(case["times"])
    else:
        ours, theirs = 80 * grids.karras(golden.STEPS, EDM(80.0)), tensor(case["sigmas"])
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


# azula

SCHEDULES = {"Cosine": Cosine(), "LinearPath": LinearPath(), "VE": VE(0.01, 50.0)}
STEPS = {"ddim": ddim(0.0), "ddim(0.5)": ddim(0.5), "ancestral": ancestral, "euler": euler, "heun": heun}


def in_double_precision(case):
    """The same computation as a case of azula."""
    schedule, times = SCHEDULES[case["schedule"]], tensor(case["times"])
    if case["kind"] == "schedule":
        return torch.stack(schedule(times))
    x = tensor(case["x"])
    if case["kind"] == "gaussian":
        oracle = GaussianMixture([1.0], [[0.5, -1.0]], [[[0.6, 0.0], [0.0, 0.3]]])
        return oracle.denoiser(schedule)(x, times.item())
    if case["kind"] == "karras":
        return Denoiser(Net(timeless=True), schedule, edm(1.0))(x, times.item())
    denoiser = FromFunction(lambda x_t, t: golden.guess(x_t), schedule)
    return sample(denoiser, x, times, STEPS[case["kind"]], iter(tensor(case["noise"])).__next__)


@pytest.mark.parametrize("case", stored("azula"), ids=names(stored("azula")))
def test_this_package_computes_what_azula_does(case):
    with torch.no_grad():
        torch.testing.assert_close(in_double_precision(case), tensor(case["result"]), rtol=1e-10, atol=1e-10)


# The libraries themselves


@pytest.mark.filterwarnings("ignore")  # theirs to keep
@pytest.mark.parametrize("library, tolerance", [("diffusers", 1e-6), ("azula", 1e-12)])
def test_the_library_still_computes_what_is_stored(library, tolerance):
    pytest.importorskip(library, exc_type=ImportError)
    with torch.no_grad():
        cases = golden.plain_cases(getattr(golden, f"{library}_cases")())
    assert len(cases) == len(stored(library))
    for now, then in zip(cases, stored(library), strict=True):
        assert now.keys() == then.keys()
        for key, value in then.items():
            if isinstance(value, list):
                torch.testing.assert_close(tensor(now[key]), tensor(value), rtol=tolerance, atol=tolerance)
            else:
                assert now[key] == value
