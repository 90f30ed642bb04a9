"""Looks through the bytes of an ONNX file before an engine sees them, with neither onnx nor torch.

An ONNX file may name other files to read weights from, carry operators of foreign libraries, or be
one that this device runs wrongly. This walk over its protobuf messages refuses all of that. Field
numbers are those of `onnx.proto`. A repeated occurrence of a field is always looked at too, since
parsers merge or replace earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from edgeseg.bundle import onnx_fields
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.bundle.graph_metadata import FLAVOUR_KEY
from edgeseg.bundle.protobuf_wire import (
    MalformedMessage,
    as_bytes,
    as_text,
    fields,
    first_int,
    nested,
)
from edgeseg.errors import BundleError, WrongFlavourError

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
MAX_BYTES = 512 * 2**20
MAX_NODES = 20_000
MAX_DEPTH = 32
# ONNX Runtime's own format, told by bytes 4 to 8; in it, every check made here would be skipped
ORT_FORMAT_MARK = b"ORTM"

Declaration: TypeAlias = "tuple[int, tuple[int, ...]]"  # number of the element type, and shape


@dataclass
class ScannedGraph:
    """The content of one file, as far as the walk notes it down.

    Attributes:
        opset: The version of the standard operators.
        ir_version: The version of the file format.
        nodes: The number of nodes.
        metadata: The file's own entries.
        inputs: Number of the element type and shape by name, 0 for a side that is left open.
        outputs: The same of the outputs.
    """

    opset: int = 0
    ir_version: int = 0
    nodes: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Declaration] = field(default_factory=dict)
    outputs: dict[str, Declaration] = field(default_factory=dict)


class _Refused(Exception):
    """The reason why a file must not be run."""


def scan_onnx(
    data: bytes, *, name: str, flavour: Flavour | None = None, limit: int = MAX_BYTES
) -> ScannedGraph:
    """Look through one ONNX file.

    Args:
        data: The bytes that the engine will be given, not a path to them.
        name: What errors call the file.
        flavour: What the file must be. Flavours that must be marked have to be named in its
            metadata; for the others it must not name another one.
        limit: The most bytes that it may have.

    Raises:
        BundleError: It is too large, no ONNX, refers to other files, uses foreign operators, or is
            of the wrong flavour.
    """
    if len(data) > limit:
        raise BundleError(
            f"{name} has {len(data)} bytes, more than the {limit} that a graph may have; export a "
            "smaller model"
        )
    graph = ScannedGraph()
    try:
        if data[4:8] == ORT_FORMAT_MARK:
            raise _Refused("is in ONNX Runtime's own format, which cannot be checked")
        _scan_model(memoryview(data), graph)
        if not graph.nodes:
            raise _Refused("holds no graph")
    except (_Refused, MalformedMessage) as reason:
        raise BundleError(
            f"{name} {reason}, so it is not run; export the bundle again with `edgeseg export`"
        ) from None
    if flavour is not None:
        _check_flavour(graph.metadata.get(FLAVOUR_KEY), flavour, name)
    return graph


def _check_flavour(made_as: str | None, needed: Flavour, name: str) -> None:
    if made_as == needed or (made_as is None and not FLAVOURS[needed].must_be_marked):
        return
    origin = f"was made as {made_as}" if made_as else "does not say which engine it was made for"
    raise WrongFlavourError(
        f"{name} {origin}, but {needed} is needed here; export the bundle again with "
        "`edgeseg export --int8`"
    )


def _scan_model(message: memoryview, graph: ScannedGraph) -> None:
    for number, value in fields(message):
        if number == onnx_fields.Model.IR_VERSION and isinstance(value, int):
            graph.ir_version = value
        elif number == onnx_fields.Model.GRAPH:
            _scan_graph(as_bytes(value), graph, 0)
        elif number == onnx_fields.Model.OPSET_IMPORT:
            _scan_operator_set(as_bytes(value), graph)
        elif number == onnx_fields.Model.METADATA_PROPS:
            key, text = _key_and_value(as_bytes(value))
            if graph.metadata.setdefault(key, text) != text:
                raise _Refused(f"says two things about {key}")
        elif number == onnx_fields.Model.TRAINING_INFO:
            raise _Refused("carries training graphs")
        elif number == onnx_fields.Model.FUNCTIONS:
            _scan_function(as_bytes(value), graph)


def _scan_operator_set(message: memoryview, graph: ScannedGraph) -> None:
    domain, version = "", 0
    for number, value in fields(message):
        if number == onnx_fields.OperatorSet.DOMAIN:
            domain = as_text(value)
        elif number == onnx_fields.OperatorSet.VERSION and isinstance(value, int):
            version = value
    _check_domain(domain)
    graph.opset = max(graph.opset, version)


def _check_domain(domain: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise _Refused(f"uses operators of the foreign domain {domain!r}")


def _key_and_value(message: memoryview) -> tuple[str, str]:
    key = text = ""
    for number, value in fields(message):
        if number == onnx_fields.StringEntry.KEY:
            key = as_text(value)
        elif number == onnx_fields.StringEntry.VALUE:
            text = as_text(value)
    return key, text


def _scan_graph(message: memoryview, graph: ScannedGraph, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Refused("nests graphs too deeply")
    for number, value in fields(message):
        if number == onnx_fields.Graph.NODE:
            _scan_node(as_bytes(value), graph, depth)
        elif number == onnx_fields.Graph.INITIALIZER:
            _scan_tensor(as_bytes(value))
        elif number in (onnx_fields.Graph.INPUT, onnx_fields.Graph.OUTPUT) and depth == 0:
            name, declared = _declaration(as_bytes(value))
            (graph.inputs if number == onnx_fields.Graph.INPUT else graph.outputs)[name] = declared
        elif number == onnx_fields.Graph.SPARSE_INITIALIZER:
            _scan_sparse_tensor(as_bytes(value))


def _declaration(message: memoryview) -> tuple[str, Declaration]:
    """Return name, type and shape of an input or output."""
    name, element_type, sides = "", 0, []
    for number, value in fields(message):
        if number == onnx_fields.ValueInfo.NAME:
            name = as_text(value)
        elif number == onnx_fields.ValueInfo.TYPE:
            for tensor in nested(value, onnx_fields.Type.TENSOR_TYPE):
                element_type = first_int(tensor, onnx_fields.TensorType.ELEM_TYPE) or element_type
                for shape in nested(tensor, onnx_fields.TensorType.SHAPE):
                    for dimension in nested(shape, onnx_fields.Shape.DIM):
                        sides.append(first_int(dimension, onnx_fields.Dimension.DIM_VALUE))
    return name, (element_type, tuple(sides))


def _scan_function(message: memoryview, graph: ScannedGraph) -> None:
    for number, value in fields(message):
        if number == onnx_fields.Function.NODE:
            _scan_node(as_bytes(value), graph, 0)
        elif number == onnx_fields.Function.ATTRIBUTE_PROTO:
            _scan_attribute(as_bytes(value), graph, 0)
    raise _Refused("defines functions of its own")


def _scan_node(message: memoryview, graph: ScannedGraph, depth: int) -> None:
    graph.nodes += 1
    if graph.nodes > MAX_NODES:
        raise _Refused(f"has more than {MAX_NODES} nodes")
    for number, value in fields(message):
        if number == onnx_fields.Node.ATTRIBUTE:
            _scan_attribute(as_bytes(value), graph, depth)
        elif number == onnx_fields.Node.DOMAIN:
            _check_domain(as_text(value))


def _scan_attribute(message: memoryview, graph: ScannedGraph, depth: int) -> None:
    for number, value in fields(message):
        if number in (onnx_fields.Attribute.TENSOR, onnx_fields.Attribute.TENSORS):
            _scan_tensor(as_bytes(value))
        elif number in (onnx_fields.Attribute.GRAPH, onnx_fields.Attribute.GRAPHS):
            # what lies inside is the graver fault, so it is told first
            _scan_graph(as_bytes(value), graph, depth + 1)
            raise _Refused("branches or loops, which a segmentation graph has no need of")
        elif number in (onnx_fields.Attribute.SPARSE_TENSOR, onnx_fields.Attribute.SPARSE_TENSORS):
            _scan_sparse_tensor(as_bytes(value))


def _scan_sparse_tensor(message: memoryview) -> None:
    for number, value in fields(message):
        if number in (onnx_fields.SparseTensor.VALUES, onnx_fields.SparseTensor.INDICES):
            _scan_tensor(as_bytes(value))


def _scan_tensor(message: memoryview) -> None:
    for number, value in fields(message):
        is_elsewhere = number == onnx_fields.Tensor.DATA_LOCATION and value != 0
        if number == onnx_fields.Tensor.EXTERNAL_DATA or is_elsewhere:
            raise _Refused("refers to weights in another file")
