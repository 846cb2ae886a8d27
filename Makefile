# Every target does its own set-up: a .venv with the pinned versions.
PYTHON ?= python3
BIN = .venv/bin
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: lab demo site test test-all mutants chapter exercises calibrate bench lint clean

.venv/.core: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the package and its pinned dependencies into .venv"
	$(INSTALL) -e .
	@touch $@

.venv/.test: .venv/.core
	$(INSTALL) -e ".[test]"
	@touch $@

# the settings of this environment, not of the user: a chapter's .md opens as a notebook
.venv/.lab: .venv/.core
	$(INSTALL) -e ".[lab]"
	$(BIN)/jupytext-config --settings-file .venv/etc/jupyter/labconfig/default_setting_overrides.json set-default-viewer markdown myst
	@touch $@

# in a container one is often root, and JupyterLab wants to be told that this is meant
ROOT_TOO = $(if $(filter 0,$(shell id -u)),--allow-root)

# JupyterLab on the first chapter, in a course folder: what is written there is yours, and the repository's chapters stay clean
lab: .venv/.lab
	$(BIN)/diffusion-book start my-course $(if $(wildcard my-course/diffusion-book.json),--update)
	cd my-course && ../$(BIN)/jupyter lab $(ROOT_TOO) --notebook-dir=. $(firstword $(sort $(wildcard chapters/*.ipynb)))

.venv/.site: .venv/.core
	$(INSTALL) -e ".[site]"
	@touch $@

demo: .venv/.core
	$(BIN)/diffusion-book demo

# build the book as a site, and serve it on this computer until Ctrl-C
site: .venv/.site
	$(BIN)/sphinx-build -W -q -c book . book/_build/html
	$(BIN)/python scripts/check_links.py
	$(BIN)/python scripts/serve.py

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# two files at a time, one thread each: most tests are too small to gain by more
ABREAST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: lint
	$(ABREAST) -m "not slow"
	$(ABREAST) -p no:cacheprovider --nbval-lax --nbval-cell-timeout 300 --rootdir chapters -c chapters/nbval.ini chapters

test-all: lint mutants .venv/.site .venv/.lab
	$(ABREAST) -m slow
	$(BIN)/diffusion-book audit
	$(BIN)/python scripts/calibrate.py --check

mutants: .venv/.test
	$(BIN)/python scripts/mutants.py
	$(BIN)/python scripts/chapter_mutants.py

# make chapter N=02: run it from a fresh kernel, store its outputs, pair text and notebook
chapter: .venv/.test exercises
	$(BIN)/python scripts/book.py run $(N)

exercises: .venv/.test
	$(BIN)/python scripts/book.py exercises

calibrate: .venv/.core
	$(BIN)/python scripts/calibrate.py

bench: .venv/.core
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/bench_training.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache
