"""The step down to opset 17 changes no result, and refuses what it cannot express."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from edgeseg.errors import ExportError
from edgeseg.export.graph.lowering import lower
from tests.helpers.graphs import Constants, model, resize, run

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


def test_a_mean_over_the_image_becomes_what_runs_in_integers() -> None:
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
