"""The figures of chapter 1 that take more than a few lines."""

import math

import torch
from matplotlib.figure import Figure

from diffusion_book.data.images import to_bytes
from diffusion_book.figures_ch03 import strips
from diffusion_book.plots import DATA, EXACT, MODEL, NOISE, panels
from diffusion_book.schedules import Discrete, Schedule

__all__ = [
    "bridge",
    "brightness",
    "clocks",
    "curves",
    "drowning",
    "families",
    "histograms",
    "paths",
    "shares",
    "shifts",
]
__all__ += ["strips"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7A5C00", "#666666")


def paths(walks: torch.Tensor, x: float, schedule: Discrete) -> Figure:
    """Walks (n, K + 1) of one pixel along the chain, with mean and standard deviation of the closed form."""
    figure, (axis,) = panels()
    k = torch.arange(walks.shape[1])
    alpha, sigma = schedule(schedule.times())
    for walk in walks:
        axis.plot(k[::4], walk[::4], color=NOISE, lw=0.6, alpha=0.55)
    axis.plot(k, alpha * x, "--", color=EXACT, lw=1.8)
    for sign in (-1, 1):
        axis.plot(k, alpha * x + sign * sigma, ":", color=EXACT, lw=1.6)
    axis.annotate("mean", (60, 0.76), (40, 2.2), fontsize=10, arrowprops={"arrowstyle": "-", "lw": 0.8})
    axis.annotate(
        "one standard deviation",
        (760, 1.03),
        (560, 2.75),
        fontsize=10,
        arrowprops={"arrowstyle": "-", "lw": 0.8},
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )
    axis.set(xlabel="step k", ylabel="value of the pixel, $x_k$", xlim=(0, walks.shape[1] - 1), ylim=(-3.2, 3.2))
    return figure


def histograms(samples: dict[int, torch.Tensor], x: float, schedule: Discrete) -> Figure:
    """What many walks show at some steps, and the Gaussian of the closed form as a dashed line."""
    figure, axes = panels(len(samples), 8.4, 2.7, sharey=False)
    for axis, (k, values) in zip(axes, samples.items(), strict=True):
        alpha, sigma = schedule(k / schedule.steps)
        low, high = alpha * x - 4 * sigma, alpha * x + 4 * sigma
        at = torch.linspace(low, high, 200, dtype=torch.float64)
        axis.hist(values.numpy(), bins=40, range=(low, high), density=True, color=NOISE, alpha=0.6)
        density = torch.exp(-((at - alpha * x) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
        axis.plot(at, density, "--", color=EXACT, lw=1.6)
        axis.set(title=f"k = {k}", xlabel="$x_k$", yticks=[])
    axes[0].set_ylabel("density")
    return figure


def shares(by_step: dict[int, torch.Tensor]) -> Figure:
    """For some k, the variance that the noise of each step j still has in x_k."""
    figure, (axis,) = panels()
    for (k, share), colour in zip(by_step.items(), COLOURS, strict=False):
        j = torch.arange(1, k + 1)
        axis.fill_between(j, share * 1000, color=colour, alpha=0.35, lw=0)
        axis.plot(j, share * 1000, color=colour, lw=1.8)
        axis.text(k - 12, share[-1] * 1000 + 0.25, f"in $x_{{{k}}}$", color=colour, ha="right", fontsize=11)
    axis.set(xlabel="step j at which the noise came in", ylabel="variance left of it, in thousandths", xlim=(0, 1000))
    axis.set_ylim(0, 22)
    return figure


def curves(schedule: Schedule) -> Figure:
    """Signal and noise against time, and the same as a point that walks along a quarter of a circle."""
    figure, (left, right) = panels(2, 8.0, 3.3, width_ratios=[1.55, 1])
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    alpha, sigma = schedule(t)
    left.plot(t, alpha, color=DATA, lw=2)
    left.plot(t, sigma, color=NOISE, lw=2)
    left.text(0.52, 0.28, r"signal $\alpha$", color=DATA, fontsize=11)
    left.text(0.42, 0.82, r"noise $\sigma$", color="#9A6500", fontsize=11)
    left.set(xlabel="time t = k/K", ylabel="scale", xlim=(0, 1), ylim=(0, 1.05))
    right.plot(alpha, sigma, color=MODEL, lw=2)
    for mark in range(11):
        a, s = schedule(mark / 10)
        right.plot(a, s, "o", color=MODEL, markersize=5)
        if mark < 5:  # beyond, the points are too near to each other
            right.annotate(
                f"t = {mark / 10:g}",
                (a, s),
                (-7, 3 if mark == 0 else -7),
                textcoords="offset points",
                ha="right",
                fontsize=9,
            )
    right.annotate("t = 1", schedule(1.0), (-2, 6), textcoords="offset points", fontsize=9)
    right.set(
        xlabel=r"signal $\alpha$", ylabel=r"noise $\sigma$", aspect="equal", xlim=(-0.03, 1.05), ylim=(-0.03, 1.08)
    )
    return figure


def drowning(image: torch.Tensor, t: float, schedule: Discrete, chances: torch.Tensor, names) -> Figure:
    """One frame: the noised picture, where it stands on the two curves, and what the best observer believes."""
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    shown, axis, bars = figure.subplots(1, 3, width_ratios=[1, 1.25, 0.95])
    shown.imshow(to_bytes(image)[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    shown.axis("off")
    shown.set_title(f"$x_{{{round(t * schedule.steps)}}}$", fontsize=12)
    times = schedule.times()
    alpha, sigma = schedule(times)
    now = schedule(t)
    for curve, value, colour in ((alpha, now[0], DATA), (sigma, now[1], "#B27700")):
        axis.plot(times * schedule.steps, curve, color=colour, lw=1.6)
        axis.plot(t * schedule.steps, value, "o", color=colour)
    axis.axvline(t * schedule.steps, color="#999999", lw=0.8)
    axis.set_title(rf"$\alpha$ = {now[0]:.2f}, $\sigma$ = {now[1]:.2f}", fontsize=11)
    axis.set(xlabel="step k", xlim=(0, schedule.steps), ylim=(0, 1.05))
    axis.text(610, 0.87, r"noise $\sigma$", color="#9A6500", fontsize=9)
    axis.text(610, 0.22, r"signal $\alpha$", color=DATA, fontsize=9)
    colours = [DATA if name == "Sneaker" else "#BBBBBB" for name in names]
    bars.barh(range(len(names)), chances.tolist(), color=colours)
    bars.set_yticks(range(len(names)), names, fontsize=8)
    bars.set(xlim=(0, 1), xlabel="belief")
    bars.set_title("the best observer", fontsize=11)
    bars.invert_yaxis()
    for each in (axis, bars):
        each.spines[["top", "right"]].set_visible(False)
    return figure


def bridge(inner: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor, walks: torch.Tensor) -> Figure:
    """Where x_s lay between a known start and a known end: mean and deviation at the times `inner`, and walks (n, S)."""
    figure, (axis,) = panels()
    for walk in walks:
        axis.plot(inner, walk, color=NOISE, lw=0.7, alpha=0.7)
    axis.plot(inner, mean, "--", color=EXACT, lw=1.8)
    for sign in (-1, 1):
        axis.plot(inner, mean + sign * deviation, ":", color=EXACT, lw=1.6)
    axis.plot(inner[[0, -1]], mean[[0, -1]], "o", color=DATA, markersize=7)
    axis.annotate("known: $x$", (inner[0], mean[0]), (8, 12), textcoords="offset points", color=DATA)
    axis.annotate("known: $x_t$", (inner[-1], mean[-1]), (10, -4), textcoords="offset points", color=DATA)
    axis.set(xlabel="time s", ylabel="value of the pixel, $x_s$")
    axis.margins(x=0.04, y=0.12)
    axis.set_xlim(right=inner[-1] * 1.15)  # room for the name of the end
    return figure


def families(schedules: dict[str, Schedule]) -> Figure:
    """sqrt(alpha_bar), and the log-SNR, of several schedules against time."""
    figure, (left, right) = panels(2, 8.6, 4.0)
    t = torch.linspace(0, 1, 501, dtype=torch.float64)
    for (name, schedule), colour in zip(schedules.items(), COLOURS, strict=True):
        style = {"color": colour, "lw": 1.8, "label": name}
        left.plot(t, schedule(t)[0].detach(), **style)
        right.plot(t[1:-1], schedule.logsnr(t)[1:-1].detach(), **style)
    left.set(xlabel="time t = k/K", ylabel=r"signal $\alpha(t)$", xlim=(0, 1), ylim=(0, 1.02))
    right.set(xlabel="time t = k/K", ylabel="log-SNR", xlim=(0, 1), ylim=(-16, 14))
    right.axhline(0, color="#BBBBBB", lw=0.8)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncol=4, frameon=False, fontsize=9.5)
    return figure


def clocks(levels: torch.Tensor, known: torch.Tensor, schedules: dict[str, Schedule], others=()) -> Figure:
    """The best observer's share of right answers against time, under several schedules, and against the log-SNR.

    others: (name, levels, share of right answers at these) of worse observers, shown at the right.
    """
    figure, (left, right) = panels(2, 8.6, 3.5, sharey=True)
    for (name, schedule), colour in zip(schedules.items(), COLOURS, strict=False):
        t = schedule.inverse_logsnr(levels)
        inside = (t > 0) & (t < 1)
        left.plot(t[inside], known[inside], color=colour, lw=1.8, label=name)
    right.plot(levels, known, "--", color=EXACT, lw=1.6)
    for name, at, share in others:
        right.plot(at, share, color="#777777", lw=1.8)
        right.text(8.8, 0.3, name, color="#555555", fontsize=8.5, ha="left")
    right.text(-3.6, 0.62, "the best observer,\non any schedule", fontsize=9.5)
    left.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 0.12))
    left.set(xlabel="time t = k/K", ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1.04))
    right.set(xlabel="log-SNR (less noise to the left)", xlim=(9, -11))
    for axis in (left, right):
        axis.axhline(0.1, color="#BBBBBB", lw=0.8)
    left.text(0.02, 0.03, "guessing: 0.1", fontsize=9, color="#777777")
    return figure


def brightness(schedules: dict[str, Schedule], dimensions: int) -> Figure:
    """The mean over all numbers of x_K when the picture is dark (-1/2) or bright (+1/2) throughout, and of pure noise."""
    figure, axes = panels(len(schedules), 8.6, 2.7, sharey=True)
    width = 1 / math.sqrt(dimensions)
    at = torch.linspace(-0.075, 0.075, 600, dtype=torch.float64)

    def bell(centre, sigma):
        return torch.exp(-((at - centre) ** 2) / (2 * (sigma * width) ** 2)) / sigma

    for axis, (name, schedule) in zip(axes, schedules.items(), strict=True):
        alpha, sigma = schedule(1.0)
        for value, colour, word in ((-0.5, "#444444", "dark"), (0.5, NOISE, "bright")):
            axis.fill_between(at, bell(alpha * value, sigma), color=colour, alpha=0.5, lw=0)
            if alpha > 0.05:
                axis.text(alpha * value, 1.04, word, color=colour, ha="center", fontsize=10)
        axis.plot(at, bell(0.0, 1.0), "--", color=EXACT, lw=1.3)
        axis.set(title=name, xlabel="mean of all numbers in $x_K$", yticks=[], ylim=(0, 1.2))
    axes[0].set_ylabel("density")
    return figure


def shifts(levels: torch.Tensor, right: dict[str, torch.Tensor]) -> Figure:
    """Shares of right answers against the nominal log-SNR, for several resolutions."""
    figure, (axis,) = panels()
    styles = [{"color": DATA}, {"color": MODEL}, {"color": NOISE, "ls": (0, (4, 2))}]
    for (name, share), style in zip(right.items(), styles, strict=True):
        axis.plot(levels, share, lw=2, label=name, **style)
    axis.axhline(0.1, color="#BBBBBB", lw=0.8)
    axis.legend(frameon=False, fontsize=9.5)
    axis.set(xlabel="log-SNR of the schedule (less noise to the left)", ylabel="share of right answers", xlim=(4, -9))
    axis.set_ylim(0, 1.04)
    return figure
