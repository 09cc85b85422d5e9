# The two commands of a fresh clone are `make demo` and `make test`; each sets everything up first.
BIN := .venv/bin
ARGS ?=
JOBS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-asterisk soak check format bench bench-pacing lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## leave .venv/bin/dialer, with the locked dependencies (PYTHON=... names the interpreter)
	@PYTHON="$(PYTHON)" sh configs/setup.sh

demo: setup ## run a sample campaign against the simulated PBX (ARGS="--agents 10 --speed 5")
	$(BIN)/dialer demo $(ARGS)

test: export PYTHONDONTWRITEBYTECODE =# empty: the many processes of the tests need not compile everything anew
test: setup ## pass the tests (ARGS="tests/rules -k windows" JOBS=2)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not soak and not browser" --reruns 1 -r R $(ARGS)

test-asterisk: setup ## a thousand SIP calls through a real Asterisk, which is installed into a folder (Debian; PBX_HOME=...)
	DIALER_ASTERISK=long $(BIN)/python -m pytest -s tests/asterisk $(ARGS)

soak: setup ## the long runs that `make test` leaves out
	$(BIN)/python -m pytest -m soak $(ARGS)

check: setup ## formatting, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the sources into the one format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup ## measure, and print what benchmarks/ keeps (ARGS=name of one)
	@set -e; for file in benchmarks/$(or $(ARGS),[a-z]*).py; do echo "== $$file"; $(BIN)/python "$$file"; done

bench-pacing: setup ## pace every team and day beside others, for hours (ARGS="--only table --agents 3,5", "--short")
	$(BIN)/python benchmarks/pacing/run.py $(ARGS)

lock: ## resolve the newest allowed dependencies into requirements.lock (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on the path" >&2; exit 1; }
	uv pip compile $(LOCK) --extra dev pyproject.toml -o requirements.lock
	uv pip compile $(LOCK) -c requirements.lock configs/build.in -o configs/build.lock

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

clean: ## remove the environment and every cache; data folders stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
