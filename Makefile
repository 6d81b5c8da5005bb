# make demo: set up with the base dependencies and search real documents.   make test: set up with everything and test.
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Bytecode is made once, at installation: where the environment forbids writing it later (PYTHONDONTWRITEBYTECODE, read-only
# folders), every process would compile its imports anew, 0.8 s of CPU in each `beige search`.
INSTALL := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
EXTRAS := parquet watch torch evaluate serve cluster
PEERS := $(wildcard requirements/peers/*.in)
DOCS ?=

.PHONY: setup demo test lint format quality bench scale soak lock clean

$(BIN)/uv: requirements/uv.txt
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.base: $(BIN)/uv requirements/base.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/base.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src/beige
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.dev  ## everything that the tests need, in .venv

demo: $(VENV)/.base  ## index real documents and search them; DOCS=folder for your own
	@$(BIN)/python scripts/demo.py $(if $(DOCS),--docs "$(DOCS)")

lint: setup
	$(BIN)/ruff check src tests bench scripts
	$(BIN)/ruff format --check src tests bench scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix src tests bench scripts
	$(BIN)/ruff format src tests bench scripts

test: lint  ## under ten minutes on two cores
	$(BIN)/pytest tests -n 3 -m "not slow"  # many wait for processes of their own

soak: setup  ## the tests that are too slow for every day, then a server for 20 minutes, written to docs/measurements/
	$(BIN)/pytest tests -m slow
	$(BIN)/python -m bench.soak

quality: setup  ## retrieval and parity figures, written to docs/measurements/
	$(BIN)/python -m bench.quality
	$(BIN)/python -m bench.fusion
	$(BIN)/python -m bench.relevance
	$(BIN)/python -m bench.tuning
	$(BIN)/python -m bench.rivals

bench: setup  ## speed beside the peers, written to docs/measurements/
	$(BIN)/python -m bench.speed
	$(BIN)/python -m bench.product
	$(BIN)/python -m bench.serve
	$(BIN)/python -m bench.m3

scale: setup  ## indexes of 100,000 and a million chunks (20 minutes, 6 GB in /tmp), written to docs/measurements/
	$(BIN)/python -m bench.scale

lock: $(BIN)/uv  ## pin anew from pyproject.toml and requirements/*.in
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) pyproject.toml requirements/base.in -o requirements/base.txt
	$(LOCK) pyproject.toml requirements/base.in requirements/dev.in $(EXTRAS:%=--extra %) -c requirements/base.txt -o requirements/dev.txt
	for peer in $(PEERS:.in=); do $(LOCK) $$peer.in -o $$peer.txt || exit; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
