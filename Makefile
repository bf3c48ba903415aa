# On a machine with Python, make and git:
#   make demo      set up, run the whole path on built-in images, say where the report is
#   make test      set up, check format, types and every test
#   make lessons   set up, go through every lesson of the course as a learner would, and write the slides
# They share one environment, .venv (VENV=... names another), and skip what is installed already.

PYTHON ?= python3
VENV ?= .venv
PATIENCE ?= 5# times the limits of time that lessons have on an idle machine of two cores
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lessons clean

demo: $(READY)
	$(BIN)/coverslip demo

# Tests run side by side; threads that wait actively would take the core from those that work.
test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

lessons: $(READY)
	$(BIN)/python -m coverslip.course.build --run --patience $(PATIENCE) --teaching TEACHING.md --slides lessons/slides.html
	$(BIN)/python -m pytest -q tests/course/lessons_in_lab.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Coverslip needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
