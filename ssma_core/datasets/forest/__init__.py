"""The parts of the synthetic forest; its front door is ssma_core.datasets.synthetic_forest."""
