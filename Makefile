# The two commands for newcomers are `make demo` and `make test`. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers with one thread each: more threads than cores make torch slower, not faster.
WORKERS ?= 2

.PHONY: help demo test lint clean

help:
	@echo "make demo    install, render two clips to demo/ and segment them with the embedded model"
	@echo "make test    install what the tests need and run them"
	@echo "make lint    ruff and mypy"
	@echo "make clean   remove .venv and demo/"

demo: install-demo
	@$(BIN)/python tools/demo.py demo

test: install-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

lint: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

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

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "sgmg needs Python 3.10 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "No virtual environment could be made (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }

clean:
	rm -rf $(VENV) demo
