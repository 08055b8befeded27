# The two commands: make demo · make test. Each sets up what it needs in .venv, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=
PYTEST = $(BIN)/python -m pytest -q --dist load --maxschedchunk 2
# Other Pythons are found by name on PATH, and among those that pyenv keeps.
TOX = PATH="$$PATH:$$(printf '%s:' "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin)" $(CURDIR)/$(BIN)/tox run --colored no
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start some 350 programs: each would compile all that it imports, a third of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow test-all test-lowest package lint workflows format docker bench browser hosts emulator conformance \
  chaos docs monitoring clean constraints

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints/all.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.x" >&2; exit 2; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints/all.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## the example autoscaler, a burst, default hooks and then ours
	@$(BIN)/python examples/demo.py $(ARGS)

# What compares moments of several hosts has a process of its own, which goes before all others. Of the others there
# are more than cores, since what starts programs mostly waits for them.
ALONE := .cache/alone.txt
COMPILED := $(VENV)/.compiled
$(COMPILED): $(STAMP)  # by one instead of by each
	@$(BIN)/python -m pytest -q --collect-only >/dev/null && touch $@

test: $(COMPILED)  ## the tests
ifeq ($(ARGS),)
	@mkdir -p $(dir $(ALONE)); $(BIN)/python -m pytest -q -m 'alone and not slow' tests/e2e >$(ALONE) 2>&1 & alone=$$!; \
	  nice -n 5 $(PYTEST) -n 5 -m 'not slow and not alone'; status=$$?; wait $$alone || status=$$?; cat $(ALONE); exit $$status
else
	@$(PYTEST) -n 2 -m 'not slow' $(ARGS)
endif

test-slow: $(STAMP)  ## the slow tests
	@$(BIN)/python -m pytest -q -m 'slow and not docker and not monitoring and not browser' $(ARGS)

test-all: $(STAMP)  ## the tests on each CPython from 3.11 to 3.14 that is here
	@$(TOX) -- $(ARGS)

test-lowest: $(STAMP)  ## the tests with the lowest versions that pyproject.toml allows
	@$(TOX) -e lowest -- $(ARGS)

package: $(STAMP)  ## sdist and wheel in dist/, checked; the sdist's own tests, with the wheel installed
	@rm -rf dist .cache/sdist && mkdir -p .cache/sdist
	@$(TOX) -e package
	@tar -xzf dist/*.tar.gz -C .cache/sdist --strip-components 1
	@cd .cache/sdist && $(TOX) -e py --installpkg $(CURDIR)/dist/*.whl -- $(ARGS)

lint: $(STAMP)  ## ruff, format, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=examples $(BIN)/lint-imports

workflows: $(STAMP)  ## actionlint (needs Go) and zizmor on .github
	@if command -v go >/dev/null; then go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; \
	  else echo "skipped: actionlint needs Go"; fi
	@$(TOX) -e workflows

format: $(STAMP)  ## rewrite the sources in the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

EMULATOR := .cache/conformance/rust
emulator:  ## the service's emulator in the published Rust crate, for `make conformance` (needs cargo; minutes, once)
	@test -x $(EMULATOR)/bin/scaleset-emulator || ! command -v cargo >/dev/null || cargo install --quiet --locked \
	  --version 0.1.0 --no-default-features --features testing --bin scaleset-emulator --root $(EMULATOR) \
	  --target-dir $(EMULATOR)/target scaleset || echo "the emulator does not build; its scenarios are skipped"

conformance: $(STAMP) emulator  ## the official Go client and ours, the simulator and others' emulator (needs Go, cargo)
	@$(BIN)/python -m tests.conformance $(ARGS)

chaos: $(STAMP)  ## faults, kills and limits against the simulator
	@$(BIN)/python -m tests.chaos $(ARGS)

docker: $(STAMP)  ## runners in containers; the host as an image and as a service (needs root)
	@$(BIN)/python -m tests.kit.docker_daemon
	@$(BIN)/python -m pytest -q -m docker tests/e2e $(ARGS)

monitoring: $(STAMP)  ## dashboard and alert rules against a real Prometheus (installs Debian's package, as root)
	@command -v prometheus promtool >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends prometheus >/dev/null; } || true
	@$(BIN)/python -m pytest -q -m monitoring tests/monitoring $(ARGS)

browser: $(STAMP)  ## our pages in a headless Chromium (installs Debian's package, as root); pictures in build/screens
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } || true
	@$(TOX) -e browser -- $(ARGS)

bench: $(STAMP)  ## the burst against its peers and the physical limit
	@$(BIN)/python -m benchmarks $(ARGS)

hosts: $(STAMP)  ## an autoscaler that others wrote, with its own code and with the hooks (needs Python 3.13)
	@$(BIN)/python -m benchmarks.hosts $(ARGS)

docs: $(STAMP)  ## the pages made from the settings, and the site in build/site; ARGS=serve shows it on loopback
	@$(BIN)/python -m scaleset_burst.settings docs/reference
	@$(BIN)/python examples/schema.py
	@$(TOX) -e docs -- $(or $(ARGS),build --strict)

clean:  ## remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

constraints:  ## renew the pinned versions from what pyproject.toml allows
	@rm -rf .cache/pin && $(PYTHON) -m venv .cache/pin
	@.cache/pin/bin/python -m pip install --quiet --upgrade pip
	@.cache/pin/bin/python -m pip install --quiet '.[dev]' $(patsubst %,--group %,browser docs package versions workflows)
	@.cache/pin/bin/python -m pip freeze --exclude scaleset-burst > constraints/all.txt
	@.cache/pin/bin/uv pip compile --quiet --no-annotate --no-header --resolution lowest-direct --extra test \
	  --python-version 3.11 pyproject.toml > constraints/lowest.txt
