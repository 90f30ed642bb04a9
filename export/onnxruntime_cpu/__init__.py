"""onnxruntime_cpu."""
