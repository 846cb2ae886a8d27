"""The figures of chapter 6 that take more than a few lines."""

import math

import torch
from matplotlib.figure import Figure

from diffusion_book.exact import GaussianMixture
from diffusion_book.figures_ch03 import strips
from diffusion_book.plots import DATA, EXACT, MODEL, NOISE
from diffusion_book.schedules import Schedule

__all__ = ["bills", "cloud", "probes", "strips", "territories", "tolerances", "wrong_score"]

PURPLE = "#CC79A7"


def _panels(columns: int = 1, width: float = 7.0, height: float = 3.4, **options):
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **options)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def cloud(
    mixture: GaussianMixture,
    schedule: Schedule,
    times: torch.Tensor,
    paths: torch.Tensor,
    walks: torch.Tensor,
    now: int,
) -> Figure:
    """Paths of the ODE (T, n) and of the SDE (T, m) against time; at the right the ODE's points at times[now].

    The dashed line is the exact density at that time.
    """
    figure, (left, right) = _panels(2, 8.0, 3.6, sharey=True, width_ratios=[2.4, 1])
    left.plot(*walks, color=NOISE, lw=0.7, alpha=0.9)
    apart = paths.shape[1] // 16
    left.plot(times, paths[:, apart // 2 :: apart], color=MODEL, lw=1.2)
    left.axvline(times[now], color="#777777", lw=1)
    left.text(0.37, 2.62, "ODE", color=MODEL, fontsize=11)
    left.text(0.55, 2.62, "two paths of the SDE", color="#9A6500", fontsize=11)
    left.set(xlabel="time t", ylabel="$x_t$", xlim=(0, 1), ylim=(-3.1, 3.1))
    line = torch.linspace(-3.1, 3.1, 500, dtype=torch.float64)
    density = mixture.log_prob(line[:, None], *schedule(times[now].item())).exp()
    right.hist(
        paths[now].numpy(), bins=60, range=(-3.1, 3.1), density=True, orientation="horizontal", color=MODEL, alpha=0.5
    )
    right.plot(density, line, "--", color=EXACT, lw=1.5)
    right.set(xlabel=f"density at t = {times[now]:.2f}", xlim=(0, 1.25))
    return figure


def territories(points: torch.Tensor, codes: torch.Tensor, labels: torch.Tensor) -> Figure:
    """Points (N, 2) and their codes, in the colour of the component each comes from."""
    figure, axes = _panels(2, 7.6, 3.6)
    for axis, where, name in zip(axes, (points, codes), ("data, $x_t$ at the first time", "codes, $x_1$"), strict=True):
        for k, colour in enumerate((DATA, NOISE, MODEL)):
            axis.plot(*where[labels == k].T, ".", color=colour, markersize=3)
        axis.set(title=name, xlabel="first coordinate", aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    axes[0].set_ylabel("second coordinate")
    return figure


def tolerances(rows: dict[str, list[tuple[int, float]]]) -> Figure:
    """Worst error of log p against evaluations of the velocity, a line for each solver."""
    figure, (axis,) = _panels()
    for (name, points), colour in zip(rows.items(), (DATA, NOISE, PURPLE, MODEL), strict=True):
        evaluations, errors = zip(*points, strict=True)
        axis.loglog(evaluations, errors, "o-", color=colour, lw=1.6, markersize=4)
        axis.annotate(
            name,
            (evaluations[-1], errors[-1]),
            (7, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=10,
        )
    axis.set(xlabel="evaluations of the velocity", ylabel="worst error of log p, in nats", xlim=(8, 5000))
    return figure


def probes(estimates: dict[str, torch.Tensor], exact: float) -> Figure:
    """Histograms of the volume, in nats, by one probe of each kind; dashed the exact value."""
    figure, (axis,) = _panels(height=3.0)
    low, high = (end.item() for end in torch.cat(list(estimates.values())).aminmax())
    for i, ((name, values), colour) in enumerate(zip(estimates.items(), (NOISE, MODEL, PURPLE), strict=False)):
        axis.hist(values.numpy(), bins=70, range=(low, high), density=True, color=colour, alpha=0.55)
        axis.text(0.98, 0.9 - 0.13 * i, name, color=colour, transform=axis.transAxes, ha="right", fontsize=10.5)
    axis.axvline(exact, linestyle="--", color=EXACT)
    axis.set(xlabel="volume gained on the way, in nats", ylabel="density")
    return figure


def bills(columns: dict[str, torch.Tensor]) -> Figure:
    """A row of dots for each picture, one dot a column, the pictures from cheap to dear."""
    figure, (axis,) = _panels(height=3.6)
    order = next(iter(columns.values())).argsort()
    k = torch.arange(1, len(order) + 1)
    axis.vlines(
        k, *(torch.stack(list(columns.values())).aminmax(dim=0)[i][order] for i in (0, 1)), color="#CCCCCC", lw=1
    )
    for (name, values), colour, lift in zip(columns.items(), (MODEL, NOISE, DATA), (0, 4, -8), strict=True):
        axis.plot(k, values[order], "o", color=colour)
        axis.annotate(
            name,
            (k[-1], values[order][-1]),
            (10, lift),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=10,
        )
    axis.set(xlabel="test picture, from cheap to dear by the ODE", ylabel="bits per pixel", xticks=k.tolist())
    axis.set_xlim(0.5, len(order) + 3.6)
    return figure


def wrong_score(cases: dict[str, tuple[float, float, float]]) -> Figure:
    """For each case (variance of the ODE's model, of the SDE's, excess of the bound): densities and excesses in nats."""
    figure = Figure(figsize=(8.0, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=[1.7, 1])
    line = torch.linspace(-3.5, 3.5, 600, dtype=torch.float64)

    def bell(variance):
        return torch.exp(-(line**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    for (left, right), (title, (ode, sde, bound)) in zip(axes, cases.items(), strict=True):
        left.plot(line, bell(sde), color=NOISE, lw=2)
        left.plot(line, bell(ode), color=MODEL, lw=2)
        left.plot(line, bell(1.0), "--", color=EXACT)
        left.set(title=title, ylabel="density", ylim=(0, 0.75))
        excess = [(1 / v - 1 + math.log(v)) / 2 for v in (ode, sde)] + [bound]
        right.bar(["ODE", "SDE", "bound"], excess, color=[MODEL, NOISE, DATA])
        for i, value in enumerate(excess):
            right.text(i, value, f"{value:.2f}", ha="center", va="bottom", fontsize=10)
        right.set(ylabel="excess in nats", ylim=(0, 1.2 * max(excess)))
        for axis in (left, right):
            axis.spines[["top", "right"]].set_visible(False)
    axes[1][0].set_xlabel("x")
    return figure
