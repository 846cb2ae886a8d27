"""Pictures: what is drawn is where it should be."""

import pytest
import torch
from PIL import Image
from tiny import tiny_run

from diffusion_book import plots
from diffusion_book.errors import BookError


def test_a_grid_holds_every_image_pixel_for_pixel():
    images = torch.arange(5 * 3 * 4 * 4, dtype=torch.uint8).reshape(5, 3, 4, 4)
    picture = plots.grid(images, columns=2, gutter=1)
    assert picture.shape == (3, 3 * 5 + 1, 2 * 5 + 1)
    for i in range(5):
        top, left = 1 + 5 * (i // 2), 1 + 5 * (i % 2)
        assert torch.equal(picture[:, top : top + 4, left : left + 4], images[i])
    assert picture[:, 0].eq(200).all()


def test_saved_images_are_crisp_and_right_side_up(tmp_path):
    x = torch.full((1, 1, 4, 4), -1.0)
    x[0, 0, 0, 3] = 1.0  # white in the upper right corner
    plots.save_samples(x, tmp_path / "deep" / "one.png")
    image = Image.open(tmp_path / "deep" / "one.png")
    scale = image.width // 6
    values = set(image.get_flattened_data()) if hasattr(image, "get_flattened_data") else set(image.getdata())
    assert values == {0, 200, 255}  # no grey in between: nothing was interpolated
    assert image.getpixel((int(4.5 * scale), int(1.5 * scale))) == 255


def test_a_picture_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(BookError, match="ends in .png"):
        plots.save_samples(torch.zeros(1, 1, 4, 4), tmp_path / "picture.nonsense")


def test_points_are_plotted_where_they_are():
    figure = plots.points_figure({"data": torch.tensor([[1.0, 2.0]]), "samples": torch.tensor([[3.0, 4.0]])})
    drawn = [axis.lines[0].get_xydata().tolist() for axis in figure.axes]
    assert drawn == [[[1.0, 2.0]], [[3.0, 4.0]]]


def test_a_run_can_be_watched_while_it_trains(tmp_path):
    class Handle:
        updates = 0

        def update(self, figure):
            Handle.updates += 1
            self.figure = figure

    handle = Handle()
    rows = plots.watch(tiny_run(tmp_path), show=lambda figure: handle)
    assert len(rows) == Handle.updates + 1
    curve = handle.figure.axes[0].lines[0].get_xydata()
    assert curve[:, 0].tolist() == [row["images"] for row in rows]
    assert curve[:, 1].tolist() == pytest.approx([row["loss"] for row in rows])


def test_the_loss_line_follows_a_fall_exactly_and_no_outlier():
    falling = [100.0 / (i + 1) for i in range(100)]
    losses = [*falling[:50], 100.0, 90.0, *falling[52:]]
    figure = plots.loss_figure([{"images": i, "loss": loss} for i, loss in enumerate(losses)])
    _, line = figure.axes[0].lines
    smooth = line.get_ydata()
    assert list(smooth[:46]) == falling[:46]
    assert list(smooth[56:]) == falling[56:]
    assert smooth[50] == sorted(losses[46:55])[4]  # four to either side
