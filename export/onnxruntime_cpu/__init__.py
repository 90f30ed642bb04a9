"""The CPU flavour: where ONNX Runtime wants Q/DQ nodes, what it computes faster when it is said
otherwise, and a report on the kernels that it takes.
"""
