"""The TensorRT flavour: where it has Q/DQ nodes, its checklist, and what NVIDIA's parser says."""

__all__ = ["checklist", "layer_normalization", "library_check", "qdq_placement"]
