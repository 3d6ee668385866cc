"""Models on disk: checkpoints, exported files, engines, and the original's TensorFlow checkpoints.
"""
