"""Annotation tools: pre-labels out to them, and finished masks back. One module for each format."""
