"""Labelled frames, wherever they are kept."""
