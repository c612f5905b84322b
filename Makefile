# `make dev` runs paysaga, `make test` proves it. Each does all set-up by itself.
PYTHON ?= python3
BIN := .venv/bin
# Parallel test processes; each starts servers of its own.
JOBS ?= 5
# Python compiles what it imports once, not in each process: a worker starts in a third of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install dev demo test test-benchmarks check format lock clean

help: ## show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

install: .venv/.installed ## make .venv from requirements.lock (every file checked by its hash)

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "paysaga needs Python >= 3.11; say which: make PYTHON=/path/to/python3.11 ...")'
	@echo "Installing into .venv (about 650 MB, PostgreSQL and Temporal included) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || { awk '/^[^ ]/ {on = /^uv==/} on' requirements.lock > .venv/uv.lock.txt \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock.txt; }
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

dev: install ## run everything: PostgreSQL, Temporal and its Web UI, processor, worker, API (ARGS="--api-port 8080")
	@exec $(BIN)/paysaga dev $(ARGS)

demo: install ## show the promise being kept, step by step, in about a minute
	@exec $(BIN)/paysaga demo $(ARGS)

test: install ## run the tests against real servers, which they start and stop (ARGS="-k name")
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-benchmarks: install ## run the benchmarks with few payments, see that they notice what is wrong, and the tests of many requests
	@$(BIN)/python -m pytest -n 2 -m benchmarks $(ARGS)

check: install ## lint, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright

format: install ## let the linter mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: install ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --all-extras --no-header --no-annotate \
	  --python-version 3.11 $(ARGS) --output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches (payments in .paysaga stay)
	@rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache
