# One command each: demo, test, test-light, lint, fmt, bench, figures. `make help` lists them.
PYTHON ?= python3
VENV := .venv
LIGHT := .venv-light
BIN := $(VENV)/bin
MINIMUM := 3.11
# Same figures everywhere: libgomp would otherwise spin on a busy machine.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: help demo test test-light lint fmt bench figures wheel clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## probe, recommend, train on built-in digits, evaluate, predict
	@$(BIN)/python benchmarks/demo.py

test: $(VENV)/.installed-dev ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-light: $(LIGHT)/.installed ## the tests that need no torch, in an environment without it
	$(LIGHT)/bin/python -m pytest

lint: $(VENV)/.installed-dev ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.installed-dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## start-up, speed beside a busy process; DATA=folder adds accuracy
	$(BIN)/python benchmarks/run.py $(if $(DATA),--data $(DATA))

figures: $(VENV)/.installed ## trace the memory of every preset again
	$(BIN)/python -m vixtui.memory.trace --write

wheel: $(VENV)/.installed-dev ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove everything that make made
	rm -rf $(VENV) $(LIGHT) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; ok = sys.version_info >= (3, 11); ok or print("vixtui needs Python $(MINIMUM) or newer, this is %d.%d: try make PYTHON=python3.12" % sys.version_info[:2]); sys.exit(not ok)'

$(VENV)/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,dev]'
	@touch $(VENV)/.installed $@

$(LIGHT)/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet -c constraints.txt \
	  safetensors pillow textual typer rich psutil nvidia-ml-py platformdirs tomli-w \
	  pytest pytest-asyncio pytest-xdist hypothesis pyte
	$(LIGHT)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@
