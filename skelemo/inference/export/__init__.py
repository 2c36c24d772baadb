"""Export of runs to ONNX and ``torch.export``."""
