"""The chapters as a course folder holds them: numbers and citations that JupyterLab shows as the site does."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

from diffusion_book import equations, lab

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import book  # noqa: E402

REFERENCES = lab.read_references(ROOT / "book/references.bib")
CHAPTERS = equations.chapters(ROOT)
every = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)

PROSE = r"""# Title

Due to {cite:t}`ho2020ddpm`, and later {cite:p}`song2021sde,cover2006`.

$$a = b$$

$$
c = d
$$ (eq-c)

% computed by a.b

$$\begin{aligned}
e
\end{aligned}$$

````{prf:proof}
By looking.
````

```{bibliography}
:filter: docname in docnames
```
"""


@pytest.fixture
def pair(tmp_path) -> Path:
    """A small chapter, number 7: its text, with its notebook beside it. A code cell holds what must stay."""
    code = 'print("{cite:t}`ho2020ddpm`")\n"""\n$$x$$\n"""'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(PROSE), nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, tmp_path / "07_small.ipynb")
    (tmp_path / "07_small.md").write_text(book.as_text(notebook), encoding="utf-8")
    return tmp_path / "07_small.md"


def test_what_jupyterlab_does_not_know_is_spelled_out(pair):
    text = lab.for_lab(pair, REFERENCES).decode()
    assert "---\nnumbering:\n  enumerator: 7.%s\n---\n\n# Title" in text
    assert "Due to Ho et al. (2020), and later (Song et al., 2021, Cover and Thomas, 2006)." in text
    assert ":::{math}\n:enumerated: false\n\na = b\n:::" in text
    assert ":::{math}\n:enumerated: false\n\n\\begin{aligned}\ne\n\\end{aligned}\n:::" in text
    assert "````{prf:proof}\n:enumerated: false\nBy looking.\n````" in text
    assert "$$\nc = d\n$$ (eq-c)\n\n% computed by a.b" in text
    assert re.findall(r"^- (\w+ [\w.]+)", text, re.MULTILINE) == ["Thomas M.", "Jonathan Ho", "Yang Song"]
    assert "{bibliography}" not in text
    assert 'print("{cite:t}`ho2020ddpm`")\n"""\n$$x$$\n"""' in text


def test_text_and_notebook_of_a_course_say_the_same(pair):
    notebook = nbformat.reads(lab.for_lab(pair.with_suffix(".ipynb"), REFERENCES).decode(), as_version=4)
    assert book.as_text(notebook) == lab.for_lab(pair, REFERENCES).decode()


@every
def test_a_chapter_for_the_lab_keeps_its_code_its_outputs_and_its_numbers(chapter, tmp_path):
    file = chapter.with_suffix(".ipynb")
    before, after = json.loads(file.read_text(encoding="utf-8")), json.loads(lab.for_lab(file, REFERENCES))
    assert [c for c in after["cells"] if c["cell_type"] == "code"] == [
        c for c in before["cells"] if c["cell_type"] == "code"
    ]
    (tmp_path / chapter.name).write_bytes(lab.for_lab(chapter, REFERENCES))
    text = (tmp_path / chapter.name).read_text(encoding="utf-8")
    assert [(e.number, e.label) for e in equations.of_chapter(tmp_path / chapter.name)] == [
        (e.number, e.label) for e in equations.of_chapter(chapter)
    ]
    prose = lab.CODE.sub("", text)
    numbered = re.findall(r"^\$\$ \(eq-[\w-]+\)\s*$", prose, re.MULTILINE)
    assert prose.count("$$") == 2 * len(numbered), "a display that JupyterLab would number"
    assert "{cite" not in prose
    assert "{bibliography}" not in prose


def test_every_reference_can_be_read():
    assert len(REFERENCES) == (ROOT / "book/references.bib").read_text(encoding="utf-8").count("\n@") + 1
    for reference in REFERENCES.values():
        assert {"author", "title", "year"} <= set(reference)
        assert not re.search(r"[\\{}]", lab._listed(reference)), reference
    assert "Aapo Hyvärinen" in REFERENCES["hyvarinen2005"]["author"]
    assert "Łukasz Kaiser" in REFERENCES["vaswani2017attention"]["author"]
