"""The figures of chapter 5 that take more than a few lines."""

import torch
from matplotlib.figure import Figure

from diffusion_book.data.images import to_bytes
from diffusion_book.exact import GaussianMixture
from diffusion_book.plots import DATA, EXACT, MODEL, NOISE, grid, panels, to_image
from diffusion_book.schedules import Schedule

__all__ = ["balance", "fans", "film", "memory", "orders", "particles", "roads", "running_squares", "zoom"]

ORANGE = "#9A6500"  # the colour of noise, dark enough for letters


def zoom(w: torch.Tensor, factor: int = 16) -> Figure:
    """One Brownian path (N + 1,) on [0, 1], then its first 1/factor, then the first of that; heights scaled by the root."""
    figure, axes = panels(3, 8.4, 2.6)
    n = len(w) - 1
    top = 1.1 * max(w[: n // factor**i + 1].abs().max().item() * factor ** (i / 2) for i in range(3))
    for i, axis in enumerate(axes):
        part, end = w[: n // factor**i + 1], 1.0 / factor**i
        t = torch.linspace(0, end, len(part), dtype=torch.float64)
        keep = slice(None, None, max(1, len(part) // 1024))
        axis.plot(t[keep], part[keep], color=NOISE, lw=0.9)
        axis.set(xlabel="time t", xlim=(0, end), ylim=(-top / factor ** (i / 2), top / factor ** (i / 2)))
        axis.set_xticks([0, end / 2, end], ["0", f"1/{round(2 / end)}", "1" if i == 0 else f"1/{round(1 / end)}"])
    axes[0].set_ylabel("w(t)")
    return figure


def running_squares(paths: dict[int, torch.Tensor]) -> Figure:
    """For each number of steps, the sum of the squared increments (N,) up to t."""
    figure, (axis,) = panels(1, 7.0, 3.2)
    for (n, increments), colour, lift in zip(paths.items(), (NOISE, MODEL, DATA), (0, -7, 7), strict=True):
        total = torch.cat([torch.zeros(1, dtype=torch.float64), increments.square().cumsum(0)])
        t = torch.linspace(0, 1, len(total), dtype=torch.float64)
        keep = slice(None, None, max(1, n // 1024))
        axis.step(t[keep], total[keep], color=colour, lw=1.8, where="post")
        shade = ORANGE if colour == NOISE else colour
        axis.annotate(f"{n:,} steps", (1, total[-1]), (6, lift), textcoords="offset points", color=shade, va="center")
    axis.plot([0, 1], [0, 1], "--", color=EXACT, lw=1.4)
    axis.set(xlabel="time t", ylabel="sum of the squared steps up to t", xlim=(0, 1), ylim=(0, None))
    return figure


def orders(steps, errors: dict[str, tuple[list[float], float]]) -> Figure:
    """Errors against the number of steps, each with a dashed line of its order through the last point."""
    figure, (axis,) = panels(1, 7.0, 3.8)
    n = torch.tensor(steps, dtype=torch.float64)
    style = zip((NOISE, DATA, MODEL, "#CC79A7"), (0, 6, -6, 0), strict=True)
    for (name, (values, order)), (colour, lift) in zip(errors.items(), style, strict=True):
        axis.plot(n, values, "o", color=colour, markersize=6)
        axis.plot(n, values[-1] * (n[-1] / n) ** order, "--", color=EXACT, lw=1)
        shade = ORANGE if colour == NOISE else colour
        axis.annotate(name, (steps[-1], values[-1]), (9, lift), textcoords="offset points", color=shade, va="center")
    axis.set(xlabel="number of steps", ylabel="error at the end", xscale="log", yscale="log")
    axis.set_xlim(steps[0] * 0.85, steps[-1] * 4)
    axis.set_xticks(steps, [str(n) for n in steps])
    axis.minorticks_off()
    return figure


def fans(walks: dict[str, tuple[Schedule, torch.Tensor, torch.Tensor]], x: float) -> Figure:
    """Paths (N + 1, n) of several SDEs from +-x, with the exact mean and deviation about each start, dashed and dotted."""
    figure, axes = panels(len(walks), 8.8, 3.0)
    for axis, (name, (schedule, times, path)) in zip(axes, walks.items(), strict=True):
        alpha, sigma = schedule(times)
        half = path.shape[1] // 2
        for part, colour in ((path[:, :half], DATA), (path[:, half:], NOISE)):
            axis.plot(times[::4], part[::4], color=colour, lw=0.6, alpha=0.55)
        for sign in (-1, 1):
            axis.plot(times, sign * alpha * x, "--", color=EXACT, lw=1.5)
            axis.plot(times, sign * (alpha * x + sigma), ":", color=EXACT, lw=1.5)
        axis.set(title=name, xlabel="time t", xlim=(0, 1))
        top = 1.15 * max(path.abs().max().item(), (alpha * x + sigma).max().item())
        axis.set_ylim(-top, top)
    axes[0].set_ylabel("$x_t$")
    return figure


def particles(mixture: GaussianMixture, schedule: Schedule, t: float, values: torch.Tensor) -> Figure:
    """A histogram of simulated values at time t, and the exact density, dashed."""
    figure, (axis,) = panels(1, 6.4, 3.1)
    at = torch.linspace(-3.6, 3.6, 400, dtype=torch.float64)
    axis.hist(values.numpy(), bins=60, range=(-3.6, 3.6), density=True, color=NOISE, alpha=0.65)
    axis.plot(at, mixture.log_prob(at[:, None], *schedule(t)).exp(), "--", color=EXACT, lw=1.8)
    axis.set(xlabel=f"$x_t$ at t = {t:.2f}", ylabel="density", xlim=(-3.6, 3.6), ylim=(0, 1.35))
    return figure


def balance(x: torch.Tensor, density: torch.Tensor, parts: dict[str, torch.Tensor], exact: torch.Tensor) -> Figure:
    """The two movements of a density, their sum, and its true rate of change, dashed."""
    figure, (above, below) = panels(2, 8.4, 3.3)
    above.fill_between(x, density, color=DATA, alpha=0.45, lw=0)
    above.set(xlabel="$x_t$", ylabel="density $p_t$", xlim=(x[0], x[-1]), ylim=(0, None))
    for (name, part), colour in zip(parts.items(), (DATA, NOISE, MODEL), strict=True):
        below.plot(x, part, color=colour, lw=3 if colour == MODEL else 1.8, label=name, alpha=0.9)
    below.plot(x, exact, "--", color=EXACT, lw=1.3, label="true rate of change")
    below.axhline(0, color="#BBBBBB", lw=0.7)
    below.set(xlabel="$x_t$", ylabel="change of $p_t$ per time", xlim=(x[0], x[-1]))
    below.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    return figure


def roads(times: torch.Tensor, walks: dict[str, torch.Tensor]) -> Figure:
    """Ways back (N + 1, n) from common starts, a panel for each eta; time runs to the left as on every figure."""
    figure, axes = panels(len(walks), 8.8, 3.0, sharey=True)
    for axis, (name, path) in zip(axes, walks.items(), strict=True):
        axis.plot(times[::4], path[::4], color=MODEL, lw=0.7, alpha=0.6)
        axis.plot(times[:1].expand(path.shape[1]), path[0], ".", color=NOISE, markersize=5)
        axis.plot(times[-1:].expand(path.shape[1]), path[-1], ".", color=DATA, markersize=5)
        axis.set(title=name, xlabel="time t", xlim=(-0.02, 1.02))
    axes[0].set_ylabel("$x_t$")
    return figure


def memory(pairs: dict[float, tuple[torch.Tensor, torch.Tensor]], kept: dict[float, float]) -> Figure:
    """Ends against starts for several eta, and the line whose slope is the correlation, dashed."""
    figure, axes = panels(len(pairs), 8.4, 2.9, sharey=True)
    line = torch.tensor([-3.0, 3.0])
    for axis, (eta, (start, end)) in zip(axes, pairs.items(), strict=True):
        axis.plot(start, end, ".", color=MODEL, markersize=2, alpha=0.5)
        axis.plot(line, kept[eta] * line, "--", color=EXACT, lw=1.5)
        axis.set(title=f"η = {eta:g}", xlabel="start $x_1$", xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), aspect="equal")
    axes[0].set_ylabel("end $x_0$")
    return figure


def film(rows: dict[str, torch.Tensor]) -> Figure:
    """One frame: rows of images (N, C, H, W) in [-1, 1] with their names at the left."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axis = figure.subplots()
    images = torch.cat(list(rows.values()))
    columns = len(images) // len(rows)
    axis.imshow(to_image(grid(to_bytes(images), columns)), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    down = axis.get_ylim()[0] / len(rows)
    axis.set(xticks=[], xlabel="six ways on from the same static")
    axis.set_yticks([down * (i + 0.5) for i in range(len(rows))], list(rows))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure
