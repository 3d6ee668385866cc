"""Training: the stages of a run, the loop, and what the loop needs."""
