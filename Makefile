# make install   set up everything below: system packages, .venv with diskgen in it
# make demo      build a real disk from a real image and boot it   (IMAGE=quay.io/... for another)
# make test      the tests, boots included
# make test-all  the same, with more boots: day 2 of every kind and architecture
# make fuzz      hostile inputs and injected faults, for ten minutes, counted
# make docs      the site, in build/site; its links to elsewhere: make links
# make dist      a release, in dist: sdist, wheel, Debian package, RPM and its spec
# make coverage  what the fast tests run of the program, line by line; below 92 % it fails
# make mutate    which of 300 small changes of the program its tests notice; below 85 % it fails
# make bench     the same job by diskgen and by others, side by side
# make container diskgen as a container image, with all programs that it uses

PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?=
# Emulated machines keep one processor busy each, most of the time.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

.PHONY: install host-packages demo test test-all test-quick lint fuzz docs links dist coverage mutate bench container clean

install: host-packages $(VENV)/.installed

host-packages:
	@.ci/host-packages

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed" >&2; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable . --group test
	touch $@

test: install
	$(PYTEST) tests vm-tests

test-all: install
	$(BIN)/pip install --quiet --group fuzz
	$(PYTEST) -m "extended or not extended" tests vm-tests

test-quick: install
	$(BIN)/pytest -n auto tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

demo: install
	$(BIN)/python vm-tests/demo.py $(IMAGE)

fuzz: install
	$(BIN)/python -m tests.campaign

docs: install
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site

links: install
	$(BIN)/sphinx-build -q -W --keep-going -b linkcheck docs build/links

dist: install
	$(BIN)/python release/make.py

coverage: install
	$(BIN)/python -m tests.worth.measure

mutate: install
	$(BIN)/python -m tests.worth.mutate

bench: install
	$(BIN)/python bench/run.py
	$(BIN)/python bench/farm.py
	$(BIN)/python bench/formats.py

# Needs no more than an engine: podman, Docker or buildah.
container:
	container/build

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
