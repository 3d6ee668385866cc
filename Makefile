# `make demo` and `make test` set up all they need in .venv; the rest are the few things people type.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test check models clean

# A bag of a drive → the node over real DDS → labels, figures and a picture. No torch, no GPU.
demo: $(VENV)/.demo
	$(RUN) demo/demo.py --output demo_output

test: $(VENV)/.test check
	$(RUN) -m pytest

# Style and types.
check: $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy

# What makes the shipped models again (see docs/models.md for the time it takes).
models: $(VENV)/.test
	$(RUN) -m ssma_core.cli synthesize --output data/forest/train --drives 24 --frames 30 --seed 0 --size 384x192
	$(RUN) -m ssma_core.cli synthesize --output data/forest/validation --drives 6 --frames 20 --seed 1000 --size 384x192

clean:
	rm -rf $(VENV) demo_output build install log

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.py | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[cpu,ros]'
	touch $@

# torch first and pinned: a later or unpinned one may bring gigabytes of CUDA.
$(VENV)/.test: setup.py | $(VENV)/bin/python
	$(RUN) -m pip install --quiet torch==2.13.0
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $@
