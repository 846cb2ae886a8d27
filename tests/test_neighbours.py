"""The nearest training images: against the full table of distances, and where they are drawn."""

import math

import pytest
import torch

from diffusion_book.data.images import to_bytes, to_unit
from diffusion_book.errors import BookError
from diffusion_book.metrics import nearest
from diffusion_book.plots import neighbours_figure


def pixels(n, *shape, seed=0):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table(ours, theirs):
    """All distances, one pair at a time."""
    return torch.tensor([[math.dist(a, b) for b in theirs.flatten(1).tolist()] for a in ours.flatten(1).tolist()])


@pytest.mark.parametrize("neighbours", [1, 3, 40])
@pytest.mark.parametrize("chunk", [7, 40, 1000])
def test_nearest_is_the_sorted_table_of_distances_however_it_is_cut(neighbours, chunk):
    ours, theirs = normal(13, 5), normal(40, 5, seed=1)
    expected = table(ours, theirs).double().sort(dim=1)
    indices, distances = nearest(ours, theirs, neighbours, chunk)
    assert torch.equal(indices, expected.indices[:, :neighbours])
    torch.testing.assert_close(distances, expected.values[:, :neighbours], rtol=1e-6, atol=0)


def test_bytes_are_compared_on_the_books_scale():
    ours, theirs = pixels(4, 2, 3, 3), pixels(9, 2, 3, 3, seed=1)
    indices, distances = nearest(ours, theirs)
    expected = table(to_unit(ours), to_unit(theirs)).double().min(dim=1)
    assert torch.equal(indices[:, 0], expected.indices)
    torch.testing.assert_close(distances[:, 0], expected.values, rtol=1e-6, atol=0)
    # 255 grey levels in each of 18 numbers are 2 of the book's units
    black, white = torch.zeros(1, 2, 3, 3, dtype=torch.uint8), torch.full((1, 2, 3, 3), 255, dtype=torch.uint8)
    assert nearest(black, white)[1].item() == pytest.approx(2 * math.sqrt(18), rel=1e-12)


def test_a_copy_is_found_at_distance_zero_and_a_changed_copy_at_its_change():
    theirs = pixels(300, 1, 28, 28)
    ours = theirs[[217, 5, 99]].clone()
    ours[2, 0, 3, 4] ^= 1  # one grey level
    indices, distances = nearest(ours, theirs, 2, chunk=64)
    assert indices[:, 0].tolist() == [217, 5, 99]
    assert distances[:2, 0].tolist() == [0.0, 0.0]
    assert distances[2, 0].item() == pytest.approx(1 / 127.5, rel=1e-5)
    assert distances[:, 1].min() > 10  # the second nearest is nobody's copy


def test_a_small_difference_far_from_the_origin_is_not_lost_in_rounding():
    theirs = 1e4 + torch.tensor([[0.0], [3e-4], [1e-3]], dtype=torch.float64)
    indices, distances = nearest(theirs[:1] + 2e-4, theirs, 3)
    assert indices.tolist() == [[1, 0, 2]]
    torch.testing.assert_close(distances, torch.tensor([[1e-4, 2e-4, 8e-4]]).double(), rtol=1e-6, atol=0)


def test_rows_that_do_not_compare_are_refused():
    with pytest.raises(BookError, match="rows of one kind"):
        nearest(pixels(2, 1, 4, 4), pixels(2, 1, 5, 5))
    with pytest.raises(BookError, match="rows of one kind"):
        nearest(to_unit(pixels(2, 1, 4, 4)), pixels(2, 1, 4, 4))
    for neighbours in (0, 4):
        with pytest.raises(BookError, match=f"there are 3 rows .* not {neighbours}"):
            nearest(normal(2, 4), normal(3, 4), neighbours)


def test_each_sample_stands_above_its_own_neighbours():
    ours, theirs = pixels(3, 1, 4, 4), pixels(8, 1, 4, 4, seed=1)
    indices, distances = nearest(ours, theirs, 2)
    axis = neighbours_figure(ours, theirs, indices, distances).axes[0]
    drawn = torch.as_tensor(axis.images[0].get_array().copy())
    for column in range(3):
        for row, image in enumerate([ours[column], theirs[indices[column, 0]], theirs[indices[column, 1]]]):
            top, left = 1 + 5 * row, 1 + 5 * column
            assert torch.equal(drawn[top : top + 4, left : left + 4], image[0])
    assert [label.get_text() for label in axis.get_xticklabels()] == [f"{d:.1f}" for d in distances[:, 0]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["sample", "neighbour 1", "neighbour 2"]


def test_neighbours_in_colour_are_drawn_and_floats_refused():
    ours = pixels(2, 3, 4, 4)
    axis = neighbours_figure(ours, ours, *nearest(ours, ours)).axes[0]
    assert axis.images[0].get_array().shape == (11, 11, 3)
    with pytest.raises(BookError, match="use to_bytes first"):
        neighbours_figure(to_unit(ours), ours, *nearest(ours, ours))
    assert torch.equal(to_bytes(to_unit(ours)), ours)
