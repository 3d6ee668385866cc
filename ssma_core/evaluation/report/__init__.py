"""What an evaluation of bags found, as one HTML page."""
