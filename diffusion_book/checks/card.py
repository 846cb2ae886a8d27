"""How a verdict looks: plain text in a terminal, a card with foldout hints in a notebook and on the site."""

import html
import re
from dataclasses import dataclass

from diffusion_book.checks.exercise import Verdict
from diffusion_book.equations import numbered
from diffusion_book.widgets import OWN_KEYS

SIGN = {"passed": "✓", "unfinished": "○", "wrong": "✗"}
COLOUR = {"passed": "#009E73", "unfinished": "#888888", "wrong": "#D55E00"}
LINK = "cursor: pointer; text-decoration: underline dotted"  # JupyterLab hides the triangle of a foldout


@dataclass(frozen=True)
class Card:
    """A verdict to look at. `print` shows plain text; a notebook shows the card."""

    verdict: Verdict

    @property
    def passed(self) -> bool:
        return self.verdict.passed

    def __repr__(self) -> str:
        exercise = self.verdict.exercise
        sign = SIGN[self.verdict.status]
        return f"{sign} Exercise {exercise.number}, {exercise.title}\n{numbered(self.verdict.text)}"

    def _repr_html_(self) -> str:
        exercise, status = self.verdict.exercise, self.verdict.status
        text = marked(numbered(self.verdict.text)).replace("\n", "<br>")
        hints = "" if self.verdict.passed else foldouts([numbered(hint) for hint in exercise.hints])
        return (
            f'<div class="book-card book-{status}" style="border-left: 4px solid {COLOUR[status]}; padding: 0.4em 0.9em">'
            f"<b>{SIGN[status]} Exercise {exercise.number}, {html.escape(exercise.title)}</b><br>{text}{hints}</div>"
        )


def foldouts(hints: list[str], first: int = 1) -> str:
    """Hints nested in each other, so that each has to be opened before the next can be seen."""
    if not hints:
        return ""
    return (
        f'<details class="book-hint"><summary style="{LINK}" {OWN_KEYS}>Hint {first} (click to open)</summary>'
        f"{marked(hints[0])}{foldouts(hints[1:], first + 1)}</details>"
    )


def marked(text: str) -> str:
    """A check's text as HTML, with `code` and *emphasis* of its Markdown. Products such as a*b*c stay as they are."""
    pieces = html.escape(text).split("`")
    if len(pieces) % 2 == 0:  # a backtick without a partner
        return html.escape(text)
    pieces[::2] = [re.sub(r"(?<!\w)\*(\w(?:[^*\n]*\w)?)\*(?!\w)", r"<em>\1</em>", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"<code>{piece}</code>" for piece in pieces[1::2]]
    return "".join(pieces)
