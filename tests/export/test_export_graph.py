"""The exported graph: opset 17 with the same results, names that last, and outputs that mean what
design.md says.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from edgeseg.errors import ExportError
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.fp16 import to_fp16
from edgeseg.export.graph.logit_upsampling import upsample_channels_last
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.onnx_helpers import assemble
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.models import MEAN, STD, Network, build_network
from tests.helpers.exporting import ENCODER, HEIGHT, WIDTH

Constants = dict[str, NDArray[Any]]


def model(
    nodes: list[NodeProto],
    shape: list[int],
    constants: Constants,
    outputs: int = 1,
    opset: int = 18,
) -> ModelProto:
    """A graph from `x` to `y0`, `y1`, ..."""
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(f"y{place}", TensorProto.FLOAT, None)
                for place in range(outputs)
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    return onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)


def run(made: ModelProto, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = open_session(made.SerializeToString(), 1).run(
        None, {"x": value}
    )
    return found


def resize(mode: str, **attributes: Any) -> NodeProto:
    return helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y0"],
        mode=mode,
        antialias=attributes.pop("antialias", 0),
        keep_aspect_ratio_policy="stretch",
        **attributes,
    )


SAME: dict[str, tuple[list[NodeProto], Constants, int]] = {
    "mean of planes": (
        [helper.make_node("ReduceMean", ["x", "axes"], ["y0"])],
        {"axes": np.array([-1, -2])},
        1,
    ),
    "mean, dims dropped": (
        [helper.make_node("ReduceMean", ["x", "axes"], ["y0"], keepdims=0)],
        {"axes": np.array([2, 3])},
        1,
    ),
    "maximum over channels": (
        [helper.make_node("ReduceMax", ["x", "axes"], ["y0"])],
        {"axes": np.array([1])},
        1,
    ),
    "mean of everything": ([helper.make_node("ReduceMean", ["x"], ["y0"], keepdims=1)], {}, 1),
    "whole-number resize": (
        [resize("linear", coordinate_transformation_mode="half_pixel")],
        {"sizes": np.array([1, 4, 12, 16])},
        1,
    ),
    "fractional resize": (
        [resize("linear", coordinate_transformation_mode="align_corners")],
        {"sizes": np.array([1, 4, 11, 13])},
        1,
    ),
    "split in even parts": (
        [helper.make_node("Split", ["x"], ["y0", "y1"], axis=1, num_outputs=2)],
        {},
        2,
    ),
    "pad": (
        [helper.make_node("Pad", ["x", "pads"], ["y0"])],
        {"pads": np.array([0, 0, 1, 2, 0, 0, 3, 4])},
        1,
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_the_step_down_changes_no_result(case: str) -> None:
    nodes, constants, outputs = SAME[case]
    before = model(nodes, [1, 4, 6, 8], constants, outputs)
    after = lower(before)
    assert [entry.version for entry in after.opset_import] == [17] and after.ir_version == 8
    value = np.random.default_rng(0).normal(size=(1, 4, 6, 8)).astype(np.float32)
    for one, other in zip(run(before, value), run(after, value)):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_pooling_becomes_what_runs_on_codes() -> None:
    nodes, constants, _ = SAME["mean of planes"]
    assert [node.op_type for node in lower(model(nodes, [1, 4, 6, 8], constants)).graph.node] == [
        "GlobalAveragePool"
    ]


def test_spreading_one_pixel_becomes_a_nearest_resize() -> None:
    before = model([resize("linear")], [1, 4, 1, 1], {"sizes": np.array([1, 4, 5, 7])})
    after = lower(before)
    assert {a.name: a.s for a in after.graph.node[0].attribute}["mode"] == b"nearest"
    value = np.random.default_rng(0).normal(size=(1, 4, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(run(before, value)[0], run(after, value)[0])


@pytest.mark.parametrize(
    ("node", "constants", "opset"),
    [
        (resize("linear", antialias=1), {"sizes": np.array([1, 4, 3, 4])}, 18),
        (helper.make_node("Mish", ["x"], ["y0"]), {}, 18),
        (helper.make_node("Gelu", ["x"], ["y0"]), {}, 20),
        (
            helper.make_node("Pad", ["x", "pads", "", "axes"], ["y0"]),
            {"pads": np.array([1, 1]), "axes": np.array([3])},
            18,
        ),
    ],
    ids=["antialias", "Mish", "Gelu", "Pad axes"],
)
def test_what_opset_17_cannot_say_is_refused_by_name(
    node: NodeProto, constants: Constants, opset: int
) -> None:
    with pytest.raises(ExportError, match=f"{node.op_type}.*choose another arch"):
        lower(model([node], [1, 4, 6, 8], constants, opset=opset))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = build_network("deeplabv3plus", ENCODER, 3).eval()
    made.classifier.weight.data *= 20  # opinions, so that masks have more than one class
    return made


@pytest.fixture(scope="module")
def lowered(network: Network) -> ModelProto:
    return canonicalize_names(lower(export_network(network, HEIGHT, WIDTH)))


INTERFACE = Interface(
    height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD, temperature=1.7, gamma=0.8
)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def logits(network: Network, image: NDArray[np.uint8]) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        found: torch.Tensor = network(
            (torch.from_numpy(image).permute(0, 3, 1, 2) / 255 - mean) / std
        ).logits
    return found


@pytest.mark.parametrize(("kept", "levels"), [(False, 4), (False, 2), (True, 3)])
def test_levels_that_are_stacked_to_be_summed_are_added(kept: bool, levels: int) -> None:
    names = [f"level{place}" for place in range(levels)]
    nodes = [
        helper.make_node("Mul", ["x", f"w{place}"], [name]) for place, name in enumerate(names)
    ]
    nodes += [helper.make_node("Unsqueeze", [name, "axis"], [f"{name}.plane"]) for name in names]
    nodes.append(helper.make_node("Concat", [f"{name}.plane" for name in names], ["stack"], axis=0))
    nodes.append(helper.make_node("ReduceSum", ["stack", "axis"], ["y0"], keepdims=0))
    nodes.append(
        helper.make_node("ReduceSum", ["stack" if kept else "y0", "axis"], ["y1"], keepdims=0)
    )
    constants: Constants = {
        f"w{place}": np.full(1, place + 1, np.float32) for place in range(levels)
    }
    before = model(nodes, [2, 3, 4, 4], constants | {"axis": np.array([0])}, outputs=2)
    after = lower(before)
    kinds = [node.op_type for node in after.graph.node]
    assert (kinds.count("Add"), kinds.count("Concat")) == ((0, 1) if kept else (levels - 1, 0))
    value = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    for one, other in zip(run(before, value), run(after, value)):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_outputs_mean_what_they_say(
    lowered: ModelProto, image: NDArray[np.uint8], logits: torch.Tensor, channels_last: bool
) -> None:
    session = open_session(
        wrap_network(lowered, INTERFACE, channels_last=channels_last).SerializeToString(), 1
    )
    mask, entropy, score, area = session.run(["mask", "entropy", "score", "area"], {"image": image})
    expected = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy()
    assert mask.dtype == np.uint8 and mask.shape == (1, HEIGHT, WIDTH)
    assert len(np.unique(expected)) > 1 and np.mean(mask == expected) > 0.999
    probability = (logits / 1.7).softmax(1)
    wanted = (-(probability * probability.log()).sum(1) / math.log(3)).numpy()
    assert entropy.shape == (1, HEIGHT // 4, WIDTH // 4) and entropy.dtype == np.float32
    np.testing.assert_allclose(entropy, wanted, atol=2e-5)
    np.testing.assert_allclose(score, [np.mean(entropy > np.float32(0.8))], atol=1e-6)
    shares = [np.mean(mask[:, 2::4, 2::4] == place) for place in range(3)]
    np.testing.assert_allclose(area, [shares], atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "classes", "height", "width", "down", "right", "products"),
    [
        (1, 3, 6, 5, 4, 4, True),
        (2, 16, 3, 7, 8, 8, True),
        (1, 2, 1, 1, 16, 8, True),
        (2, 5, 4, 1, 3, 5, True),
        (1, 13, 3, 5, 4, 4, False),
        (1, 3, 4, 6, 3.5, 3.5, False),
        (2, 4, 5, 6, 1, 1, False),
    ],
)
def test_logits_are_enlarged_as_torch_does(
    batch: int, classes: int, height: int, width: int, down: float, right: float, products: bool
) -> None:
    full = (int(height * down), int(width * right))
    logits = torch.randn(batch, classes, height, width, generator=torch.Generator().manual_seed(0))
    nodes, constants = upsample_channels_last(batch, classes, (height, width), full)
    ends = ((nodes[0].input[0], [*logits.shape]), (nodes[-1].output[0], [batch, *full, classes]))
    given, found = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name, sides in ends
    )
    shell = ModelProto(graph=onnx.GraphProto(input=[given], output=[found]))
    session = open_session(assemble(shell, nodes, constants).SerializeToString(), 1)
    (enlarged,) = session.run(None, {given.name: logits.numpy()})
    wanted = F.interpolate(logits, full, mode="bilinear").permute(0, 2, 3, 1)
    untied = 1e-3 if full == (height, width) else 0
    np.testing.assert_allclose(enlarged, wanted.numpy(), atol=1e-5 + untied)
    assert ("MatMul" in {node.op_type for node in nodes}) is products


def test_equal_logits_of_single_pixels_favor_no_class() -> None:
    interface = Interface(height=2, width=6, classes=4, mean=MEAN, std=STD)
    given, found = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 2, 6])
        for name, channels in (("normalised", 3), ("logits", 4))
    )
    weight, bias = np.zeros((4, 3, 1, 1), np.float32), np.array([-1, 2, 0.9, 2], np.float32)
    shell = ModelProto(graph=onnx.GraphProto(input=[given], output=[found]))
    nodes = [helper.make_node("Conv", ["normalised", "weight", "bias"], ["logits"], "same")]
    model = wrap_network(
        assemble(shell, nodes, {"weight": weight, "bias": bias}), interface, channels_last=True
    )
    image = np.zeros((1, 2, 6, 3), np.uint8)
    mask, area = open_session(model.SerializeToString(), 1).run(["mask", "area"], {"image": image})
    assert mask.tolist() == [[[1, 3, 1, 3, 1, 3]] * 2] and area.tolist() == [[0, 0.5, 0, 0.5]]


@pytest.mark.parametrize("channels_last", [False, True])
def test_entropy_stays_in_bounds_for_extreme_logits(
    lowered: ModelProto, channels_last: bool
) -> None:
    for temperature in (1e-3, 1e6):
        interface = INTERFACE.with_thresholds(temperature, 0.5)
        data = wrap_network(lowered, interface, channels_last=channels_last).SerializeToString()
        (entropy,) = open_session(data, 1).run(
            ["entropy"], {"image": np.full((1, HEIGHT, WIDTH, 3), 255, np.uint8)}
        )
        assert np.isfinite(entropy).all() and entropy.min() >= 0 and entropy.max() <= 1
    assert entropy.min() > 0.99  # at so high a temperature every class is as likely


def test_devices_can_read_the_graph(lowered: ModelProto) -> None:
    graph = wrap_network(lowered, INTERFACE)
    onnx.checker.check_model(graph, full_check=True)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [
        ("", 17)
    ] and graph.ir_version == 8
    allowed = {
        "Add",
        "ArgMax",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "Div",
        "Equal",
        "Exp",
        "GlobalAveragePool",
        "Greater",
        "Log",
        "Mul",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "Slice",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
    assert {node.op_type for node in graph.graph.node} <= allowed
    first = [node.op_type for node in graph.graph.node if "image" in node.input]
    assert first == [
        "Cast"
    ]  # TensorRT: a uint8 input feeds one Cast, a uint8 output comes from a Cast of floats
    constants = {tensor.name for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Resize":
            assert all(name in constants for name in node.input[1:] if name)
    dims = [
        dim
        for value in (*graph.graph.input, *graph.graph.output)
        for dim in value.type.tensor_type.shape.dim
    ]
    assert all(dim.HasField("dim_value") for dim in dims)
    assert not any(tensor.external_data for tensor in graph.graph.initializer)


def test_nothing_of_the_exporting_machine_is_in_the_file(lowered: ModelProto) -> None:
    data = wrap_network(lowered, INTERFACE).SerializeToString()
    assert b"site-packages" not in data and b"/edgeseg" not in data and b"torch" not in data


def test_names_follow_from_the_structure(lowered: ModelProto) -> None:
    names = [node.name for node in lowered.graph.node]
    assert len(set(names)) == len(names)
    assert "encoder.model.conv_stem" in names and "classifier" in names
    scrambled = ModelProto()
    scrambled.CopyFrom(lowered)
    table = {
        name: f"t{number}"
        for number, name in enumerate({o for n in lowered.graph.node for o in n.output})
    }
    table.pop("logits")
    for node in scrambled.graph.node:
        node.name = ""
        node.input[:] = [table.get(name, name) for name in node.input]
        node.output[:] = [table.get(name, name) for name in node.output]
    assert canonicalize_names(scrambled).SerializeToString() == lowered.SerializeToString()


def test_exporting_twice_gives_the_same_bytes_in_silence(
    network: Network,
    lowered: ModelProto,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    again = canonicalize_names(lower(export_network(network, HEIGHT, WIDTH)))
    assert again.SerializeToString() == lowered.SerializeToString()
    assert capfd.readouterr() == ("", "") and not [
        r for r in caplog.records if r.levelno >= logging.WARNING
    ]


class Impossible(nn.Module):
    def forward(self, image: torch.Tensor) -> Any:
        if image.mean() > image.std():  # a branch on values cannot be traced
            return image
        return -image


def test_a_network_that_cannot_be_traced_is_one_sentence() -> None:
    class Wrapped(nn.Module):
        def forward(self, image: torch.Tensor) -> Any:
            from edgeseg.models import Output

            return Output(Impossible()(image), [], None)

    with pytest.raises(ExportError, match="torch cannot write this network") as caught:
        export_network(Wrapped(), 32, 32)
    assert "\n" not in str(caught.value)


def test_half_precision_stays_inside_the_network(
    lowered: ModelProto, image: NDArray[np.uint8], logits: torch.Tensor
) -> None:
    made = to_fp16(lowered, INTERFACE)
    values = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert (
        values["classifier.weight"] == TensorProto.FLOAT16
        and values["after.gamma"] == TensorProto.FLOAT
    )
    assert [out.type.tensor_type.elem_type for out in made.graph.output] == [
        TensorProto.UINT8
    ] + 3 * [TensorProto.FLOAT]
    (mask,) = open_session(made.SerializeToString(), 1).run(["mask"], {"image": image})
    expected = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy()
    assert np.mean(mask == expected) > 0.98
