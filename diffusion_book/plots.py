"""Pictures: grids of images, films of the denoising, loss curves, points. One set of colours for the whole book."""

import base64
import io
from dataclasses import asdict
from pathlib import Path
from statistics import median

import matplotlib
import torch
from matplotlib.figure import Figure
from PIL import Image

from diffusion_book.data.images import to_bytes
from diffusion_book.errors import BookError
from diffusion_book.files import replace_file

# Okabe & Ito's colour-blind-safe set. Exact truth is always dashed black.
DATA, NOISE, MODEL, EXACT = "#0072B2", "#E69F00", "#009E73", "#000000"


def grid(images: torch.Tensor, columns: int = 10, gutter: int = 1) -> torch.Tensor:
    """uint8 images (N, C, H, W) side by side, row by row, as one (C, rows, columns) picture with thin light gutters."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    canvas = torch.full(
        (channels, rows * (height + gutter) + gutter, columns * (width + gutter) + gutter), 200, dtype=torch.uint8
    )
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gutter) + gutter, (i % columns) * (width + gutter) + gutter
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def to_image(picture: torch.Tensor, scale: int = 1) -> Image.Image:
    """A uint8 picture (C, H, W) as a PIL image, each pixel a crisp square of side `scale`."""
    array = picture.permute(1, 2, 0).numpy() if len(picture) == 3 else picture[0].numpy()
    image = Image.fromarray(array)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def save_samples(samples: torch.Tensor, path: Path, columns: int = 10) -> None:
    """Images (N, C, H, W) in [-1, 1] as a crisp grid, points (N, 2) as a scatter plot. Raises BookError on failure."""
    made, kind = io.BytesIO(), picture_format(path)
    if samples.ndim == 4:
        picture = grid(to_bytes(samples), min(columns, len(samples)))
        to_image(picture, scale=max(1, 1200 // picture.shape[2])).save(made, kind)
    else:
        points_figure({"samples": samples}).savefig(made, dpi=150, format=kind)
    replace_file(path, made.getvalue())


def picture_format(path: Path) -> str:
    """The format that the end of a picture's name asks for. Raises BookError for any other end."""
    formats = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    if path.suffix.lower() not in formats:
        raise BookError(f"{path} does not say which kind of picture it is: give a name that ends in .png")
    return formats[path.suffix.lower()]


