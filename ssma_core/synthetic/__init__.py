"""The synthetic (rendered) forest."""
