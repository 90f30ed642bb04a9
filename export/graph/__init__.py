"""ONNX graphs: the network traced by torch, lowered to opset 17, named, analyzed, and wrapped in
its pre- and post-processing; and the Q/DQ nodes that both INT8 flavours are made of.
"""

__all__ = [
    "analyzed_network",
    "fp16",
    "graph_view",
    "lowering",
    "naming",
    "onnx_helpers",
    "pre_post_processing",
    "qdq_nodes",
    "topology",
    "torch_export",
]
