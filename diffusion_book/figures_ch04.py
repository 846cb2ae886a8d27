"""The figures of chapter 4 that take more than a few lines."""

import math

import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from diffusion_book.divergence import Field
from diffusion_book.exact import GaussianMixture
from diffusion_book.plots import DATA, EXACT, MODEL, NOISE, panels

__all__ = ["anneal", "error_maps", "field", "panels", "square", "two_fields"]

WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", "#F6D08A", NOISE, "#8A4B00"])


def square(reach: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n^2 points (n^2, 2) that fill the square from -reach to reach, row by row from below, and its n coordinates."""
    line = torch.linspace(-reach, reach, n, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1), line


def contours(axis, mixture: GaussianMixture, sigma: float, reach: float, colour=EXACT, n: int = 120) -> None:
    """Where the density of the noised mixture has fallen to 1/e^(1/2) and 1/e^2 of its top: dashed, as exact truth."""
    points, line = square(reach, n)
    log_density = mixture.log_prob(points, 1.0, sigma).view(n, n)
    levels = [log_density.max().item() - fall for fall in (2.0, 0.5)]
    axis.contour(line, line, log_density, levels=levels, colors=colour, linestyles="dashed", linewidths=0.9)


def field(mixture: GaussianMixture, sigma: float, reach: float = 3.4) -> Figure:
    """The score of the noised mixture as arrows, all at one scale of |sigma score|, over its density."""
    figure, axis = _shaded(mixture, sigma, reach)
    at, _ = square(0.95 * reach, 17)
    arrow = sigma * mixture.score(at, 1.0, sigma)
    arrow = arrow / (1 + arrow.norm(dim=1, keepdim=True))  # long arrows are drawn shorter, none is longer than 1
    axis.quiver(*at.T, *arrow.T, angles="xy", scale_units="xy", scale=2.6, width=0.0042, color=EXACT)
    return figure


def two_fields(mixture: GaussianMixture, learned: Field, sigma: float, reach: float = 2.6) -> Figure:
    """Learned arrows (n, 2) -> (n, 2) and the exact ones over them, as long as log(1 + |sigma score|), over the density."""
    figure, axis = _shaded(mixture, sigma, reach)
    at, _ = square(0.88 * reach, 14)
    for arrow, colour, width in ((learned(at), MODEL, 0.006), (mixture.score(at, 1.0, sigma), EXACT, 0.0025)):
        size = sigma * arrow.norm(dim=1, keepdim=True)
        arrow = arrow / arrow.norm(dim=1, keepdim=True) * size.log1p()
        axis.quiver(
            *at.T,
            *arrow.T,
            angles="xy",
            scale_units="xy",
            scale=4.5,
            width=width,
            headwidth=2.5 if colour == MODEL else 4,
            headlength=3,
            headaxislength=3,
            color=colour,
        )
    return figure


def _shaded(mixture: GaussianMixture, sigma: float, reach: float):
    """A figure and its axis with the density of the noised mixture in blue."""
    figure, (axis,) = panels(width=5.0, height=4.8)
    points, line = square(reach, 140)
    density = mixture.log_prob(points, 1.0, sigma).exp().view(140, 140)
    shade = LinearSegmentedColormap.from_list("density", ["#FFFFFF", DATA])
    axis.pcolormesh(line, line, density, cmap=shade, vmax=1.6 * density.max(), shading="auto", rasterized=True)
    axis.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal", xlim=(-reach, reach))
    axis.set(ylim=(-reach, reach), title=rf"noise $\sigma$ = {sigma:g}")
    return figure, axis


def error_maps(maps: list[tuple[str, float, torch.Tensor]], mixture: GaussianMixture, reach: float) -> Figure:
    """(title, sigma, squared errors (n, n) of sigma score) in a block of two columns, from white (below 0.01) to brown."""
    figure = Figure(figsize=(7.0, 3.3 * math.ceil(len(maps) / 2) + 0.4), layout="constrained")
    axes = figure.subplots(math.ceil(len(maps) / 2), 2, sharex=True, sharey=True)
    for axis, (title, sigma, error) in zip(axes.flat, maps, strict=True):
        _, line = square(reach, len(error))
        shown = axis.pcolormesh(
            line, line, error.clamp(min=1e-9).log10(), cmap=WRONG, vmin=-2, vmax=2, shading="auto", rasterized=True
        )
        contours(axis, mixture, sigma, reach)
        axis.set(title=title, aspect="equal")
    for axis in axes[-1]:
        axis.set_xlabel("first coordinate")
    for axis in axes[:, 0]:
        axis.set_ylabel("second coordinate")
    bar = figure.colorbar(shown, ax=axes, shrink=0.7, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["0.01", "0.1", "1", "10", "100"])
    bar.set_label(r"squared error of $\sigma s$")
    return figure


def anneal(points: torch.Tensor, mixture: GaussianMixture, sigma: float, reach: float = 6.0) -> Figure:
    """Walkers (n, 2) at one level of the annealing, over the contours of the law that they should have there.

    At sigma = 0 they are the last x_hat, and the law is that of the data.
    """
    figure, (axis,) = panels(width=5.0, height=4.8)
    axis.plot(*points.T, ".", markersize=2.5, color=MODEL, alpha=0.6)
    contours(axis, mixture, sigma, reach)
    axis.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal", xlim=(-reach, reach))
    axis.set(ylim=(-reach, reach), title=rf"noise $\sigma$ = {sigma:.2f}" if sigma else r"the end, $\hat{x}$")
    return figure
