# The two commands for newcomers are `make demo` and `make test`. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers with one thread each: more threads than cores make torch slower, not faster.
WORKERS ?= 2

.PHONY: help demo test slow lint docs clean

help:
	@echo "make demo    install, render two clips to demo/ and segment them with the embedded model"
	@echo "make test    install what the tests need and run them"
	@echo "make slow    the tests that take minutes each"
	@echo "make lint    ruff and mypy"
	@echo "make docs    show the documentation as a site, on this machine"
	@echo "make clean   remove .venv, .venv-readers and demo/"

demo: install-demo
	@$(BIN)/python tools/demo.py demo

test: install-dev install-readers chromium
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

slow: install-dev install-readers chromium
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m slow

lint: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: install-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# Installs only where pyproject.toml is not the one that was installed last, so that nothing is asked of the
# network the second time. What the tests need includes what the demo needs.
.PHONY: install-demo install-dev
install-demo: $(BIN)/pip
	@cmp -s pyproject.toml $(VENV)/installed-dev.toml || cmp -s pyproject.toml $(VENV)/installed-demo.toml || { \
	    echo "Installing into $(VENV) (once; torch is large)..." && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]" && \
	    cp pyproject.toml $(VENV)/installed-demo.toml; }

install-dev: $(BIN)/pip
	@cmp -s pyproject.toml $(VENV)/installed-dev.toml || { \
	    echo "Installing into $(VENV) (once; torch is large)..." && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" && \
	    cp pyproject.toml $(VENV)/installed-dev.toml; }

# A reader of other tools' datasets, for the tests. It wants older versions of what is in .venv, and another build of
# OpenCV in the same place, so it has an environment of its own.
.PHONY: install-readers
install-readers: $(BIN)/pip
	@test -e .venv-readers/installed || { \
	    echo "Installing datumaro into .venv-readers (once)..." && \
	    $(PYTHON) -m venv .venv-readers && \
	    .venv-readers/bin/python -m pip install --quiet --disable-pip-version-check "datumaro>=1.10" && \
	    touch .venv-readers/installed; } || \
	    { rm -rf .venv-readers; echo "datumaro could not be installed; the tests that read with it are skipped." >&2; }

# The browser of the web page's tests, where this may be done without asking; elsewhere they are skipped, and say so.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	    echo "Installing Chromium for the web page's tests..." && \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) \
	        >/dev/null 2>&1 || echo "Chromium could not be installed; the web page's tests are skipped."; }

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "sgmg needs Python 3.10 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "No virtual environment could be made (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }

clean:
	rm -rf $(VENV) .venv-readers demo
