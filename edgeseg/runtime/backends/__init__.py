"""Back ends, which run a bundle's graph: ONNX Runtime, OpenVINO and native TensorRT."""

__all__ = [
    "agreement_limits",
    "base",
    "cuda_runtime",
    "engine_cache",
    "flavour_choice",
    "frame_prediction",
    "measured_choice",
    "onnxruntime_backend",
    "open_runner",
    "openvino",
    "tensorrt",
]
