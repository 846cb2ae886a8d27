"""The chapters as JupyterLab has to be given them, so that a reader there sees what the site shows.

JupyterLab's MyST numbers every display, those without a label too, begins at (1) in every chapter, and knows no list of
references. So a course folder's copies say which displays have no number, name the chapter's number, and spell citations out.
"""

import json
import re
import unicodedata
from pathlib import Path

CODE = re.compile(r"^```\{code-cell\}.*?^```$\n?", re.MULTILINE | re.DOTALL)
DISPLAY = re.compile(r"^\$\$(?P<tex>.*?)\$\$(?P<label> \([\w-]+\))?[^\S\n]*$", re.MULTILINE | re.DOTALL)
PROOF = re.compile(r"^`{3,}\{prf:proof\}[^\S\n]*\n", re.MULTILINE)
CITATION = re.compile(r"\{cite:(?P<form>[pt])\}`(?P<keys>[^`]+)`")
BIBLIOGRAPHY = re.compile(r"^```\{bibliography\}.*?^```$", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),\n(?P<fields>.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
ACCENTS = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303"}


def for_lab(file: Path, references: dict[str, dict[str, str]]) -> bytes:
    """A chapter's text or its notebook, as a course folder holds it."""
    text = file.read_text(encoding="utf-8")
    cited = list(dict.fromkeys(key for match in CITATION.finditer(text) for key in keys(match)))
    listed = {key: references[key] for key in sorted(cited)}
    front = f"---\nnumbering:\n  enumerator: {int(file.name.split('_')[0])}.%s\n---\n\n"
    if file.suffix == ".ipynb":
        notebook = json.loads(text)
        prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        for i, cell in enumerate(prose):
            source = prose_for_lab("".join(cell["source"]), listed)
            cell["source"] = ((front if i == 0 else "") + source).splitlines(keepends=True)
        return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
    head, body = re.fullmatch(r"(---\n.*?\n---\n\s*)?(.*)", text, re.DOTALL).groups(default="")
    pieces, done = [], 0
    for code in CODE.finditer(body):
        pieces += [prose_for_lab(body[done : code.start()], listed), code[0]]
        done = code.end()
    return (head + front + "".join(pieces) + prose_for_lab(body[done:], listed)).encode()


def prose_for_lab(text: str, references: dict[str, dict[str, str]]) -> str:
    """A chapter's prose without what JupyterLab does not know. `references` are those that the chapter cites."""
    text = DISPLAY.sub(
        lambda m: m[0] if m["label"] else f":::{{math}}\n:enumerated: false\n\n{m['tex'].strip()}\n:::", text
    )
    # it would count proofs by themselves, and a proof 1.2 would stand under proposition 1.1
    text = PROOF.sub(r"\g<0>:enumerated: false\n", text)
    text = CITATION.sub(lambda m: _cite(m["form"], [references[key] for key in keys(m)]), text)
    return BIBLIOGRAPHY.sub(lambda m: "\n".join(f"- {_listed(reference)}" for reference in references.values()), text)


def keys(citation: re.Match) -> list[str]:
    return [key.strip() for key in citation["keys"].split(",")]


def read_references(file: Path) -> dict[str, dict[str, str]]:
    """Key -> the fields of a BibTeX entry, their TeX spelled out. Each field stands in a line of its own."""
    return {
        entry["key"]: {name: _plain(value) for name, value in FIELD.findall(entry["fields"])}
        for entry in ENTRY.finditer(file.read_text(encoding="utf-8"))
    }


def _plain(tex: str) -> str:
    def accented(match):
        return unicodedata.normalize("NFC", match[2] + ACCENTS[match[1]])

    tex = re.sub(r"\\([\"'`^~])\{?(\w)\}?", accented, tex)
    for command, letter in {r"{\L}": "Ł", r"{\l}": "ł", r"{\o}": "ø", r"{\ss}": "ß", r"\&": "&", "--": "–"}.items():
        tex = tex.replace(command, letter)
    return tex.replace("{", "").replace("}", "")


def _cite(form: str, cited: list[dict[str, str]]) -> str:
    names = [(_names(reference["author"]), reference["year"]) for reference in cited]
    if form == "t":
        return ", ".join(f"{name} ({year})" for name, year in names)
    return "(" + ", ".join(f"{name}, {year}" for name, year in names) + ")"


def _names(authors: str) -> str:
    """The family names of a few authors: "Ho et al.", "Song and Ermon"."""
    families = [person.split()[-1] for person in authors.split(" and ")]
    return f"{families[0]} et al." if len(families) > 2 else " and ".join(families)


def _listed(reference: dict[str, str]) -> str:
    where = ", ".join(reference[name] for name in ("journal", "booktitle", "publisher") if name in reference)
    people = reference["author"].replace(" and ", ", ")
    address = f" <{reference['url']}>" if "url" in reference else ""
    return f"{people} ({reference['year']}). *{reference['title']}*." + (f" {where}." if where else "") + address
