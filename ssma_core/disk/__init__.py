"""Below the readers and writers: partial files and locks, and what a file claims of its size."""
