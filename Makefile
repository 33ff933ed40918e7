# The front door. Every target is a thin call; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ := $(VENV)/.fuzz
ARGS ?=
FAULT ?=
TARGET ?=
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test check bench faults fuzz mutants soak lock clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tidegate needs Python 3.11 or newer; call: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "the venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(FUZZ): requirements-fuzz.lock $(STAMP)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
	  --require-hashes -r requirements-fuzz.lock || echo "Atheris cannot be installed here" >&2
	@touch $@

demo: $(STAMP) ## simulated plant, broker, agent and live view; ARGS="--seconds 20"
	@$(BIN)/tidegate demo $(ARGS)

test: $(STAMP) ## every test; ends by naming the peers that were not there
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## speed and memory, as figures; ARGS="--quick"
	$(BIN)/python -m tests.bench $(ARGS)

faults: $(STAMP) ## the fault campaign and its table; FAULT=S1 for one, FAULT=mix for some
	$(BIN)/python -m tests.faults.campaign $(FAULT) $(ARGS)

fuzz: $(STAMP) $(FUZZ) ## hostile bytes for every reader; TARGET=opcua SECONDS=60
	@$(BIN)/python -m tests.fuzz.run $(TARGET) --seconds $(SECONDS) $(ARGS)

mutants: $(STAMP) ## each guarantee's test must fail when the guarantee is broken
	$(BIN)/python -m tests.mutants $(ARGS)

soak: $(STAMP) ## the long forms of the campaign and of the acceptance runs
	$(BIN)/python -m tests.journal.model --steps 1000000
	SOAK=1 $(BIN)/python -m pytest -m peer --timeout 3600 tests/interop $(ARGS)
	$(BIN)/python -m tests.faults.campaign

lock: ## pin every dependency anew, with hashes (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
	uv pip compile --group fuzz --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links -o requirements-fuzz.lock

clean: ## remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
