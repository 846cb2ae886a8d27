"""Reference results of two independent libraries, written to tests/golden: `python scripts/make_golden.py`.

Needs diffusers (`pip install "diffusion-book[peers]"`) and azula (`pip install --no-deps azula==0.11.1`: what it asks for
brings a torchvision that breaks a CPU build of torch). tests/test_peers.py compares this package with the
stored results, and the stored results with those of the libraries where they are installed.
"""

import json
from pathlib import Path

import torch

FOLDER = Path(__file__).parents[1] / "tests" / "golden"
F64 = torch.float64
CHAIN, STEPS = 1000, 10
BETAS = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012), "squaredcos_cap_v2": (1e-4, 0.02)}


def network(x, t):
    """What every reference takes for the network: any smooth function of x and a time in [0, 1]."""
    return torch.sin(2 * x + t) * 0.7 + 0.2 * x


def timeless(x):
    return network(x, 0.5)


def guess(x_t):
    """What every reference takes for E[x | x_t]."""
    return torch.tanh(1.3 * x_t) + 0.1


def draws(n: int) -> torch.Tensor:
    """n fixed arrays (3, 2) of about unit variance, by formula: they need no generator."""
    i = torch.arange(6 * n, dtype=F64)
    return (1.4 * torch.sin(i * i * 0.37 + i)).reshape(n, 3, 2)


def diffusers_cases() -> list[dict]:
    from diffusers import (
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        EDMEulerScheduler,
        FlowMatchEulerDiscreteScheduler,
        HeunDiscreteScheduler,
    )

    x, z = draws(STEPS + 1)[0], draws(STEPS + 1)[1:]
    cases = []

    def chain(scheduler, name, **options):
        start, end = BETAS[name]
        made = scheduler(
            num_train_timesteps=CHAIN,
            beta_schedule=name,
            beta_start=start,
            beta_end=end,
            timestep_spacing="trailing",
            **options,
        )
        made.set_timesteps(STEPS)
        return made

    def walk(scheduler, x, step=lambda i: {}, stop=None):
        for i, t in enumerate(scheduler.timesteps[:stop]):
            y = network(scheduler.scale_model_input(x, t), (t.double() + 1) / CHAIN)
            x = scheduler.step(y, t, x, **step(i)).prev_sample
        return x

    picks = torch.tensor([0, 1, 499, 998, 999])
    for name in BETAS:
        for rescaled in (False, True):
            scheduler = chain(DDIMScheduler, name, rescale_betas_zero_snr=rescaled)
            values = scheduler.alphas_cumprod[picks]
            cases.append({"kind": "alpha_bar", "betas": name, "rescaled": rescaled, "k": picks + 1, "result": values})

    for name, prediction, eta in [
        ("linear", "epsilon", 0.0),
        ("linear", "epsilon", 0.5),
        ("linear", "epsilon", 1.0),
        ("scaled_linear", "v_prediction", 0.0),
        ("scaled_linear", "v_prediction", 1.0),
        ("scaled_linear", "sample", 0.0),
    ]:
        scheduler = chain(DDIMScheduler, name, prediction_type=prediction, clip_sample=False)
        end = walk(scheduler, x, lambda i, eta=eta: {"eta": eta, "variance_noise": z[i]})
        cases.append({"kind": "ddim", "betas": name, "prediction": prediction, "eta": eta, "noise": z, "result": end})

    for variance in ("fixed_small", "fixed_large"):
        scheduler = chain(DDPMScheduler, "linear", variance_type=variance, clip_sample=False)
        # up to the last step, which with fixed_large would add noise to the clean image unless it began at index 0
        end = walk(scheduler, x, lambda i: {"generator": torch.Generator().manual_seed(i)}, stop=-1)
        noise = torch.stack(
            [torch.randn(3, 2, dtype=F64, generator=torch.Generator().manual_seed(i)) for i in range(STEPS)]
        )
        cases.append({"kind": variance, "betas": "linear", "prediction": "epsilon", "noise": noise, "result": end})

    for prediction in ("epsilon", "v_prediction"):
        solver = chain(
            DPMSolverMultistepScheduler, "linear", prediction_type=prediction, algorithm_type="dpmsolver++",
            solver_order=2, solver_type="midpoint", final_sigmas_type="zero",
        )  # fmt: skip
        end = walk(solver, x)
        cases.append({"kind": "dpmpp_2m", "betas": "linear", "prediction": prediction, "result": end})
        heun = chain(HeunDiscreteScheduler, "linear", prediction_type=prediction)
        end = walk(heun, x * (1 + heun.sigmas[0].double() ** 2).sqrt())  # its x is our x/alpha
        cases.append({"kind": "heun", "betas": "linear", "prediction": prediction, "result": end})

    flow = FlowMatchEulerDiscreteScheduler(num_train_timesteps=CHAIN, shift=3.0)
    flow.set_timesteps(sigmas=[1 - i / STEPS for i in range(STEPS)])
    end = x
    for t in flow.timesteps:
        t_unit = t.double() / CHAIN
        unit_variance = end / ((1 - t_unit) ** 2 + t_unit**2).sqrt()
        end = flow.step(network(unit_variance, t_unit), t, end).prev_sample
    cases.append({"kind": "flow", "shift": 3.0, "times": flow.sigmas, "result": end})

    edm = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, rho=7.0)
    edm.set_timesteps(STEPS)
    end = 80 * x
    for t in edm.timesteps:
        end = edm.step(timeless(edm.scale_model_input(end, t)), t, end).prev_sample
    cases.append({"kind": "edm", "sigmas": edm.sigmas, "result": end})
    return [{**case, "x": x} for case in cases]