def points_figure(sets: dict[str, torch.Tensor]) -> Figure:
    """Scatter plots of points (N, 2), one panel a set, on common axes."""
    figure = Figure(figsize=(4 * len(sets), 4), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (title, points), colour in zip(axes, sets.items(), (DATA, MODEL, NOISE) * len(sets), strict=False):
        axis.plot(*points.T.numpy(), ".", markersize=2, alpha=0.5, color=colour if len(sets) > 1 else MODEL)
        axis.set(title=f"{title} ({len(points):,})", xlabel="first coordinate", aspect="equal")
    axes[0].set_ylabel("second coordinate")
    return figure


def loss_figure(rows: list[dict], title: str = "Training loss") -> Figure:
    """The logged loss against images seen: each entry as a dot, and the median of its neighbourhood as a line."""
    images, losses = [row["images"] for row in rows], [row["loss"] for row in rows]
    # as far to the left as to the right, and a median, so that a steep beginning stays where it is
    reach = [min(len(losses) // 25, i, len(losses) - 1 - i) for i in range(len(losses))]
    around = [losses[i - r : i + r + 1] for i, r in enumerate(reach)]
    smooth = [median(part) for part in around]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(images, losses, ".", color=MODEL, alpha=0.35, markersize=4)
    axis.plot(images, smooth, color=MODEL)
    axis.annotate(
        "median of neighbours",
        (images[-1], max(losses[-4:])),
        (0, 10),
        textcoords="offset points",
        ha="right",
        color=MODEL,
    )
    axis.set(title=title, xlabel="training images seen", ylabel="mean squared error of the prediction", yscale="log")
    axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.yaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axis.yaxis.set_minor_formatter(matplotlib.ticker.ScalarFormatter())
    axis.grid(alpha=0.2)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure


def _show(axis, picture: torch.Tensor) -> None:
    """A uint8 picture (C, H, W) with crisp pixels, grey or in colour."""
    values = picture[0] if len(picture) == 1 else picture.permute(1, 2, 0)
    axis.imshow(values.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def demo_figure(
    panels: dict[str, torch.Tensor], film: torch.Tensor, film_times: list[float], names: tuple[str, ...]
) -> Figure:
    """The demo's picture: one grid of samples a panel (a column for each class), below them a strip of the denoising.

    panels: title -> images (rows * classes, C, H, W) in [-1, 1], class by class along a row; film: (frames, C, H, W).
    """
    figure = Figure(figsize=(6.2 * len(panels), 8.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[5.6, 1.5])
    axes = top.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, samples) in zip(axes, panels.items(), strict=True):
        picture = grid(to_bytes(samples), len(names))
        _show(axis, picture)
        step = picture.shape[2] / len(names)
        axis.set_xticks(
            [step * (i + 0.5) for i in range(len(names))], names, rotation=40, ha="right", rotation_mode="anchor"
        )
        axis.set_yticks([])
        axis.set_title(title)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    axis = bottom.subplots()
    strip = grid(to_bytes(film), len(film))
    _show(axis, strip)
    step = strip.shape[2] / len(film)
    axis.set_xticks([step * (i + 0.5) for i in range(len(film))], [f"{t:.2f}" for t in film_times])
    axis.set_yticks([])
    axis.set(title="One sample on its way from noise to picture", xlabel="time t (1 is pure noise, 0 is data)")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def neighbours_figure(
    samples: torch.Tensor, data: torch.Tensor, indices: torch.Tensor, distances: torch.Tensor
) -> Figure:
    """Samples in the top row, and below each the nearest images of the data, the closest first, with its distance.

    samples (N, C, H, W) and data (M, C, H, W) in bytes; indices and distances (N, neighbours) as `metrics.nearest`
    returns them. Raises BookError for images that are not bytes.
    """
    if samples.dtype != torch.uint8 or data.dtype != torch.uint8:
        raise BookError(f"neighbours are shown in bytes: use to_bytes first (got {samples.dtype} and {data.dtype})")
    columns, neighbours = indices.shape
    picture = grid(torch.cat([samples, data[indices.T.flatten()]]), columns)  # a row of samples, then row by row
    figure = Figure(figsize=(0.8 * columns + 1, 0.8 * (1 + neighbours) + 0.6), layout="constrained")
    axis = figure.subplots()
    _show(axis, picture)
    across, down = picture.shape[2] / columns, picture.shape[1] / (1 + neighbours)
    axis.set_xticks([across * (i + 0.5) for i in range(columns)], [f"{d:.1f}" for d in distances[:, 0].tolist()])
    names = ["sample", *(f"neighbour {i + 1}" for i in range(neighbours))]
    axis.set_yticks([down * (i + 0.5) for i in range(1 + neighbours)], names)
    axis.set(title="Samples and their nearest training images", xlabel="distance to the nearest")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def watch(run, show=None) -> list[dict]:
    """Train a `training.Run` in a notebook, its loss curve redrawn at every entry of the log; returns the log.

    show(figure) displays the first picture and returns a handle whose `update(figure)` replaces it; IPython's by default.
    """
    if show is None:
        from IPython.display import display  # there in any notebook

        def show(figure):
            return display(figure, display_id=True)

    rows, handle = [], None
    for progress in run:
        rows.append(asdict(progress))
        figure = loss_figure(rows, f"Training loss: {progress.images:,} of {run.recipe.images:,} images")
        if handle is None:
            handle = show(figure)
        else:
            handle.update(figure)
    return rows


def show(figure: Figure, alt: str, dpi: int = 140) -> None:
    """Show a figure in a notebook as a crisp PNG that carries `alt`, its description in words, for those who cannot see it."""
    from IPython.display import display

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    width = round(Image.open(buffer).width * 100 / dpi)
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": f"[figure: {alt}]"}
    display(data, raw=True, metadata={"image/png": {"alt": alt, "width": width}})


def panels(columns: int = 1, width: float = 7.0, height: float = 3.4, **options):
    """A figure and its axes in the book's style, from left to right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **options)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes
