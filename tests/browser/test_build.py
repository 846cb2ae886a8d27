"""The built site, read as files: numbers, marks, alternative texts, links."""

import html
import re

import check_links
import nbformat
import pytest
from conftest import ROOT, build

from diffusion_book import equations

pytestmark = pytest.mark.slow

CHAPTERS = [path for path in equations.chapters(ROOT) if path.with_suffix(".ipynb").exists()]
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
NUMBER = re.compile(r'id="equation-(eq-[a-z0-9-]+)">\s*<span class="eqno">\(([\d.]+)\)')
MARK = re.compile(r'<div class="equation-mark">(.*?)</div>')


def page(site, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_elsewhere(site):
    assert check_links.problems(site) == []


@pytest.mark.parametrize(
    "line, said",
    [
        ('<a href="two.html">', "leads nowhere"),
        ('<a href="one.html#gone">', "anchor"),
        ('<a href="#gone">', "anchor"),
        ('<a href="../one.html">', "leads nowhere"),
        ('<img src="gone.png" alt="">', "leads nowhere"),
        ('<img src="one.png">', "without alternative text"),
        ('<script src="https://cdn.example/x.js"></script>', "from elsewhere"),
        ('<script src="//cdn.example/x.js"></script>', "from elsewhere"),
        ('<link rel="stylesheet" href="https://fonts.example/x.css">', "from elsewhere"),
        ('<link rel="preconnect" href="https://fonts.example">', "from elsewhere"),
        ('<style>@import "https://fonts.example/x.css";</style>', "from elsewhere"),
        ('<p style="background: url(https://x.example/y.png)">', "from elsewhere"),
        ('<img alt="" src="one.png" srcset="one.png 1x, https://x.example/y.png 2x">', "from elsewhere"),
    ],
)
def test_the_link_checker_sees_what_is_broken(tmp_path, line, said):
    (tmp_path / "one.png").write_bytes(b"")
    right = (
        '<h1 id="here">One</h1><a href="one.html#here">x</a><a href="https://x.example">y</a><img src="one.png" alt="">'
    )
    (tmp_path / "one.html").write_text(right)
    assert check_links.problems(tmp_path) == []
    (tmp_path / "one.html").write_text(right + line)
    found = check_links.problems(tmp_path)
    assert len(found) == 1
    assert said in found[0]


def test_a_style_sheet_that_fetches_from_elsewhere_is_seen(tmp_path):
    (tmp_path / "one.html").write_text("<p>")
    (tmp_path / "one.css").write_text("body { background: url('gone.png') } @import 'https://x.example/y.css';")
    assert [found.split(": ", 1)[1] for found in check_links.problems(tmp_path)] == [
        "gone.png leads nowhere",
        "fetches https://x.example/y.css from elsewhere",
    ]


@each_chapter
def test_equations_have_the_numbers_that_the_checks_name(site, chapter):
    """A message of a check says "equation (1.4)"; the site counts by itself. Both must agree."""
    shown = dict(NUMBER.findall(page(site, f"chapters/{chapter.stem}")))
    assert shown == {equation.label: equation.number for equation in equations.of_chapter(chapter)}


@each_chapter
def test_exercises_have_the_numbers_that_the_checks_name(site, chapter):
    shown = re.findall(
        r'<span class="caption-number">Exercise (\d+\.\d+) </span>', page(site, f"chapters/{chapter.stem}")
    )
    checked = re.findall(r'^check\("(\d+\.\d+)"', chapter.read_text(encoding="utf-8"), re.MULTILINE)
    assert [number for number in shown if number in checked] == checked


@each_chapter
def test_every_numbered_equation_has_its_code_and_tests_beside_it(site, chapter):
    marks = MARK.findall(page(site, f"chapters/{chapter.stem}"))
    proofs = page(site, f"book/proofs/{chapter.stem}")
    numbered = equations.of_chapter(chapter)
    assert len(marks) == len(numbered)
    for mark, equation in zip(marks, numbered, strict=True):
        wanted = [f"../book/proofs/{chapter.stem}.html#proof-{equation.label}{end}" for end in ("", "-tests")]
        assert re.findall(r'href="([^"]*)"', mark) == wanted, equation.label
        assert f'id="proof-{equation.label}"' in proofs


@each_chapter
def test_pictures_have_the_alternative_texts_that_the_notebook_stores(site, chapter):
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    stored = [output.metadata["image/png"]["alt"] for output in outputs if output.get("metadata", {}).get("image/png")]
    shown = [
        html.unescape(alt) for alt in re.findall(r'<img[^>]*\balt="([^"]*)"', page(site, f"chapters/{chapter.stem}"))
    ]
    assert stored
    assert [alt for alt in stored if alt not in shown] == []


def test_with_the_repository_the_marks_lead_to_its_lines_and_launch_buttons_appear(tmp_path):
    there = "https://github.com/someone/book"
    with_it = build(tmp_path, "-D", f"repository={there}")
    chapter = CHAPTERS[0]
    text = page(with_it, f"chapters/{chapter.stem}")
    links = re.findall(r'href="([^"]*)"', " ".join(MARK.findall(text)))
    assert len(links) == 2 * len(equations.of_chapter(chapter))
    for link in links:
        file, first, last = re.fullmatch(rf"{there}/blob/main/([\w/.]+)#L(\d+)-L(\d+)", link).groups()
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(first) - 1 : int(last)]
        assert re.search(r"^\s*(@|def |class |[A-Z_]+ = )", lines[0]), link
    assert "colab.research.google.com" in text
    assert "mybinder.org" in text


def test_without_the_repository_there_are_no_launch_buttons(site):
    text = page(site, f"chapters/{CHAPTERS[0].stem}")
    assert "colab.research.google.com" not in text
    assert "mybinder.org" not in text


def test_results_say_what_was_not_run(site):
    text = page(site, "book/results")
    assert "not yet run" in text
    assert "images seen" in text
