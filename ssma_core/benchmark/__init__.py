"""`ssma benchmark`: the same frames through every way there is to run a model, in one process.

models.py, frames.py: what is run, on what. files.py, opened.py, ways.py:
how. measure.py, with clock.py,
memory.py and work.py: what is measured. report.py, chart.py: what is written about it.
"""
