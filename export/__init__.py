"""From an edge model to a bundle: ONNX, INT8, parity, gates."""
