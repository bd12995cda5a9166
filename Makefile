# `make demo` and `make test` do all the set-up on a fresh machine with Python 3.11 or newer.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist loadfile

.PHONY: help
help:
	@echo "make demo        a bastion with sample databases, and the workstation, signed in"
	@echo "make demo-check  the demo's main job without a screen"
	@echo "make test        style, types, import rules and all tests but the slow ones"
	@echo "make test-slow   the slow tests"
	@echo "make lint        style, types and import rules"
	@echo "make bench       throughput beside OpenSSH's sshd, in a few minutes"
	@echo "make bench-all   every benchmark, in a quarter of an hour"
	@echo "make venv        the environment for work on the sources, in $(VENV)"
	@echo "make clean       removes what the targets made here; the demo's data and fetched servers stay"

$(BIN)/python:
	@set -e; \
	for candidate in python3.13 python3.12 python3.11 python3; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "Casemate needs Python 3.11 or newer, and none was found. On Debian: apt-get install python3 python3-venv" >&2; exit 1; fi; \
	if ! $$found -c 'import ensurepip' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get install -y -q python3-venv; \
	  else echo "$$found cannot make environments. On Debian: apt-get install python3-venv" >&2; exit 1; fi; \
	fi; \
	$$found -m venv $(VENV)

# The stamps keep pip out of the way of a second start.
$(VENV)/.demo-installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q -e '.[demo]'
	@touch $@

$(VENV)/.test-installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q -e '.[demo,test]'
	@touch $@ $(VENV)/.demo-installed

.PHONY: venv
venv: $(VENV)/.test-installed

.PHONY: demo demo-check
demo: $(VENV)/.demo-installed
	@$(BIN)/casemate demo

demo-check: $(VENV)/.demo-installed
	@$(BIN)/casemate demo --check

.PHONY: servers
servers:
	@tests/servers/prepare

.PHONY: lint
lint: $(VENV)/.test-installed
	@status=0; \
	for check in "ruff check ." "ruff format --check ." "mypy" "lint-imports"; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; \
	exit $$status

# The tests run also when `lint` found something, so that one run shows both; either fails the target.
.PHONY: test
test: $(VENV)/.test-installed servers
	@status=0; \
	$(MAKE) lint || { status=1; echo "make lint failed (above); the tests run all the same." >&2; }; \
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered || exit $$?; \
	exit $$status

.PHONY: test-slow
test-slow: $(VENV)/.test-installed servers
	$(PYTEST) -m slow

.PHONY: bench
bench: $(VENV)/.test-installed servers
	$(BIN)/python -m benchmarks.tunnel --seconds 3 --rounds 1 --bulk-rounds 1 --megabytes 200 --mysql-modes simple

.PHONY: bench-all
bench-all: $(VENV)/.test-installed servers
	$(BIN)/python -m benchmarks.all --full

.PHONY: clean
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* htmlcov snapshot_report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
