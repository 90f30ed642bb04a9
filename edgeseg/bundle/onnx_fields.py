"""The field numbers of `onnx.proto`, a class for each of its messages that is looked into."""

from __future__ import annotations


class Model:
    IR_VERSION, GRAPH, OPSET_IMPORT, METADATA_PROPS, TRAINING_INFO, FUNCTIONS = 1, 7, 8, 14, 20, 25


class Graph:
    NODE, INITIALIZER, INPUT, OUTPUT, SPARSE_INITIALIZER = 1, 5, 11, 12, 15


class Node:
    ATTRIBUTE, DOMAIN = 5, 7


class Attribute:
    TENSOR, GRAPH, TENSORS, GRAPHS, SPARSE_TENSOR, SPARSE_TENSORS = 5, 6, 10, 11, 22, 23


class Tensor:
    EXTERNAL_DATA, DATA_LOCATION = 13, 14


class SparseTensor:
    VALUES, INDICES = 1, 2


class Function:
    NODE, ATTRIBUTE_PROTO = 7, 11


class OperatorSet:
    DOMAIN, VERSION = 1, 2


class StringEntry:
    KEY, VALUE = 1, 2


class ValueInfo:
    NAME, TYPE = 1, 2


class Type:
    TENSOR_TYPE = 1


class TensorType:
    ELEM_TYPE, SHAPE = 1, 2


class Shape:
    DIM = 1


class Dimension:
    DIM_VALUE = 1
