# Everything a newcomer needs; each target sets itself up in .venv and is quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The CPU build of PyTorch where its index can be reached, else whatever the default index offers.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# A sourced ROS 2 would slip its own Python packages in before those of the virtual environment.
unexport PYTHONPATH AMENT_PREFIX_PATH LD_LIBRARY_PATH

# How long ``make soak`` lasts.
MINUTES ?= 10

.PHONY: demo test test-all soak lint site clean help

help:
	@echo "make demo      segment the shipped recording in a live ROS 2 graph; results in demo_output/"
	@echo "make test      run the tests"
	@echo "make test-all  run the tests, slow ones too"
	@echo "make soak      trouble a live node for 10 minutes (MINUTES=60: an hour), fails on any leak"
	@echo "make lint      ruff and mypy"
	@echo "make site      build the documentation site in site/, every warning an error"
	@echo "make clean     remove .venv and caches"

demo: $(VENV)/.ready-demo
	$(BIN)/ssma demo $(ARGS)

# Two runs on two cores: what computes, then what talks over a graph or keeps time.
WORKERS ?= 2

test: $(VENV)/.ready-dev
	$(BIN)/python test/run.py --workers $(WORKERS) -m "not slow" $(ARGS)

test-all: $(VENV)/.ready-dev
	$(BIN)/python test/run.py --workers $(WORKERS) $(ARGS)

soak: $(VENV)/.ready-dev
	$(BIN)/python test/ros/soak.py --minutes $(MINUTES) $(ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# Sphinx writes a page for each module beside the sources; they are made anew each time.
site: $(VENV)/.ready-dev
	rm -rf site docs/reference/modules
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site

clean:
	rm -rf $(VENV) build dist site docs/reference/modules *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else f"make: {sys.executable} is Python {v[0]}.{v[1]}, expected 3.10 to 3.12 (the ROS 2 wheels need it); try: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "make: venv is missing; on Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.ready-demo: setup.py | $(BIN)/python
	@echo "Installing the package with ROS 2 and CPU inference (a few hundred MB, once) ..."
	$(PIP) install --quiet --editable ".[ros,cpu,demo]"
	@touch $@

$(VENV)/.ready-dev: setup.py | $(BIN)/python
	@echo "Installing the package with everything for tests (PyTorch too, once) ..."
	$(PIP) install --quiet --retries 0 --extra-index-url $(TORCH_INDEX) "$(TORCH)"
	$(PIP) install --quiet --retries 0 --extra-index-url $(TORCH_INDEX) --editable ".[dev]" "$(TORCH)"
	@touch $@ $(VENV)/.ready-demo
