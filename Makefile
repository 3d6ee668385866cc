# `make demo` and `make test` set up all they need in .venv; the rest are the few things people type.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# How many tests run at the same time. Each has one core: more threads would only wait for each other.
WORKERS ?= 2
TESTS := OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

.PHONY: demo test check style torture reliability models clean

# A bag of a drive → the node over real DDS → labels, figures and a picture. No torch, no GPU.
demo: $(VENV)/.demo
	$(RUN) demo/demo.py --output demo_output

# Everything. docs/testing.md says how to run one kind of test.
test: style
	$(TESTS) -m "not alone" --durations=15
	$(RUN) -m pytest -m alone --durations=15

# For every change: style, types and the fast tests, in at most 90 seconds.
check: style
	$(TESTS) -m "not slow and not training and not ros and not gpu and not alone"

# Damaged files without end: a fuzzer, so many seconds for each reader (Linux, CPython to 3.13).
SECONDS ?= 600
torture: $(VENV)/.torture
	$(RUN) test/torture.py --seconds $(SECONDS)

# Programs killed at random moments, the node's cycles, and an hour of it at 30 Hz.
reliability: $(VENV)/.test
	$(RUN) test/reliability.py --kills 50 --cycles 20 --soak 3600

style: $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy

# Makes the shipped models again, from nothing: docs/results.md has their figures.
models: $(VENV)/.test
	$(RUN) -m ssma_core.cli synthesize --output data/family/train/robots --drives 160 --frames 8 --fps 1 \
	    --preset robots --seed 0
	$(RUN) -m ssma_core.cli synthesize --output data/family/train/forest --drives 60 --frames 8 --fps 1 \
	    --weather each --seed 0
	$(RUN) -m ssma_core.cli synthesize --output data/family/validation/robots --drives 36 --frames 6 \
	    --fps 1 --preset robots --seed 1000
	$(RUN) -m ssma_core.cli synthesize --output data/family/validation/forest --drives 36 --frames 6 \
	    --fps 1 --weather each --seed 1000
	$(RUN) training/family.py 0
	for model in forest tiny_forest forest_evi; do \
	    cp runs/family/0/$$model/alone.safetensors models/$$model.safetensors || exit 1; \
	done
	cp runs/road/0/from_2/alone.safetensors models/road.safetensors
	for model in models/*.safetensors; do \
	    $(RUN) -m ssma_core.cli export --model $$model --output $${model%.safetensors}.onnx || exit 1; \
	done

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

$(VENV)/.torture: $(VENV)/.test
	$(RUN) -m pip install --quiet --editable '.[torture]'
	touch $@
