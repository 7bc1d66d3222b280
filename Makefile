# Everything happens in .venv, which is made from pyproject.toml and constraints.txt and follows their content,
# and the values of PYTHON and PIP_FLAGS.
#
#   make book         execute every chapter, build the HTML (warnings are errors), say where it is
#   make test         the tests: the package's, its doctests and the project's own consistency
#   make serve        the book at http://127.0.0.1:8000
#   make lint         ruff, mypy, import-linter
#   make bench        the benchmarks, their peers installed for it (SMOKE=1: tiny sizes, to see that they run)
#   make test-book    the built book in a real browser (needs npm and Chromium)
#   make test-notebooks   the pages' notebooks in an environment of their own (NOTEBOOKS="introduction ...": some)
#   make test-binder  every chapter in JupyterLab, as on Binder, in a real browser: half an hour (NOTEBOOKS as above)
#   make sheets       exercise sheets of each chapter, without solutions and with, from the built book (needs npm)
#   make slides       slides of the three lectures, from the built book (needs npm)
#   make pdf          the book on paper, with LaTeX (it names the Debian packages that it lacks)
#   make course       all three, in _build/course
#   make links        ask every external link of the book whether it is still there (needs the network)
#   make pins         write constraints.txt anew from the ranges in pyproject.toml
#   make clean        remove what was built and cached (not .venv)
#
# PYTHON names the interpreter (>= 3.11); PIP_FLAGS goes to pip, for example to choose PyTorch's CPU build.
# Another Python makes .venv anew, other flags run pip again: export them, or give them every time.

PYTHON ?= python3
PIP_FLAGS ?=
PORT ?= 8000

BIN := .venv/bin
WANTED = { cat pyproject.toml constraints.txt; echo '$(subst ','\'',$(PYTHON) $(PIP_FLAGS))'; }
INSTALLED := .venv/.installed-$(shell $(WANTED) | cksum | tr ' ' -)
BUILT := _build/.complete-$(shell cat book/_ext/*.py | cksum | tr ' ' -)

.PHONY: book test serve lint bench test-book test-notebooks test-binder sheets slides pdf course empty-course links \
  pins clean
.NOTPARALLEL:  # all write into .venv and _build
.DELETE_ON_ERROR:
.DEFAULT_GOAL := book

$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fnequiv needs Python >= 3.11, got $$($(PYTHON) --version): try make PYTHON=python3.12"; exit 1; }
	@[ "$$($(BIN)/python -V 2>&1)" = "$$($(PYTHON) -V)" ] || rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[dev]"
	@rm -f .venv/.installed-*
	@touch $@

# Sphinx reports a page's warnings only when it reads the page. After a build that failed or was interrupted
# every page is therefore read again; executed chapters still come from the execution cache. The same after a change
# of the book's extensions: Sphinx does not watch them, and they write on every page.
book: $(INSTALLED)
	@test -e $(BUILT) || rm -rf _build/.doctrees
	@rm -f _build/.complete*
	$(BIN)/jupyter-book build . --warningiserror --keep-going
	@touch $(BUILT)
	@echo "The book is at file://$(CURDIR)/_build/html/index.html"

test: $(INSTALLED)
	$(BIN)/python -m pytest

serve: book
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks $(if $(SMOKE),--smoke)

tests/book/node_modules: tests/book/package.json tests/book/package-lock.json
	cd tests/book && npm ci --no-audit --no-fund
	@touch $@

test-book: book tests/book/node_modules
	$(BIN)/python -m pytest tests/book

# As a reader's: the package is installed, not linked, with what its chapters import; nothing else but Jupyter.
READER := _build/reader
test-notebooks: book
	rm -rf $(READER)
	mkdir -p $(READER)/package
	cp -r fnequiv pyproject.toml README.md LICENSE LICENSE-text $(READER)/package
	$(PYTHON) -m venv $(READER)/venv
	$(READER)/venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt \
	  "$(READER)/package[notebooks]" nbclient ipykernel
	$(READER)/venv/bin/python tests/book/execute.py _build/html/_sources $(NOTEBOOKS)

# What Binder does, with pip instead of conda. The last commit is tried, not the working tree.
BINDER := $(CURDIR)/_build/binder
test-binder: book
	rm -rf $(BINDER)
	mkdir -p $(BINDER)/home
	git clone --quiet . $(BINDER)/repository
	$(PYTHON) -m venv $(BINDER)/environment
	sed -nE '/python=/d; s/pytorch-cpu/torch/; s/-base//; s/^  - (.*)=(.*)$$/\1==\2.*/p' \
	  $(BINDER)/repository/environment.yml > $(BINDER)/listed
	$(BINDER)/environment/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r $(BINDER)/listed
	cd $(BINDER)/repository && NB_PYTHON_PREFIX=$(BINDER)/environment XDG_CACHE_HOME=$(BINDER)/home/.cache \
	  bash postBuild > $(BINDER)/postBuild.log
	$(BIN)/python tests/book/binder.py $(BINDER) $(NOTEBOOKS)

# What these need of npm is MathJax, which they put beside the pages that they write.
sheets slides: book tests/book/node_modules
	$(BIN)/python book/_course/$@.py

# LaTeX reads the pages as `make book` has left them.
pdf: book
	$(BIN)/python book/_course/printing.py
	$(BIN)/python -m pytest -q tests/book/printed.py

# A chapter or a lecture of another name leaves nothing behind.
course: empty-course sheets slides pdf
empty-course: book
	rm -rf _build/course

# The report comes into _build/links.txt; the builder leaves it among the pages.
links: book
	@rm -f _build/links.txt _build/html/output.txt
	$(BIN)/jupyter-book build . --builder linkcheck; found=$$?; rm -f _build/html/output.json; \
	  mv _build/html/output.txt _build/links.txt || exit 1; exit $$found

pins:
	rm -rf _build/pins
	$(PYTHON) -m venv _build/pins
	_build/pins/bin/python -m pip install --quiet $(PIP_FLAGS) -e ".[dev,bench,binder]"
	_build/pins/bin/python -m pip freeze --exclude-editable > _build/pins/freeze
	{ grep '^#' constraints.txt; sed -E '/^(cuda|nvidia|triton)/d; s/[+].*//' _build/pins/freeze; } \
	  > _build/pins/constraints.txt
	mv _build/pins/constraints.txt constraints.txt
	rm -rf _build/pins

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis tests/book/node_modules
	find fnequiv tests benchmarks book -name __pycache__ -type d -prune -exec rm -rf {} +
