# Every command of the study. `make` alone lists them.
# Needs Python 3.11 or newer, git and make; everything else is installed into .venv from requirements.lock.

SHELL   := /bin/sh
PYTHON  ?= python3
VENV    := .venv
# An activated conda environment made from environment.yml is used as it is.
ifeq ($(CONDA_DEFAULT_ENV),detainer-policy-study)
  BIN   := $(CONDA_PREFIX)/bin
  READY := .make/conda-ready
else
  BIN   := $(VENV)/bin
  READY := $(VENV)/ready
endif
RUN     := $(BIN)/python
# Two workers on two cores: numeric libraries must not start threads of their own on top.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help reproduce test test-slow lint format fetch verify lab bench env lock clean

help:  ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

reproduce: $(READY)  ## Rebuild the whole study: panel, estimates, figures, tables, notebooks, paper
	@$(RUN) -m analysis reproduce

test: lint  ## Check style and types, then run every test and every documented example
	@$(THREADS) $(RUN) -m pytest -n 2 --dist loadfile --doctest-modules analysis tests -m "not slow"

test-slow: $(READY)  ## Run the Monte Carlo checks whose results tables are committed
	@$(THREADS) $(RUN) -m pytest -m slow

lint: $(READY)  ## Check style (ruff) and types (mypy)
	@$(BIN)/ruff check analysis tests
	@$(BIN)/ruff format --check analysis tests
	@$(BIN)/mypy

format: $(READY)  ## Format the code
	@$(BIN)/ruff check --fix analysis tests
	@$(BIN)/ruff format analysis tests

fetch: $(READY)  ## Download the raw files that are missing, checking every hash
	@$(RUN) -m analysis fetch

verify: $(READY)  ## Check environment, raw files, codebook, outputs and claims
	@$(RUN) -m analysis verify

lab: $(READY)  ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks

bench: $(READY)  ## Measure how long the main steps take
	@$(THREADS) $(RUN) -m tests.benchmarks

env: $(READY)  ## Make the environment and nothing else

# uv, where it is present, installs the same lock faster; the result is the same.
$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version 2>&1); expected Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "Making the environment in $(VENV) from requirements.lock (once; a minute or two) ..."
	@rm -f $@
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
	   uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	   uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	 else \
	   $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	   $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	 fi
	@touch $@

.make/conda-ready: requirements.lock pyproject.toml
	@mkdir -p .make
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

lock:  ## Resolve pyproject.toml anew into requirements.lock (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:  ## Remove what was built (raw files and the environment stay)
	@rm -rf data/tidy data/panel simulated build .make .mypy_cache .ruff_cache .pytest_cache
