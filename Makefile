# Every word a developer of tq needs. `make help` lists them.
#
# Only relative paths appear here, so that a checkout below "a path with spaces" works.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# How many processes run the tests: one file is for one of them, as its tests share servers.
JOBS ?= 3

BIN := $(VENV)/bin
PY := $(BIN)/python
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
RECIPE_OF_VENV := pyproject.toml VERSION requirements-dev.txt scripts/environment.py $(PLUGINS:=/pyproject.toml)

# `make bench -- --late` hands make the goals "bench --late": what follows bench is the benchmark's, not make's.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
BENCH_WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
ifneq (,$(BENCH_WORDS))
.PHONY: $(BENCH_WORDS)
$(eval $(BENCH_WORDS):;@:)
endif
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The checks of `make test` run in their order, also under `make -j`.
.NOTPARALLEL:
.PHONY: help venv dev demo test lint types imports unit coverage bench docs faults soak stand-ins services format dist clean

help:  ## list these words
	@echo "make WORD [PYTHON=python3.12] [VENV=.venv-3.12] [ARGS=\"…\"]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

venv: $(VENV)/.installed  ## make .venv with the core and all plugins of this checkout

dev: $(VENV)/.installed-dev  ## the same, with all tools of development

demo: $(VENV)/.installed  ## run `tq demo`: a producer, a worker and results, with nothing to set up
	@"$(BIN)/tq" demo $(ARGS)

test: lint types imports unit  ## everything CI checks: lint, types, imports, unit

lint: dev  ## ruff: rules and formatting
	@"$(PY)" -m ruff check .
	@"$(PY)" -m ruff format --check .

types: dev  ## mypy, strict
	@"$(PY)" -m mypy

imports: dev  ## import-linter: nothing imports upward
	@"$(BIN)/lint-imports"

unit: dev  ## every test (ARGS="tests/config -k yaml" for some, JOBS=0 for one after the other)
	@"$(PY)" -m pytest -n $(JOBS) --dist loadfile $(ARGS)

coverage: dev  ## every test, with line and branch coverage
	@"$(PY)" -m pytest --cov --cov-report=term:skip-covered $(ARGS)

bench: dev  ## measure (`make bench ARGS="…"`, or `make bench -- --late`)
	@"$(PY)" -m tests.benchmarks $(BENCH_WORDS) $(ARGS)

docs: dev  ## write the generated reference pages again and check every link
	@mkdir -p docs/reference
	@"$(PY)" -m tq_core.config.reference > docs/reference/configuration.md.new
	@mv docs/reference/configuration.md.new docs/reference/configuration.md
	@"$(PY)" -m tq_core.cli.reference
	@"$(PY)" scripts/api_reference.py
	@"$(PY)" -m tq_kombu.reference docs/brokers-kombu.md
	@"$(PY)" -m tests.faults.tables
	@"$(PY)" -m tests.interop.tables
	@"$(PY)" scripts/check_links.py

faults: dev  ## inject faults and judge what became of the tasks (ARGS="--runs 10 --only a,b")
	@"$(PY)" -m tests.faults $(ARGS)

soak: dev  ## 100,000 tasks in a minute while a node is killed every 5 s
	@"$(PY)" -m tests.faults --only n $(ARGS)

stand-ins: dev  ## the conformance kit over kombu's SQS and MongoDB, on programs that stand in for them
	@"$(PY)" -m pytest -m stand_in -n $(JOBS) $(ARGS)

services: dev  ## show which servers that tests can use are running
	@"$(PY)" -m tests.services

format: dev  ## let ruff mend and format the code
	@"$(PY)" -m ruff check --fix .
	@"$(PY)" -m ruff format .

dist: dev  ## build sdist and wheel of every distribution into dist/
	@rm -rf dist
	@set -e; for project in . $(PLUGINS); do "$(PY)" -m build --no-isolation --outdir dist "$$project"; done
	@ls dist

clean:  ## remove .venv and all that is built or cached in this checkout
	rm -rf "$(VENV)" dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f .coverage .coverage.* coverage.xml

$(VENV)/.installed: $(RECIPE_OF_VENV)
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "make: there is no '$(PYTHON)' here. Install Python 3.10 or newer, or name yours: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: tq needs Python 3.10 or newer, and '$(PYTHON)' is `"$(PYTHON)" -V 2>&1`." \
	    "Name a newer one: make PYTHON=python3.11" >&2; \
	  exit 1; }
	@"$(PYTHON)" scripts/environment.py runtime "$(VENV)"
	@touch "$@"

$(VENV)/.installed-dev: $(VENV)/.installed
	@"$(PYTHON)" scripts/environment.py dev "$(VENV)"
	@touch "$@"
