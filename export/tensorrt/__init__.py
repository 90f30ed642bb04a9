"""The TensorRT flavour: where it has Q/DQ nodes, and the checklist that it must pass."""

__all__ = ["checklist", "layer_normalization", "qdq_placement"]
