# Two commands need nothing but Python 3.11 or newer with pip: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Everything is pinned in constraints.txt, so pip has nothing to search for.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: all demo test lint types tests docs bench faults fuzz clean
all: test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) --editable ".[test,train]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/dolma-kit demo demo/

test: lint types tests

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

tests: $(VENV)/installed-test
	$(BIN)/python -m pytest

docs: $(VENV)/installed
	$(BIN)/python -m dolma_kit.cli.reference
	$(BIN)/python -m dolma_kit.cli.catalogue

bench: $(VENV)/installed-test
	$(BIN)/python benchmarks/chain.py
	$(BIN)/python benchmarks/engine.py

faults: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.faults --kills 200

# Needs DOLMA_KIT_DATA; takes some minutes.
fuzz: $(VENV)/installed-test
	$(BIN)/python -m tests.tokens.equal_ids $(DOLMA_KIT_DATA)

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
