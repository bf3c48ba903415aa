# On a machine with Python, make and git:
#   make demo      set up, run everything once on built-in images, print where the report is
#   make test      set up, check format, types and every test
#   make quick     the tests of a minute or two: format, types, and the tests that train nothing large
#   make lessons   set up, go through every lesson of the course as a learner would, and write the slides
# They share one environment, .venv (VENV=... names another), and skip what is installed already.
# TORCH_INDEX=URL installs PyTorch from another package index first, such as PyTorch's index of CPU-only builds.

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PATIENCE ?= 5# times the time limits of lessons on an idle machine of two cores
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
QUICK := tests/architecture tests/auditing tests/cli tests/core tests/data tests/docs tests/evidence tests/figures \
	tests/models tests/pipeline/test_config.py tests/training tests/tuning/test_space.py src/coverslip/core \
	src/coverslip/evidence

.PHONY: demo test quick lessons clean

demo: $(DEMO_READY)
	$(BIN)/coverslip demo

# Tests run side by side; threads that wait actively would take the core from those that work.
test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

quick: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile -m "not slow" $(QUICK)

lessons: $(READY)
	$(BIN)/python -m coverslip.course.build --run --patience $(PATIENCE) --teaching TEACHING.md --slides lessons/slides.html
	$(BIN)/python -m pytest -q tests/course/lessons_in_lab.py

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Coverslip needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) torch torchvision --index-url $(TORCH_INDEX))

# The demo needs the package alone; its environment becomes that of the tests by what is missing.
$(DEMO_READY): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	touch $@

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[dev]"
	touch $@ $(DEMO_READY)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
