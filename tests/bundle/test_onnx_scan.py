"""A graph that could read other files, run foreign code or is meant for another engine never
reaches the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from edgeseg.bundle import onnx_scan
from edgeseg.bundle.flavours import Flavour
from edgeseg.bundle.graph_metadata import FLAVOUR_KEY
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.errors import BundleError
from tests.helpers.bundles import manifest, marked, network

GOOD = network().SerializeToString()


def external() -> TensorProto:
    tensor = TensorProto(
        name="secret", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def subgraph() -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [external()])


def with_attribute(**fields: Any) -> Callable[[ModelProto], None]:  # Any: as protobuf has it
    def spoil(model: ModelProto) -> None:
        attribute = AttributeProto(name="hidden", **fields)
        model.graph.node.append(
            NodeProto(op_type="Constant", output=["hidden"], attribute=[attribute])
        )

    return spoil


def initializer(model: ModelProto) -> None:
    model.graph.initializer.append(external())


def marked_external_only(model: ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="secret", data_location=TensorProto.EXTERNAL))


def sparse_values(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(SparseTensorProto(values=external()))


def sparse_indices(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(SparseTensorProto(indices=external()))


def function_node(model: ModelProto) -> None:
    attribute = AttributeProto(name="value", type=AttributeProto.TENSOR, t=external())
    node = NodeProto(op_type="Constant", output=["y"], attribute=[attribute])
    model.functions.append(
        helper.make_function("", "F", [], ["y"], [node], [helper.make_opsetid("", 17)])
    )


def function_default(model: ModelProto) -> None:
    function = helper.make_function("", "F", [], [], [], [helper.make_opsetid("", 17)])
    function.attribute_proto.append(
        AttributeProto(name="value", type=AttributeProto.TENSOR, t=external())
    )
    model.functions.append(function)


READS_FILES = {
    "initialiser": initializer,
    "only marked as external": marked_external_only,
    "sparse initializer, values": sparse_values,
    "sparse initializer, indices": sparse_indices,
    "attribute": with_attribute(type=AttributeProto.TENSOR, t=external()),
    "attribute list": with_attribute(
        type=AttributeProto.TENSORS, tensors=[TensorProto(), external()]
    ),
    "sparse attribute": with_attribute(
        type=AttributeProto.SPARSE_TENSOR, sparse_tensor=SparseTensorProto(values=external())
    ),
    "sparse attribute list": with_attribute(
        type=AttributeProto.SPARSE_TENSORS, sparse_tensors=[SparseTensorProto(indices=external())]
    ),
    "subgraph": with_attribute(type=AttributeProto.GRAPH, g=subgraph()),
    "subgraph list": with_attribute(type=AttributeProto.GRAPHS, graphs=[subgraph()]),
    "function": function_node,
    "default of a function": function_default,
}


def foreign_node(model: ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"


def foreign_import(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def empty_function(model: ModelProto) -> None:
    model.functions.append(
        helper.make_function("", "Conv", [], [], [], [helper.make_opsetid("", 17)])
    )


def training(model: ModelProto) -> None:
    model.training_info.add()


def two_flavours(model: ModelProto) -> None:
    for flavour in ("int8-cpu", "int8-trt"):
        model.metadata_props.add(key=FLAVOUR_KEY, value=flavour)


def loop(model: ModelProto) -> None:
    body = AttributeProto(
        name="body", type=AttributeProto.GRAPH, g=helper.make_graph([], "body", [], [])
    )
    model.graph.node.append(NodeProto(op_type="Loop", attribute=[body]))


FOREIGN = {
    "foreign domain 'com.microsoft'": foreign_node,
    "foreign domain 'evil.ops'": foreign_import,
    "functions": empty_function,
    "training": training,
    "branches or loops": loop,
    "two things": two_flavours,
}


def refused(data: bytes, flavour: Flavour | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        scan_onnx(data, name="model.onnx", flavour=flavour)
    message = str(caught.value)
    assert message.startswith("model.onnx ") and "\n" not in message
    return message


def spoiled(spoil: Callable[[ModelProto], None]) -> bytes:
    model = network()
    spoil(model)
    return bytes(model.SerializeToString())


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    size, length = b"", len(content)
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def test_a_graph_of_ours_passes_and_is_described() -> None:
    found = scan_onnx(GOOD, name="model.onnx", flavour="fp32")
    assert (found.opset, found.ir_version, found.nodes) == (17, 8, len(network().graph.node))


@pytest.mark.parametrize("where", READS_FILES)
def test_external_data_is_found_wherever_it_hides(where: str) -> None:
    assert "weights in another file" in refused(spoiled(READS_FILES[where]))


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_plain_standard_onnx_is_refused(what: str) -> None:
    assert what in refused(spoiled(FOREIGN[what]))


def test_the_long_name_of_the_standard_domain_is_standard() -> None:
    model = network()
    model.graph.node[0].domain = "ai.onnx"
    assert scan_onnx(model.SerializeToString(), name="model.onnx").nodes


@pytest.mark.parametrize(
    ("made", "wanted"), [("int8-trt", "int8-cpu"), ("int8-cpu", "int8-trt"), ("int8-cpu", "fp32")]
)
def test_a_file_of_another_flavour_is_refused(made: str, wanted: Flavour) -> None:
    message = refused(marked(network(), made), wanted)
    assert made in message and wanted in message


def test_an_int8_file_must_say_what_it_is() -> None:
    assert "does not say" in refused(GOOD, "int8-cpu")
    assert scan_onnx(marked(network(), "int8-cpu"), name="model.onnx", flavour="int8-cpu").nodes


def test_oversize_files_are_refused_unread() -> None:
    with pytest.raises(BundleError, match="bytes"):
        scan_onnx(b"\xff" * 101, name="model.onnx", limit=100)


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_scan, "MAX_NODES", 5)
    assert "more than 5 nodes" in refused(GOOD)


def test_nesting_ends_somewhere() -> None:
    graph = b""
    for _ in range(2000):  # by hand: protobuf's own library refuses to build this
        graph = field(1, field(5, field(6, graph)))  # a node with an attribute with a graph
    assert "deeply" in refused(field(7, graph))


def test_onnxruntimes_own_format_is_refused_even_inside_valid_protobuf() -> None:
    model = network()
    model.producer_name = "ORTM"
    data = model.SerializeToString()
    at = data.index(b"ORTM")
    hidden = (
        data[at - 2 : at + 4] + b"\x12\x00" + data[: at - 2] + data[at + 4 :]
    )  # the name first, at bytes 2 to 6
    assert scan_onnx(hidden, name="model.onnx").nodes  # still the same model
    shifted = b"\x08\x08" + hidden  # now at bytes 4 to 8, where flatbuffers keep their mark
    assert onnx.load_from_string(shifted).graph.node and "own format" in refused(shifted)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello world",
        b"\x3a",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b\x0c",
    ],
)
def test_what_is_no_onnx_is_refused(data: bytes) -> None:
    refused(data)


def test_no_truncation_passes_as_the_whole_graph() -> None:
    nodes = len(network().graph.node)
    for end in range(0, len(GOOD), 7):
        try:
            assert scan_onnx(GOOD[:end], name="model.onnx").nodes < nodes
        except BundleError:
            continue


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
@settings(max_examples=300, deadline=None)
def test_no_bytes_cause_anything_but_a_bundle_error(noise: bytes, at: int) -> None:
    for data in (noise, GOOD[:at] + noise + GOOD[at + len(noise) :]):
        try:
            scan_onnx(data, name="model.onnx")
        except BundleError as error:
            assert "\n" not in str(error)


def test_declared_types_and_shapes_are_told_with_open_sides_as_zero() -> None:
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    found = scan_onnx(model.SerializeToString(), name="m")
    assert found.inputs == {"image": (2, (0, 64, 96, 3))}
    assert found.outputs["entropy"] == (1, (1, 16, 24)) and list(found.outputs) == [
        "mask",
        "entropy",
        "score",
        "area",
    ]
    GraphSignature.of(manifest()).check(found, "m")
