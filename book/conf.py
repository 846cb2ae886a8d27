"""The site: `make site`, or `sphinx-build -W -c book . book/_build/html`. No cell is run: the notebooks hold their outputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

# ------------------------------------------------------------------------------------------------ the one address
# Where the repository can be read on GitHub, "https://github.com/someone/diffusion-book". Empty: the marks beside the equations
# lead to pages of this site, and no launch buttons are shown.
repository = ""
branch = "main"

# ------------------------------------------------------------------------------------------------ what is built
project = "The diffusion book"
author = "the authors of the diffusion book"
project_copyright = "the authors. Text and figures CC BY 4.0, code MIT"
language = "en"
root_doc = "book/index"
include_patterns = ["book/*.md", "book/proofs/*.md", "chapters/*.ipynb"]
exclude_patterns = [".venv", ".git", "book/_build", "build", "dist", "runs", "tests", "**/.ipynb_checkpoints"]
extensions = [
    "myst_nb",
    "sphinx_proof",
    "sphinx_exercise",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_togglebutton",
    "sphinx_design",
    "notebooks",
    "proofs",
    "cards",
    "citations",
]

# ------------------------------------------------------------------------------------------------ text and notebooks
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # nothing from elsewhere: interactive figures bring their own frames and script
nb_custom_formats = {".ipynb": ["notebooks.read", {}, False]}

# ------------------------------------------------------------------------------------------------ numbers
numfig = True
numfig_secnum_depth = 1
math_numfig = True
math_eqref_format = "({number})"
# one count for all of them: Proposition 1.2 stands after Theorem 1.1
prf_realtyp_to_countertyp = dict.fromkeys(("lemma", "proposition", "corollary", "definition"), "theorem")

# ------------------------------------------------------------------------------------------------ references
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year_round"  # extensions/citations.py
suppress_warnings = [
    "bibtex.duplicate_citation",  # each chapter lists its own references, and a paper may be in several
    "bibtex.duplicate_label",  # the labels are not shown: papers are cited by author and year
]

# ------------------------------------------------------------------------------------------------ looks
html_theme = "sphinx_book_theme"
html_title = "The diffusion book"
html_static_path = ["_static"]
html_extra_path = ["_extra"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_logo = "_static/logo.svg"
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "path_to_docs": "",
    "repository_branch": branch,
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "use_repository_button": False,
    "logo": {"text": "The diffusion book", "alt_text": ""},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "search_bar_text": "Search the book",
}
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {
    "chtml": {"mtextInheritFont": True},
    "options": {"enableMenu": False},  # its menu would fetch the accessibility extensions from elsewhere
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
togglebutton_hint = "show"
togglebutton_hint_hide = "hide"


def with_repository(app, config) -> None:
    """Buttons that need the repository's address, once it is known."""
    if config.repository:
        config.html_theme_options |= {
            "repository_url": config.repository,
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "colab_url": "https://colab.research.google.com",
                "binderhub_url": "https://mybinder.org",
                "notebook_interface": "jupyterlab",
            },
        }


def setup(app):
    app.connect("config-inited", with_repository)
