"""Interactive figures that need no kernel: pictures made in advance, under a slider.

The same HTML works in JupyterLab and on the static site, by mouse, touch and keyboard. Where scripts are not run (a
notebook that was opened and not trusted yet, a viewer) the first picture is there to see.
"""

import base64
import html
import io
import json
import uuid
from collections.abc import Sequence

from diffusion_book.errors import BookError

# an element without this loses its arrow keys and Enter to JupyterLab's commands
OWN_KEYS = 'data-lm-suppress-shortcuts="true"'

_SCRIPT = """
(function () {
  const figure = document.getElementById("ID"), frames = FRAMES, values = VALUES;
  const picture = figure.querySelector("img"), slider = figure.querySelector("input"), shown = figure.querySelector("output");
  slider.addEventListener("input", function () {
    picture.src = "data:image/png;base64," + frames[slider.value];
    shown.textContent = values[slider.value];
    slider.setAttribute("aria-valuetext", values[slider.value]);
    picture.alt = picture.dataset.alt.replace("VALUE", values[slider.value]);
  });
})();
"""


class Frames:
    """Pictures under a slider; shown by being the last line of a cell."""

    def __init__(self, page: str, label: str):
        self.page, self.label = page, label

    def __repr__(self) -> str:
        return f"[interactive figure: move the slider {self.label!r}]"

    def _repr_html_(self) -> str:
        return self.page


def frames(pictures: Sequence, values: Sequence[str], label: str, alt: str, start: int = 0, width: int = 640) -> Frames:
    """A slider named `label` over pictures (matplotlib figures or PIL images), one for each of `values` (text).

    alt says in words what is seen; VALUE in it stands for the slider's value. start: the picture shown first.
    width: in pixels, at most.
    Raises BookError where pictures and values do not match.
    """
    if len(pictures) != len(values) or not pictures or not 0 <= start < len(pictures):
        raise BookError(f"{len(pictures)} pictures, {len(values)} values and start = {start} do not fit together")
    encoded, values = [_png(picture) for picture in pictures], [str(value) for value in values]
    name = (
        f"frames-{uuid.uuid5(uuid.NAMESPACE_OID, label + encoded[0] + encoded[-1]).hex[:12]}"  # the same at every run
    )
    described = html.escape(alt.replace("VALUE", values[start]), quote=True)
    script = _SCRIPT.replace("ID", name).replace("FRAMES", json.dumps(encoded)).replace("VALUES", json.dumps(values))
    return Frames(
        f'<div id="{name}" class="book-frames" style="max-width: {width}px">'
        f'<img src="data:image/png;base64,{encoded[start]}" alt="{described}" data-alt="{html.escape(alt, quote=True)}" '
        f'style="width: 100%; background: white">'
        f'<label style="display: flex; gap: 0.8em; align-items: center">{html.escape(label)} '
        f'<input type="range" min="0" max="{len(encoded) - 1}" value="{start}" step="1" style="flex: 1" {OWN_KEYS} '
        f'aria-label="{html.escape(label, quote=True)}" aria-valuetext="{html.escape(values[start], quote=True)}"> '
        f'<output style="min-width: 5em">{html.escape(values[start])}</output></label>'
        f"<script>{script}</script></div>",
        label,
    )


def _png(picture) -> str:
    """base64 of a picture as PNG, in at most 128 colours: a line figure does not need more, and the page stays light."""
    from PIL import Image

    buffer = io.BytesIO()
    if hasattr(picture, "savefig"):
        picture.savefig(buffer, format="png", dpi=100)
        picture = Image.open(buffer)
    small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
