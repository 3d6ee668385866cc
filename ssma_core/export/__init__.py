"""Model files that run without PyTorch: ONNX, int8, TensorRT engines."""
