# `make demo` and `make test` each work alone on a fresh clone: they make .venv, install what they need, and do their job.

SHELL := bash
MAKEFLAGS += --keep-going --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PYTHON ?= python3
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))
NEWS := (Downloading|Using cached) [^ ]+ \([0-9]{2,}(\.[0-9]+)? MB\)|Installing collected packages|Building editable for edgeseg

# Where the environment forbids bytecode files, every process would compile all that it imports anew: twice the tests' time.
export PYTHONDONTWRITEBYTECODE :=

.NOTPARALLEL:
.PHONY: help demo test lint style imports types tests wheel docs clean

help:
	@echo "make demo    the whole job on a synthetic site, into ./demo-site"
	@echo "make test    style, import borders, types and tests"
	@echo "make lint    the same without the tests"
	@echo "make wheel   the one file that a device installs, into dist"
	@echo "make docs    the documentation as a site, into docs/_build"
	@echo "make clean   remove what these commands made"

demo: $(VENV)/.installed-all
	@$(BIN)/edgeseg demo demo-site

test: lint tests

lint: style imports types

style: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

imports: $(VENV)/.installed-dev
	@$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

tests: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist worksteal

# What an earlier build left would be packed as well.
wheel:
	@rm -rf build dist/edgeseg-*.whl
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@rm -rf build
	@echo "made $$(ls dist/edgeseg-*.whl); on the device: pip install \"./$$(basename dist/edgeseg-*.whl)[device]\""

# The reference of settings and commands from the code, then the site; offline, and a warning (a
# broken link, a page that no other leads to) is an error.
docs: $(VENV)/.installed-dev
	@$(BIN)/python docs/generate.py
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build
	@echo "built; open docs/_build/index.html"

clean:
	rm -rf $(VENV) demo-site docs/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# `.installing` stands while an install runs; one that was killed leaves it behind, and the next call starts afresh.
# Packages are compiled when they are first imported, because compiling all of torch takes longer than the tests do.
define install
	@set -euo pipefail; \
	if [ -e $(VENV)/.installing ]; then echo "an earlier install did not finish; starting afresh"; rm -rf $(VENV); fi; \
	python=; \
	for name in $(PYTHON) python3.13 python3.12 python3.11 python3.10; do \
		if "$$name" -c "$(SUITABLE)" >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "no Python 3.10 or newer with its venv module found; install one, or name it: make $@ PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	mkdir -p $(VENV); touch $(VENV)/.installing; \
	if [ ! -x $(BIN)/pip ]; then echo "making $(VENV) with $$("$$python" --version)"; "$$python" -m venv $(VENV); fi; \
	echo "installing edgeseg[$(1)] into $(VENV), once: several minutes and gigabytes"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=22.3"; \
	$(BIN)/python -m pip install --no-input --no-compile --disable-pip-version-check --progress-bar off -e ".[$(1)]" \
		| { grep --line-buffered -oE "$(NEWS)" || true; }; \
	echo "installed in $$SECONDS s"; \
	touch $(2); rm $(VENV)/.installing
endef

$(VENV)/.installed-all: pyproject.toml
	$(call install,all,$@)

# dev holds all: its stamp serves the demo too.
$(VENV)/.installed-dev: pyproject.toml
	$(call install,dev,$@ $(VENV)/.installed-all)
