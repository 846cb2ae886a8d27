"""The site in a real browser: as read with a mouse, a keyboard, a phone, in the dark, and by a screen reader."""

from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

AXE = Path(__file__).with_name("axe.min.js")
CHAPTERS = [f"chapters/{path.stem}" for path in sorted((ROOT / "chapters").glob("[0-9][0-9]_*.ipynb"))]
PAGES = [f"book/{path.stem}" for path in sorted((ROOT / "book").glob("*.md"))]
PROOFS = [chapter.replace("chapters/", "book/proofs/") for chapter in CHAPTERS]
# MathJax's own markup, and the theme's: not ours to change
FOREIGN = ["mjx-container", ".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer", "#pst-skip-link"]


@pytest.fixture
def visit(browser, address):
    """visit(name, width, mode) opens a page; at the end of the test nothing may have been asked of another computer."""
    contexts, strays, errors = [], [], []

    def watch(request):
        if not request.url.startswith((address, "data:", "blob:")):
            strays.append(request.url)

    def open_page(name, width=1280, mode="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=mode)
        contexts.append(context)
        page = context.new_page()
        page.on("request", watch)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}{name}.html")
        page.evaluate("async () => { if (window.MathJax && MathJax.startup) await MathJax.startup.promise }")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert strays == []
    assert errors == []


def luminance(page, selector: str) -> float:
    """How light the background of an element is, 0 to 255."""
    colour = page.eval_on_selector(selector, "element => getComputedStyle(element).backgroundColor")
    return sum(map(float, colour.strip("rgba()").split(",")[:3])) / 3


@pytest.mark.parametrize("name", CHAPTERS)
def test_equations_are_drawn_with_their_numbers(visit, name):
    page = visit(name)
    assert page.locator("div.math").count() > 0
    assert page.locator("div.math mjx-container").count() >= page.locator("div.math").count()
    assert page.locator("mjx-merror, .math .noError").count() == 0
    assert "\\(" not in page.inner_text("article")
    assert "$$" not in page.inner_text("article")
    number = int(name.split("/")[1][:2])
    assert page.inner_text("div.math .eqno >> nth=0").startswith(f"({number}.1)")
    cut = page.eval_on_selector_all(
        "div.math mjx-container",
        "blocks => blocks.filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.innerText.slice(0, 60))",
    )
    assert cut == [], "equations run off the column of a laptop's window"


def test_search_finds_a_word(visit):
    page = visit("book/index")
    page.keyboard.press("Control+k")
    page.keyboard.type("variance")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results .search li", timeout=30_000)
    assert page.locator("#search-results .search li a[href*='chapters/']").count() > 0


@pytest.mark.parametrize("name", ["book/index", *CHAPTERS])
def test_the_interactive_figure_moves_by_keyboard_and_by_mouse(visit, name):
    page = visit(name)
    figures = page.locator(".book-frames")
    assert figures.count() > 0
    for i in range(figures.count()):
        figure = figures.nth(i)
        slider, picture, value = (figure.locator(part) for part in ("input", "img", "output"))
        slider.scroll_into_view_if_needed()

        def seen(picture=picture, value=value, slider=slider):
            return picture.get_attribute("src"), value.inner_text(), slider.get_attribute("aria-valuetext")

        states = [seen()]
        slider.focus()
        page.keyboard.press("Home")
        states.append(seen())
        page.keyboard.press("ArrowRight")
        states.append(seen())
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
        states.append(seen())
        for part in range(3):  # a new picture, its value, and what a screen reader is told
            assert states[1][part] != states[2][part], (i, part)
            assert states[2][part] != states[3][part], (i, part)
        assert picture.get_attribute("alt")
        assert "VALUE" not in picture.get_attribute("alt")
        page.keyboard.press("End")
        assert seen() == states[3]


def test_hints_unfold_one_after_the_other(visit):
    page = visit(CHAPTERS[0])
    first = page.locator(".book-card > details.book-hint").first
    inner = first.locator("details.book-hint").first
    assert not inner.is_visible()
    first.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert inner.is_visible()
    assert inner.evaluate("element => element.open") is False


def test_marks_lead_from_an_equation_to_its_function_and_tests(visit):
    page = visit(CHAPTERS[0])
    page.locator(".equation-mark a").nth(1).click()
    page.wait_for_url("**/book/proofs/**")
    anchor = page.url.split("#")[1]
    assert page.locator(f"[id='{anchor}']").count() == 1
    assert "def test_" in page.inner_text("article")


def test_the_dark_can_be_switched_on_and_stays(visit):
    page = visit(CHAPTERS[0], mode="light")
    assert luminance(page, "body") > 200
    for _ in range(3):
        if page.get_attribute("html", "data-theme") == "dark":
            break
        page.locator("button.theme-switch-button").first.click()
        choice = page.locator("button.theme-change-button[data-mode='dark']").first
        if choice.count() and choice.is_visible():
            choice.click()
    assert luminance(page, "body") < 60
    page.goto(page.url.replace(CHAPTERS[0], "book/notation"))
    assert luminance(page, "body") < 60


@pytest.mark.parametrize("name", [CHAPTERS[0]])
def test_in_the_dark_our_own_outputs_are_dark_too_and_their_text_is_light(visit, name):
    page = visit(name, mode="dark")
    for selector in (".book-frames", ".book-card"):
        assert luminance(page, selector) < 90
        colour = page.eval_on_selector(selector, "element => getComputedStyle(element).color")
        assert sum(map(float, colour.strip("rgba()").split(",")[:3])) / 3 > 150


@pytest.mark.parametrize("name", PAGES + CHAPTERS + PROOFS)
def test_a_phone_needs_no_sideways_scrolling(visit, name):
    page = visit(name, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("article h1").is_visible()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES + CHAPTERS + PROOFS)
def test_axe_finds_nothing_serious(visit, name, mode):
    """All of axe's rules in the light; in the dark only colours differ, so only their contrast is measured again."""
    page = visit(name, mode=mode)
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if mode == "dark" else {})
    result = page.evaluate(
        "([foreign, options]) => axe.run({exclude: foreign.map(one => [one])}, options)", [FOREIGN, options]
    )
    serious = [
        f"{found['id']}: {found['help']}: " + "; ".join(node["html"][:200] for node in found["nodes"][:4])
        for found in result["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)


def test_on_paper_the_buttons_are_gone_and_figures_stay(visit):
    page = visit(CHAPTERS[0])
    page.emulate_media(media="print")
    assert not page.locator(".equation-mark").first.is_visible()
    assert not page.locator(".book-frames input").first.is_visible()
    assert page.locator(".book-frames img").first.is_visible()
    assert page.locator("div.math").first.is_visible()


def test_the_first_address_leads_to_the_first_page(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.wait_for_url("**/book/index.html")
    assert page.locator(".front-picture img").is_visible()
    page.close()
