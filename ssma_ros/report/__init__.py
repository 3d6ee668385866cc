"""The report of an evaluation: what was found as plain data, as JSON, and as one HTML page."""
