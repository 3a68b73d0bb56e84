# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make demo   registers a phantom from its files to a table and a report
#   make test   lints, type-checks and runs every test, windows included
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# three parts of the tests on two cores: more threads for linear algebra would wait for each other
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# for the tests of the graphics card's code: the small build without CUDA
TORCH := torch==2.13.0+cpu

# napari's fixtures are for its windows: loading them takes seconds
PLAIN := $(BIN)/python -m pytest -p no:napari
# what these compile, and the demo, all parts of the tests need
FIRST := tests/unit/io tests/unit/transform tests/unit/geometry

CODE := src tests benchmarks examples tools
LINT := $(BIN)/ruff check $(CODE) && $(BIN)/ruff format --check $(CODE) && $(BIN)/mypy && $(BIN)/lint-imports

.PHONY: demo test bench fuzz sample_data clean

demo: $(VENV)/.core
	$(BIN)/bridgecorr demo bridgecorr-demo

# two by two, then three: a loop that two processes meet at the same time both compile
test: $(VENV)/.test
	$(ONE_THREAD) tools/side_by_side \
		"$(LINT) && $(PLAIN) tests/unit/io" \
		"$(BIN)/bridgecorr demo $(VENV)/demo && $(PLAIN) tests/unit/transform tests/unit/geometry"
	$(ONE_THREAD) tools/with_display tools/side_by_side \
		"$(BIN)/python -m pytest tests/gui" \
		"$(PLAIN) tests/unit $(FIRST:%=--ignore=%)" \
		"$(PLAIN) tests/integration tests/fuzz"

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py

# thousands of damaged files of every format; `make test` tries a hundred of each
fuzz: $(VENV)/.test
	BRIDGECORR_FUZZ=3000 $(BIN)/python -m pytest tests/fuzz

sample_data: $(VENV)/.core
	$(BIN)/bridgecorr phantom sample_data --size sample

$(VENV)/bin/python:
	tools/make_venv $(PYTHON) $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[gui,test]'
	$(BIN)/python -m pip install --quiet $(TORCH) 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --index-url https://download.pytorch.org/whl/cpu torch
	touch $(VENV)/.core $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) bridgecorr-demo
