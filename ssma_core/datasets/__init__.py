"""Labelled frames: folders, list files, TFRecords and bags."""
