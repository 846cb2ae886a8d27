"""Interactive figures and exercise cards as HTML: what a keyboard reaches keeps its keys, in JupyterLab too."""

import re

import pytest
from PIL import Image

from diffusion_book import widgets
from diffusion_book.checks.card import foldouts
from diffusion_book.errors import BookError

PICTURES = [Image.new("RGB", (4, 4), colour) for colour in ("black", "grey", "white")]


def test_a_slider_has_a_stop_for_each_picture_and_says_where_it_stands():
    page = widgets.frames(PICTURES, ["a", "b", "c"], label="step", alt="Grey at VALUE", start=1)._repr_html_()
    assert 'min="0" max="2" value="1"' in page
    assert 'alt="Grey at b"' in page
    assert 'aria-valuetext="b"' in page
    assert ">b</output>" in page


def test_what_takes_keys_keeps_them_from_jupyterlab():
    page = widgets.frames(PICTURES, ["a", "b", "c"], label="step", alt="x")._repr_html_() + foldouts(["one", "two"])
    focusable = re.findall(r"<(?:input|summary|button|a)\b[^>]*>", page)
    assert len(focusable) == 3
    assert all(widgets.OWN_KEYS in element for element in focusable)


@pytest.mark.parametrize("values, start", [(["a", "b"], 0), ([], 0), (["a", "b", "c"], 3), (["a", "b", "c"], -1)])
def test_pictures_and_values_must_match(values, start):
    with pytest.raises(BookError, match="do not fit together"):
        widgets.frames(PICTURES, values, label="step", alt="x", start=start)