def azula_cases() -> list[dict]:
    from azula.denoise import Denoiser, DiracPosterior, GaussianDenoiser, KarrasDenoiser
    from azula.linalg.covariance import DiagonalCovariance
    from azula.noise import CosineSchedule, RectifiedSchedule, VESchedule
    from azula.sample import DDIMSampler, DDPMSampler, EulerSampler, HeunSampler

    class Guess(Denoiser):
        def __init__(self, schedule):
            super().__init__()
            self.schedule = schedule

        def forward(self, x_t, t):
            return DiracPosterior(mean=guess(x_t))

    class Timeless(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unit = torch.nn.Parameter(torch.ones((), dtype=F64))

        def forward(self, x, t):
            return self.unit * timeless(x)

    schedules = {
        "Cosine": CosineSchedule(0.0, 0.0),
        "LinearPath": RectifiedSchedule(0.0, 0.0),
        "VE": VESchedule(0.01, 50.0),
    }
    samplers = {
        "ddim": (DDIMSampler, {"eta": 0.0}),
        "ddim(0.5)": (DDIMSampler, {"eta": 0.25}),  # its eta is the square of ours
        "ancestral": (DDPMSampler, {}),
        "euler": (EulerSampler, {}),
        "heun": (HeunSampler, {}),
    }
    times = torch.tensor([0.95, 0.7, 0.4, 0.1], dtype=F64)
    x, cases = draws(1)[0], []
    for name, schedule in schedules.items():
        alpha, sigma = schedule(times)
        cases.append({"kind": "schedule", "schedule": name, "times": times, "result": [alpha, sigma]})
        for kind, (sampler, options) in samplers.items():
            stepper, x_t, noise = sampler(Guess(schedule), silent=True, **options), x, []
            for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
                torch.manual_seed(i)
                noise.append(torch.randn_like(x))
                torch.manual_seed(i)
                x_t = stepper.step(x_t, t, s)
            cases.append(
                {"kind": kind, "schedule": name, "times": times, "x": x, "noise": torch.stack(noise), "result": x_t}
            )
        x_t = schedule(times[1])[0] * x + schedule(times[1])[1] * x.flip(0)
        at = {"schedule": name, "times": times[1:2], "x": x_t}
        mean, variances = torch.tensor([0.5, -1.0], dtype=F64), torch.tensor([0.6, 0.3], dtype=F64)
        oracle = GaussianDenoiser(mean, DiagonalCovariance(variances), schedule)
        x_hat = torch.stack([oracle(row, times[1]).mean for row in x_t])
        cases.append({"kind": "gaussian", **at, "result": x_hat})
        cases.append({"kind": "karras", **at, "result": KarrasDenoiser(Timeless(), schedule)(x_t, times[1]).mean})
    return cases


def plain(value):
    """Tensors as nested lists, to the last digit."""
    if isinstance(value, torch.Tensor):
        return value.detach().tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


def plain_cases(cases: list[dict]) -> list[dict]:
    return [{name: plain(value) for name, value in case.items()} for case in cases]


def main() -> None:
    from importlib.metadata import version

    torch.set_grad_enabled(False)
    FOLDER.mkdir(exist_ok=True)
    for library, cases in (("diffusers", diffusers_cases()), ("azula", azula_cases())):
        head = json.dumps({"library": library, "version": version(library), "torch": version("torch")})
        lines = ",\n".join(json.dumps(case) for case in plain_cases(cases))
        path = FOLDER / f"{library}.json"
        path.write_text(f'{{"made_with": {head},\n"cases": [\n{lines}\n]}}\n')
        print(f"wrote {path.relative_to(FOLDER.parents[1])}: {len(cases)} cases of {library} {version(library)}")


if __name__ == "__main__":
    main()
