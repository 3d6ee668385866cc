"""What a model is on disk: checkpoints, exported files, engines, and the original's checkpoints."""
