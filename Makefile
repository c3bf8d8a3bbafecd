# `make` alone lists the targets. Everything is made in .venv and var (SEQUITUR_HOME).

SHELL := /bin/bash
.DEFAULT_GOAL := help

HOME_FOLDER := $(or $(SEQUITUR_HOME),var)
PYTHON := .venv/bin/python
# Its name holds a hash of the requirements, so a changed pin installs again and an unchanged one costs nothing.
READY := .venv/ready-$(shell cat requirements.txt requirements-dev.txt | cksum | cut -d' ' -f1)
PORT ?= 8000
CONSOLE_PORT ?= 8001
PORTS := --port $(PORT) --console-port $(CONSOLE_PORT)
DEMO_LOG := $(HOME_FOLDER)/demo.log
# Where this is set every process compiles the whole project again, a second of its start.
export PYTHONDONTWRITEBYTECODE :=
# Two more than there are cores, since many tests wait for a worker or a browser.
TEST_PROCESSES := $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 2 ? 3 : 4)))
# Compiled when they are first used; all else at once by all cores, which pip would do on one.
SELDOM := /tests?/|/transformers/models/

.PHONY: help setup demo run up stop test lint format bench bench-full clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(READY) ## virtual environment with the pinned dependencies

$(READY):
	@set -e; base=; \
	for candidate in $(or $(BASE_PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then base=$$candidate; break; fi; \
	done; \
	if [ -z "$$base" ]; then echo "Sequitur needs Python 3.11 or newer; install it, or set BASE_PYTHON to its path." >&2; exit 1; fi; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  echo "Making .venv with $$($$base --version)"; \
	  $$base -m venv --clear .venv || { rm -rf .venv; echo "'$$base -m venv' failed; on Debian and Ubuntu install python3-venv." >&2; exit 1; }; \
	fi; \
	$(PYTHON) -m pip install --disable-pip-version-check --no-compile -r requirements-dev.txt; \
	$(PYTHON) -m compileall -q -j 0 -x '$(SELDOM)' "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null || true; \
	rm -f .venv/ready-*; touch $@

# Extra words for the demo go into DEMO, such as DEMO="--small".
demo: setup ## demo tenants, trained models and the whole suite; DETACH=1 returns when it is up
ifdef DETACH
	@mkdir -p $(HOME_FOLDER); : > $(DEMO_LOG); \
	nohup $(PYTHON) manage.py demo $(PORTS) $(DEMO) > $(DEMO_LOG) 2>&1 < /dev/null & pid=$$!; \
	echo "Starting in the background; progress is in $(DEMO_LOG)"; \
	until grep -q '^Sequitur is ready' $(DEMO_LOG); do \
	  if ! kill -0 $$pid 2>/dev/null; then tail -n 40 $(DEMO_LOG) >&2; exit 1; fi; \
	  sleep 1; \
	done; sed -n '/^Sequitur is ready/,$$p' $(DEMO_LOG); echo "'make stop' ends it."
else
	@$(PYTHON) manage.py demo $(PORTS) $(DEMO)
endif

up: setup ## the whole suite in the foreground, without the demo's data
	@$(PYTHON) manage.py up $(PORTS)

run: up ## the same as up

stop: setup ## ends a running suite and the embedded servers
	@$(PYTHON) manage.py stop

test: export OMP_NUM_THREADS := 1
test: setup ## the whole test suite; one part of it: make test TESTS=tests/ml
	@$(PYTHON) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: setup ## formatting, lint, types, import layers
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	PYTHONPATH=platform:. $(PYTHON) -m mypy ml platform apps
	PYTHONPATH=platform:. $(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: setup ## rewrites the code in the house's format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench: setup ## figures that fit ten minutes, into docs/benchmarks.json
	@$(PYTHON) -m tests.benchmarks

bench-full: setup ## all figures; SEQUITUR_DATA names the folder of public data sets
	@$(PYTHON) -m tests.benchmarks --full

clean: ## removes .venv and caches; keeps the data in var
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
