# The commands of this project; `make` alone lists them. Works with GNU make 3.81 (macOS) and later.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help poc headline test lab app course bench bench-gpu words clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

poc: $(CORE) ## train a network dense and in Tucker format, side by side (ARGS="--dataset cifar10")
	$(BIN)/tuckerlab poc $(ARGS)

headline: $(CORE) ## VGG16 on CIFAR-10, dense and at several sizes, 3 seeds: for a GPU (ARGS="--minutes 10")
	$(BIN)/tuckerlab headline $(ARGS)

# One thread a test process: several processes that each use every core only get into each other's way.
test: $(READY) ## lint, types, tests and the examples in the docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ARGS)

lab: $(READY) ## open the course in JupyterLab
	$(BIN)/tuckerlab lab $(ARGS)

app: $(READY) ## open the course as an app: sliders and pictures, no code
	$(BIN)/tuckerlab app $(ARGS)

course: $(READY) ## execute the course and write it as web pages to be mailed (ARGS="--html PATH")
	$(BIN)/tuckerlab course $(ARGS)

bench: $(READY) ## measure speed and memory on this machine
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-gpu: $(READY) ## the same for a GPU: batches of 512 and 1024, bf16, time to accuracy, where a step's time goes
	$(BIN)/python benchmarks/run.py --device cuda --batch 512 1024 --repeats 30 --race --out runs/bench-gpu.parquet $(ARGS)

words: $(READY) ## bring the catalogues of other languages up to date with the sentences in the code
	mkdir -p build
	$(BIN)/pybabel -q extract -F pyproject.toml --no-location --no-default-keywords -k _ -k N_ -k ngettext:1,2 -o build/tuckerlab.pot tuckerlab
	$(BIN)/pybabel -q update -i build/tuckerlab.pot -d tuckerlab/locale -D tuckerlab --no-fuzzy-matching --ignore-obsolete

clean: ## remove the environment and all caches (runs/ stays)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find tuckerlab tests notebooks benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Each stamp is newer than the files that say what to install, or the environment is brought up to date: what `poc` needs
# first, everything else where it is first asked for.
$(CORE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is %d.%d: make PYTHON=/path/to/python3 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable .
	@touch $@

$(READY): $(CORE)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[notebooks,experiments,deploy,brief,test,dev]'
	@touch $@
