"""The CPU flavour: where ONNX Runtime wants Q/DQ nodes, what it computes faster when it is said
otherwise, and a report on the kernels that it takes.
"""

__all__ = [
    "graph_rewrites",
    "kernel_checks",
    "kernel_report",
    "normalization_folding",
    "qdq_placement",
]
