"""Back ends, which run a bundle's graph: ONNX Runtime and native TensorRT, behind one interface."""

__all__ = [
    "base",
    "cuda_runtime",
    "flavour_choice",
    "frame_prediction",
    "onnxruntime_backend",
    "open_runner",
    "tensorrt",
]
