# The two commands: make demo · make test. Each sets up what it needs in .venv, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow lint format redis docker bench hosts conformance chaos docs clean constraints

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints/all.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.x" >&2; exit 2; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints/all.txt --editable '.[lint]'
	@touch $@

demo: $(STAMP)  ## the example autoscaler, a burst, default hooks and then ours
	@$(BIN)/python examples/demo.py $(ARGS)

test: $(STAMP)  ## the tests
	@$(BIN)/python -m pytest -q -m 'not slow' $(ARGS)

test-slow: $(STAMP)  ## the slow tests
	@$(BIN)/python -m pytest -q -m 'slow and not docker' $(ARGS)

lint: $(STAMP)  ## ruff, format, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=examples $(BIN)/lint-imports

format: $(STAMP)  ## rewrite the sources in the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

conformance: $(STAMP)  ## the official Go client against the simulator and against ours (needs Go)
	@$(BIN)/python -m tests.conformance $(ARGS)

chaos: $(STAMP)  ## faults, kills and limits against the simulator
	@$(BIN)/python -m tests.chaos $(ARGS)

redis: $(STAMP)  ## a Redis for the tests, if the machine has none
	@$(BIN)/python -m tests.kit.redis_server

docker: $(STAMP)  ## the host that runs its runners in containers, on a Docker daemon of its own (needs root)
	@$(BIN)/python -m tests.kit.docker_daemon
	@$(BIN)/python -m pytest -q -m docker tests/e2e $(ARGS)

bench: $(STAMP)  ## the burst against its peers and the physical limit
	@$(BIN)/python -m benchmarks $(ARGS)

hosts: $(STAMP)  ## an autoscaler that others wrote, with its own code and with the hooks (needs Python 3.13)
	@$(BIN)/python -m benchmarks.hosts $(ARGS)

docs: $(STAMP)  ## write the pages that are made from the settings
	@$(BIN)/python -m scaleset_burst.settings docs/reference
	@$(BIN)/python examples/schema.py

clean:  ## remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

constraints:  ## renew the pinned versions from what pyproject.toml allows
	@rm -rf .cache/pin && $(PYTHON) -m venv .cache/pin
	@.cache/pin/bin/python -m pip install --quiet '.[lint]'
	@.cache/pin/bin/python -m pip freeze --exclude scaleset-burst > constraints/all.txt
