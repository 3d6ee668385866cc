"""`ssma benchmark`: the same frames in every way to run a model, in one process.

models.py, frames.py: the models and their frames. files.py, opened.py, ways.py: the ways to run
them. check.py: only ways that give the right labels. measure.py, with clock.py, memory.py and
work.py: the measurements. report.py, text.py, chart.py: their results.
"""
