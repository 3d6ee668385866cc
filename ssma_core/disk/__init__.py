"""Below the writers: partial files and locks."""
