"""ONNX graphs: the network traced by torch, lowered to opset 17, named, analyzed, and wrapped in
its pre- and post-processing; and the Q/DQ nodes that both INT8 flavours are made of.
"""
