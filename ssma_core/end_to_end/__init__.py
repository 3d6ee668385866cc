"""From a frame's sensor arrays to labels, as one PyTorch module, which is exported or run."""
