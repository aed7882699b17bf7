# Every target makes the environment that it needs in .venv, with plain venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint train bench screenshots clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.runtime
	$(PIP) -e '.[train,dev]'
	@touch $@

demo: $(VENV)/.runtime  ## correct three cryomodules of a soft machine over Channel Access
	$(BIN)/beamctl demo

lint: $(VENV)/.dev  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## everything but the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(TESTS)

test-all: lint  ## every test, the slow ones too
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

train: $(VENV)/.dev  ## train the default agent anew, into var/agents
	$(BIN)/beamctl train cm1-orbit --preset fast --seed 0 --out var/agents/cafe2-orbit

bench: $(VENV)/.dev  ## figures and ratios; not part of the tests
	$(BIN)/python -m tests.bench

screenshots: $(VENV)/.dev  ## pictures of every view of the console, from a soft machine, into var/screenshots and docs/images/console
	$(BIN)/python -m tests.screenshots

clean:  ## remove what the other targets made
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
