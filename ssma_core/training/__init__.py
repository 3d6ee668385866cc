"""Stages, the loop, and what it needs."""
