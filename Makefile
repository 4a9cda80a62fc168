# One command each: demo, test, soak, test-light, lint, fmt, bench, figures. `make help` lists them.
PYTHON ?= python3
VENV := .venv
LIGHT := .venv-light
BIN := $(VENV)/bin
# `make demo TORCH=cpu` fetches the CPU build of torch: 0.3 GB instead of 3 GB on Linux.
TORCH_INDEX := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
# Same figures everywhere: libgomp would otherwise spin on a busy machine.
export OMP_WAIT_POLICY = PASSIVE
# As with users: modules are compiled once, not at every start of hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test soak test-light lint fmt bench bench-models bench-engine bench-time bench-reliability bench-memory figures wheel clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## probe, recommend, train on built-in digits, evaluate, predict
	@$(BIN)/python benchmarks/demo.py

test: $(VENV)/.installed-dev ## the whole test suite
	$(BIN)/python -m pytest -n 3 --dist loadgroup

soak: $(VENV)/.installed-dev ## 20 deaths a run, 10,000 damaged inputs a reader, by coverage too
	@$(BIN)/python -m pip install --quiet --only-binary atheris -c constraints.txt -e '.[fuzz]' 2>/dev/null || true
	$(BIN)/python tests/soak.py

test-light: $(LIGHT)/.installed ## commands and screens in an environment without torch
	$(LIGHT)/bin/python -m pytest -n 3 --dist loadgroup

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

bench-models: $(VENV)/.installed-dev ## models beside the official ones; ONLY=vin measures a part
	$(BIN)/python benchmarks/models.py $(if $(ONLY),--only $(ONLY))

bench-engine: $(VENV)/.installed-dev ## accuracy and speed of training beside others; DATA=folder of CIFAR-10
	$(if $(DATA),,$(error name a folder with CIFAR-10 as train/CLASS/*.jpg and test/CLASS/*.jpg: DATA=folder))
	$(BIN)/python benchmarks/engine.py $(DATA) $(if $(ONLY),--only $(ONLY))

bench-time: $(VENV)/.installed-dev ## predicted seconds of a step beside measured ones
	$(BIN)/python benchmarks/step_time.py $(if $(ONLY),--only $(ONLY))

bench-reliability: $(VENV)/.installed-dev ## what vixtui does in some thirty bad situations
	$(BIN)/python benchmarks/reliability.py

bench-memory: $(VENV)/.installed-dev ## predicted memory beside torch's CUDA allocator, without a GPU
	$(BIN)/python benchmarks/memory.py

figures: $(VENV)/.installed ## trace the memory of every preset again
	$(BIN)/python -m vixtui.memory.generate --write

wheel: $(VENV)/.installed-dev ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove everything that make made
	rm -rf $(VENV) $(LIGHT) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: python
python:
	$(if $(shell $(PYTHON) -c 'import sys; print("new" if sys.version_info >= (3, 11) else "")' 2>&1 | grep new),,$(error vixtui needs Python 3.11 or newer, and $(PYTHON) is older or missing: try make PYTHON=python3.12))

$(VENV)/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) -c constraints.txt -e '.[test,references,dev]'
	@touch $(VENV)/.installed $@

$(LIGHT)/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*(d for d in p["dependencies"] + p["optional-dependencies"]["test"] if not d.startswith("torch")), sep="\n")' > $(LIGHT)/requirements.txt
	$(LIGHT)/bin/python -m pip install --quiet -c constraints.txt -r $(LIGHT)/requirements.txt
	$(LIGHT)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@
