"""The figures of chapter 3 that take more than a few lines: strips of images, a U-Net as its feature maps."""

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from diffusion_book.data.images import to_bytes
from diffusion_book.nets.unet import UNet
from diffusion_book.plots import DATA, EXACT, MODEL, NOISE, grid, to_image


def strips(rows: dict[str, torch.Tensor], ticks=None, xlabel: str = "", scale: float = 0.62) -> Figure:
    """Rows of images (N, C, H, W) in [-1, 1], one below the other, each with its name at the left."""
    names, images = list(rows), torch.cat(list(rows.values()))
    columns = len(images) // len(rows)
    picture = to_image(grid(to_bytes(images), columns))
    height = picture.height / picture.width * scale * columns
    figure = Figure(figsize=(scale * columns + 1.6, height + (0.6 if ticks else 0.1)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    across, down = picture.width / columns, picture.height / len(rows)
    axis.set_yticks([down * (i + 0.5) for i in range(len(rows))], names)
    axis.set_xticks([across * (i + 0.5) for i in range(columns)] if ticks else [], ticks or None)
    axis.set_xlabel(xlabel)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def feature_maps(net: UNet, image: torch.Tensor) -> list[tuple[str, int, int]]:
    """(what, channels, side) of every feature map of net(image, t), in the order in which they are computed."""
    found: list[tuple[str, int, int]] = []

    def note(name):
        return lambda _, __, output: found.append((name, output.shape[1], output.shape[2]))

    parts = [(net.stem, "stem"), (net.middle, "middle"), (net.out, "out")]
    parts += [(layer, "shrink") for layer in net.shrink] + [(layer, "grow") for layer in net.grow]
    parts += [(stage, "down") for level in net.down for stage in level]
    parts += [(stage, "up") for level in net.up for stage in level]
    hooks = [part.register_forward_hook(note(name)) for part, name in parts]
    with torch.no_grad():
        net(image, torch.full((len(image),), 0.5))
    for hook in hooks:
        hook.remove()
    return found


def unet_figure(net: UNet, image: torch.Tensor) -> Figure:
    """The feature maps of a U-Net from left to right: height is the side in places, the number the channels."""
    maps = feature_maps(net, image)
    figure = Figure(figsize=(8.6, 3.7), layout="constrained")
    axis = figure.subplots()
    colours = {"down": DATA, "middle": NOISE, "up": MODEL}
    sides = sorted({side for *_, side in maps}, reverse=True)
    unit = 2.4 / max(sides)
    level = {side: -2.9 * i for i, side in enumerate(sides)}
    stack = []
    for i, (name, channels, side) in enumerate(maps):
        height, y = unit * side, level[side]
        colour = colours.get(name, "#999999")
        axis.add_patch(Rectangle((i - 0.22, y - height / 2), 0.44, height, color=colour, alpha=0.85))
        axis.text(i, y, f"{channels}", ha="center", va="center", color="white", fontsize=8.5, weight="bold")
        axis.text(i, y - height / 2 - 0.18, name, ha="center", va="top", fontsize=8.5)
        if i:
            _, _, before = maps[i - 1]
            axis.annotate(
                "",
                (i - 0.24, y),
                (i - 0.76, level[before]),
                arrowprops={"arrowstyle": "->", "color": EXACT, "lw": 0.9},
            )
        if name in ("stem", "down", "shrink"):
            stack.append((i, y + height / 2))
        elif name == "up":
            start, top = stack.pop()
            axis.annotate(
                "",
                (i, y + height / 2),
                (start, top),
                arrowprops={"arrowstyle": "->", "color": "#CC79A7", "lw": 1.2, "connectionstyle": "arc3,rad=-0.22"},
            )
    for side in sides:
        axis.text(-0.75, level[side], f"{side} x {side}\nplaces", ha="right", va="center", fontsize=9)
    axis.text(len(maps) / 2 - 0.5, 3.0, "skips: handed across", color="#CC79A7", ha="center", fontsize=9)
    axis.set(xlim=(-1.9, len(maps) - 0.4), ylim=(min(level.values()) - 1.6, 3.5))
    axis.axis("off")
    return figure
