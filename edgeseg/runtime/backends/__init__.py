"""Back ends, which run a bundle's graph: ONNX Runtime and native TensorRT, behind one interface."""
