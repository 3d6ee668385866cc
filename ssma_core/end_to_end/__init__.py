"""One frame from sensor arrays to labels as one PyTorch module: what is exported, and what runs."""
