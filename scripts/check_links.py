"""Every link of the built site leads somewhere, and no page asks another computer for anything.

python scripts/check_links.py [book/_build/html]

Checks links to pages and their anchors, pictures, scripts and style sheets (also those that style sheets name). Links to other
sites may be followed by a reader and are not fetched here; resources from other sites are an error.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).resolve().parents[1] / "book" / "_build" / "html"
OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
CSS_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")
# attributes that make a browser fetch something, whoever clicks
FETCHED = {
    "img": ("src", "srcset"),
    "script": ("src",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
}
FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class Page(HTMLParser):
    """What a page holds: its anchors, the addresses a reader may follow, and those that a browser fetches."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.followed: list[str] = []
        self.fetched: list[str] = []
        self.without_alt = 0
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._style = tag == "style"
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        for name in FETCHED.get(tag, ()):
            if given.get(name):
                value = given[name]
                self.fetched += [part.split()[0] for part in value.split(", ")] if name == "srcset" else [value]
        if tag == "img" and given.get("alt") is None:
            self.without_alt += 1
        if tag == "link" and given.get("href"):
            kinds = set((given.get("rel") or "").split())
            (self.fetched if kinds & FETCHED_LINKS else self.followed).append(given["href"])
        if tag == "a" and given.get("href"):
            self.followed.append(given["href"])
        self.fetched += css_urls(given.get("style") or "")

    def handle_data(self, data):
        if self._style:
            self.fetched += css_urls(data)

    def handle_endtag(self, tag):
        self._style = False


def css_urls(text: str) -> list[str]:
    return [first or second for first, second in CSS_URL.findall(text)]


def target_of(address: str, file: Path, site: Path) -> tuple[Path, str]:
    """The file and the anchor that an address on a page leads to."""
    parts = urlsplit(address)
    path = unquote(parts.path)
    if not path:
        return file, unquote(parts.fragment)
    target = site / path.lstrip("/") if path.startswith("/") else file.parent / path
    target = target.resolve()
    return (target / "index.html" if target.is_dir() else target), unquote(parts.fragment)


def problems(site: Path = SITE) -> list[str]:
    """What is wrong with a built site, one line each. Empty if nothing is."""
    site = site.resolve()
    files = sorted(file for file in site.rglob("*.html") if "_static" not in file.relative_to(site).parts)
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    found = [] if pages else [f"there is no page in {site}: build the site first"]
    for file, page in pages.items():
        where = file.relative_to(site)
        if page.without_alt:
            found.append(f"{where}: {page.without_alt} pictures without alternative text")
        for address in page.fetched:
            if OUTSIDE.match(address):
                found.append(f"{where}: fetches {address} from elsewhere")
        for address in dict.fromkeys(page.followed + page.fetched):
            scheme = urlsplit(address).scheme
            if OUTSIDE.match(address) or scheme:
                continue
            target, anchor = target_of(address, file, site)
            if not target.is_file() or not target.is_relative_to(site):
                found.append(f"{where}: {address} leads nowhere")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{where}: {address} names an anchor that is not there")
    for sheet in sorted(site.rglob("*.css")):
        for address in css_urls(sheet.read_text(encoding="utf-8")):
            if OUTSIDE.match(address):
                found.append(f"{sheet.relative_to(site)}: fetches {address} from elsewhere")
            elif urlsplit(address).scheme or address.startswith("#"):
                continue
            elif not target_of(address, sheet, site)[0].is_file():
                found.append(f"{sheet.relative_to(site)}: {address} leads nowhere")
    return found


def main(words: list[str]) -> int:
    found = problems(Path(words[0]) if words else SITE)
    print("\n".join(found) or "PASS every link of the site leads somewhere, and nothing is fetched from elsewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
