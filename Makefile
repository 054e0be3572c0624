# Everything a newcomer types. `make` alone explains the targets; each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check e2e conformance bench format openapi crds lock clean

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(READY) ## a mesh of three services on this machine, until Ctrl-C; other ports: DEMO_ARGS="--page-port 9090"
	$(BIN)/kumactl demo $(DEMO_ARGS)

test: $(DEV) ## static checks and all tests but the end-to-end ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -rs -m "not e2e" $(TEST_ARGS)

check: test e2e ## test and e2e

e2e: $(DEV) ## tests with real control planes, agents and Envoys
	$(BIN)/python -m pytest -rs -m e2e $(TEST_ARGS)

conformance: $(DEV) ## the conformance corpus (KUMA_CORPUS, default ../shared/corpus)
	$(BIN)/python -m tests.conformance $(CONFORMANCE_ARGS)

bench: $(DEV) ## benchmarks; results are kept in bench/RESULTS.md
	$(BIN)/python -m bench $(BENCH_ARGS)

format: $(DEV) ## formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(DEV) ## writes docs/openapi.json again
	$(BIN)/python -m tests.kit.openapi

crds: $(DEV) ## writes deploy/crds again
	$(BIN)/python -m tests.kit.crds

lock: $(DEV) ## pins the dependencies of pyproject.toml again
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url pyproject.toml --extra build --extra postgres -o requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url pyproject.toml --extra build --extra postgres --extra dev -o requirements-dev.lock

clean: ## removes the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
