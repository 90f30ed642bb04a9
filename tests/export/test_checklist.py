"""The TensorRT checklist: a real bundle passes, and each point finds the fault that was planted for
it.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgeseg.bundle import Bundle, Manifest, write_bundle
from edgeseg.cli.app import app
from edgeseg.config import ExportConfig
from edgeseg.export.exporter import export
from edgeseg.export.onnxruntime_cpu.kernel_report import KernelReport, inspect_kernels
from edgeseg.export.tensorrt import checklist
from edgeseg.export.tensorrt.checklist import (
    TITLES,
    CheckedFiles,
    checklist_summary,
    run_checklist,
    run_static_checks,
)
from edgeseg.site import Site
from tests.helpers.exporting import make_run, make_site

CONFIG = ExportConfig(
    int8=True, max_drop=100, max_class_drop=100, min_speedup=0, calibration_frames=2, threads=1
)
RUNS = (11, 12)  # points that run a file


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    site = make_site(tmp_path_factory.mktemp("checklist") / "site")
    return Bundle.open(export(site, CONFIG, make_run(site, steps=12)).bundle)


@pytest.fixture(scope="module")
def files(bundle: Bundle) -> CheckedFiles:
    return CheckedFiles.of(bundle)


@pytest.fixture
def trt(files: CheckedFiles) -> ModelProto:
    assert files.trt is not None
    return onnx.load_model_from_string(files.trt)


def findings(model: ModelProto, files: CheckedFiles, number: int) -> tuple[str, ...]:
    """What a point says of a changed TensorRT file."""
    data = model.SerializeToString()
    points = (
        run_checklist(dataclasses.replace(files, trt=data, cpu=None))
        if number in RUNS
        else run_static_checks(data, files.fp32)
    )
    found = next(point for point in points if point.number == number).findings
    assert found is not None
    return found


def test_an_exported_bundle_passes_every_point_and_its_manifest_says_so(
    bundle: Bundle, files: CheckedFiles
) -> None:
    points = run_checklist(files)
    assert [point.number for point in points] == list(range(1, 14)) and len(TITLES) == 13
    assert [point for point in points if point.findings != ()] == []
    assert bundle.manifest.figures["int8-trt"]["checklist"] == {
        "passed": [*range(1, 11), 13],
        "findings": {},
    }


def test_both_files_name_their_float_convolutions(files: CheckedFiles) -> None:
    for data, most in ((files.trt, 3), (files.cpu, 0)):
        assert data is not None
        model = onnx.load_model_from_string(data)
        said = {entry.key: entry.value for entry in model.metadata_props}
        names = {node.name for node in model.graph.node if node.op_type == "Conv"}
        found = json.loads(said["edgeseg.float_convolutions"])
        assert set(found) <= names and len(found) <= most


# --- one change to the file for each way to fail
# -------------------------------------------------------------------


def node_of(model: ModelProto, operator: str, place: int = 0) -> NodeProto:
    found: list[NodeProto] = [node for node in model.graph.node if node.op_type == operator]
    return found[place]


def giver(model: ModelProto, name: str) -> NodeProto:
    found: NodeProto = next(node for node in model.graph.node if name in node.output)
    return found


def integer(model: ModelProto, *, depthwise: bool = False) -> NodeProto:
    """A convolution whose weight comes out of a DequantizeLinear."""
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    nodes: list[NodeProto] = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in back
    ]
    return next(
        node
        for node in nodes
        if any(one.name == "group" and one.i > 1 for one in node.attribute) == depthwise
    )


def set_constant(
    model: ModelProto, name: str, value: Any
) -> None:  # Any: an array of whatever type
    for tensor in list(model.graph.initializer):
        if tensor.name == name:
            model.graph.initializer.remove(tensor)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def constant(model: ModelProto, name: str) -> NDArray[Any]:  # Any: as above
    return numpy_helper.to_array(
        next(tensor for tensor in model.graph.initializer if tensor.name == name)
    )


def insert_behind(model: ModelProto, name: str, *nodes: NodeProto) -> None:
    place = next(number for number, node in enumerate(model.graph.node) if name in node.output)
    for offset, node in enumerate(nodes, 1):
        model.graph.node.insert(place + offset, node)


def give_codes(model: ModelProto, name: str, reader: NodeProto, scale: float = 0.1) -> None:
    """A Q/DQ pair between a tensor and one of its readers."""
    set_constant(model, "planted.scale", np.float32(scale))
    set_constant(model, "planted.zero", np.int8(0))
    parameters = ["planted.scale", "planted.zero"]
    reader.input[list(reader.input).index(name)] = "planted.given"
    insert_behind(
        model,
        name,
        helper.make_node("QuantizeLinear", [name, *parameters], ["planted.codes"], "planted.q"),
        helper.make_node(
            "DequantizeLinear", ["planted.codes", *parameters], ["planted.given"], "planted.dq"
        ),
    )


def set_attribute(
    node: NodeProto, name: str, value: Any
) -> None:  # Any: what ONNX knows as an attribute
    for one in list(node.attribute):
        if one.name == name:
            node.attribute.remove(one)
    node.attribute.append(helper.make_attribute(name, value))


def set_metadata(model: ModelProto, key: str, value: str | None) -> None:
    for entry in list(model.metadata_props):
        if entry.key == key:
            model.metadata_props.remove(entry)
    if value is not None:
        model.metadata_props.add(key=key, value=value)


def newer_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 18


def newer_ir(model: ModelProto) -> None:
    model.ir_version = 10


def foreign_domain(model: ModelProto) -> None:
    node_of(model, "Relu").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def weights_elsewhere(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def unknown_operator(model: ModelProto) -> None:
    node_of(model, "Exp").op_type = "Erf"


def doubles(model: ModelProto) -> None:
    set_constant(model, "after.gamma", np.float64(0.5))


def open_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"


def computed_shape(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Shape", ["logits"], ["planted"], "planted"))


def axes_as_input(model: ModelProto) -> None:
    node = node_of(model, "ReduceMax")
    set_constant(model, "planted", np.array([1], np.int64))
    node.input.append("planted")


def odd_coordinates(model: ModelProto) -> None:
    set_attribute(node_of(model, "Resize"), "coordinate_transformation_mode", "tf_crop_and_resize")


def antialiased(model: ModelProto) -> None:
    set_attribute(node_of(model, "Resize"), "antialias", 1)


def channels_last(model: ModelProto) -> None:
    set_constant(model, "after.scales", np.array([1, 2, 4, 4], np.float32))


def bytes_to_transpose(model: ModelProto) -> None:
    model.graph.node.insert(
        0, helper.make_node("Transpose", ["image"], ["planted"], "planted", perm=[0, 1, 2, 3])
    )
    node_of(model, "Cast").input[0] = "planted"


def bytes_read_twice(model: ModelProto) -> None:
    model.graph.node.append(
        helper.make_node("Cast", ["image"], ["planted"], "planted", to=TensorProto.FLOAT)
    )


def bytes_from_integers(model: ModelProto) -> None:
    giver(model, "mask").input[0] = "after.index"


def set_zero(model: ModelProto, value: Any) -> None:  # Any: a numpy integer
    node = node_of(model, "QuantizeLinear")
    set_constant(model, node.input[2], value)


def nonzero_point(model: ModelProto) -> None:
    set_zero(model, np.int8(3))


def unsigned_codes(model: ModelProto) -> None:
    set_zero(model, np.uint8(0))


def two_inputs(model: ModelProto) -> None:
    node_of(model, "DequantizeLinear").input.pop()


def zero_scale(model: ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[1], np.float32(0))


def computed_scale(model: ModelProto) -> None:
    node_of(model, "QuantizeLinear").input[1] = "score"


def scale_for_each_channel_of_data(model: ModelProto) -> None:
    node = node_of(model, "QuantizeLinear")
    set_constant(model, node.input[1], np.full(3, 0.02, np.float32))
    set_constant(model, node.input[2], np.zeros(3, np.int8))


def axis_of_weights(model: ModelProto) -> None:
    set_attribute(giver(model, integer(model).input[1]), "axis", 1)


def one_scale_for_a_weight(model: ModelProto) -> None:
    back = giver(model, integer(model).input[1])
    set_constant(model, back.input[1], np.float32(0.01))
    set_constant(model, back.input[2], np.int8(0))


def scales_differ(model: ModelProto) -> None:
    node = node_of(model, "DequantizeLinear")
    set_constant(model, "planted", np.float32(0.5) * constant(model, node.input[1]))
    node.input[1] = "planted"


def codes_into_a_cast(model: ModelProto) -> None:
    codes = node_of(model, "QuantizeLinear").output[0]
    insert_behind(
        model,
        codes,
        helper.make_node("Cast", [codes], ["planted"], "planted", to=TensorProto.FLOAT),
    )


def codes_of_codes(model: ModelProto) -> None:
    node = integer(model)
    give_codes(model, node.input[0], node)


def codes_of_a_bias(model: ModelProto) -> None:
    node = integer(model)
    bias = node.input[2]
    set_constant(model, "planted.scale", np.float32(0.1))
    set_constant(model, "planted.zero", np.int8(0))
    node.input[2] = "planted.given"
    for number, made in enumerate(
        (
            helper.make_node(
                "QuantizeLinear",
                [bias, "planted.scale", "planted.zero"],
                ["planted.codes"],
                "planted.q",
            ),
            helper.make_node(
                "DequantizeLinear",
                ["planted.codes", "planted.scale", "planted.zero"],
                ["planted.given"],
                "planted.dq",
            ),
        )
    ):
        model.graph.node.insert(number, made)


def codes_given_out(model: ModelProto) -> None:
    node = node_of(model, "DequantizeLinear")
    model.graph.output.append(
        helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [1, 3, 64, 96])
    )


def float_data(model: ModelProto) -> None:
    node = integer(model)
    node.input[0] = giver(model, giver(model, node.input[0]).input[0]).input[0]


def stored_codes(model: ModelProto) -> None:
    back = giver(model, integer(model).input[1])
    there = giver(model, back.input[0])
    weight, scale = constant(model, there.input[0]), constant(model, there.input[1])
    set_constant(model, "planted", np.rint(weight / scale[:, None, None, None]).astype(np.int8))
    back.input[0] = "planted"
    model.graph.node.remove(there)


def weights_too_large(model: ModelProto) -> None:
    there = giver(model, giver(model, integer(model).input[1]).input[0])
    weight = constant(model, there.input[0]).copy()
    weight.reshape(-1)[0] *= 300
    weight.reshape(-1)[0] += 300
    set_constant(model, there.input[0], weight)


def integer_bias(model: ModelProto) -> None:
    node = integer(model)
    set_constant(model, node.input[2], constant(model, node.input[2]).astype(np.float16))


def codes_before_an_activation(model: ModelProto) -> None:
    node = next(
        node
        for node in model.graph.node
        if node.op_type == "Clip" and not node.name.startswith("after.")
    )
    give_codes(model, node.input[0], node)


def both_inputs_of_an_addition(model: ModelProto) -> None:
    node = node_of(model, "Add")
    bare = next(name for name in node.input if giver(model, name).op_type == "Conv")
    give_codes(model, bare, node)


def no_input_of_an_addition(model: ModelProto) -> None:
    node = node_of(model, "Add")
    place = next(
        number
        for number, name in enumerate(node.input)
        if giver(model, name).op_type == "DequantizeLinear"
    )
    node.input[place] = giver(model, giver(model, node.input[place]).input[0]).input[0]


def one_input_of_a_concat(model: ModelProto) -> None:
    node = node_of(model, "Concat")
    give_codes(model, node.input[0], node)


def float_weights(model: ModelProto) -> None:
    node = integer(model)
    node.input[1] = giver(model, giver(model, node.input[1]).input[0]).input[0]


def convolution_lost(model: ModelProto) -> None:
    integer(model).name = "renamed"


def scale_shrunk(model: ModelProto) -> None:
    scale = node_of(model, "QuantizeLinear").input[1]
    set_constant(model, scale, np.float32(0.01) * constant(model, scale))


def bias_moved(model: ModelProto) -> None:
    node = integer(model)
    set_constant(model, node.input[2], constant(model, node.input[2]) + np.float32(30))


def without(key: str) -> Callable[[ModelProto], None]:
    return lambda model: set_metadata(model, key, None)


def wrong_flavour(model: ModelProto) -> None:
    set_metadata(model, "edgeseg.flavour", "int8-cpu")


def other_source(model: ModelProto) -> None:
    set_metadata(model, "edgeseg.source", "0" * 64)


PLANTED: list[tuple[int, Callable[[ModelProto], None], str]] = [
    (1, newer_opset, "opset 18"),
    (1, newer_ir, "IR version 10"),
    (1, foreign_domain, "domain com.microsoft"),
    (1, weights_elsewhere, "another file"),
    (2, unknown_operator, "Erf after.exp"),
    (2, doubles, "DOUBLE"),
    (2, foreign_domain, "Relu relu_0"),
    (3, open_batch, "image is not fixed"),
    (3, computed_shape, "Shape planted"),
    (4, axes_as_input, "ReduceMax after.max has its axes as an input"),
    (4, odd_coordinates, "tf_crop_and_resize"),
    (4, antialiased, "antialias"),
    (4, channels_last, "other axes than the last two"),
    (5, bytes_to_transpose, "feeds Transpose planted"),
    (5, bytes_read_twice, "feeds Cast"),
    (5, bytes_from_integers, "mask comes from Cast after.mask_cast"),
    (6, nonzero_point, "QuantizeLinear normalized.q has a zero point"),
    (6, unsigned_codes, "QuantizeLinear normalized.q has a zero point"),
    (6, two_inputs, "2 inputs"),
    (6, zero_scale, "above 0"),
    (6, computed_scale, "no constant"),
    (6, scale_for_each_channel_of_data, "3 scales for an activation"),
    (6, axis_of_weights, "channels of axis 0"),
    (6, one_scale_for_a_weight, "channels of axis 0"),
    (7, scales_differ, "another scale"),
    (7, codes_into_a_cast, "feeds Cast planted"),
    (7, codes_of_codes, "has just given"),
    (7, codes_of_a_bias, "gives the bias of Conv"),
    (7, codes_given_out, "gives the output"),
    (8, float_data, "its data does not"),
    (8, stored_codes, "not FP32 with a Q and a DQ"),
    (8, weights_too_large, "steps, more than 127"),
    (8, integer_bias, "no FP32 constant"),
    (9, codes_before_an_activation, "its activation Clip"),
    (9, both_inputs_of_an_addition, "Add add_0, so they are no single kernel"),
    (9, no_input_of_an_addition, "Add add_0 adds"),
    (9, one_input_of_a_concat, "Concat concat_0 joins codes with"),
    (10, float_weights, "is float, and the metadata do not say so"),
    (10, convolution_lost, "of model.onnx is missing"),
    (11, scales_differ, "differs from integers"),
    (11, scale_shrunk, "of the golden pixels"),
    (11, bias_moved, "of the golden pixels"),
    (13, wrong_flavour, "its own runtime refuses it"),
    (13, other_source, "digest of the model.onnx"),
    (13, without("edgeseg.flavour"), "instead of int8-trt"),
    (13, without("edgeseg.calibration"), "how it was calibrated"),
    (13, without("edgeseg.calibration_frames"), "how many frames"),
    (13, without("edgeseg.islands"), "tensors that it leaves float"),
    (13, without("edgeseg.float_convolutions"), "convolutions that it leaves float"),
]


@pytest.mark.parametrize(
    ("number", "plant", "words"),
    PLANTED,
    ids=[f"{number}-{plant.__name__}-{words}" for number, plant, words in PLANTED],
)
def test_a_planted_fault_is_found_by_its_point(
    trt: ModelProto,
    files: CheckedFiles,
    number: int,
    plant: Callable[[ModelProto], None],
    words: str,
) -> None:
    plant(trt)
    found = findings(trt, files, number)
    assert any(words in sentence for sentence in found), found


def test_without_a_list_of_float_convolutions_coverage_counts(
    trt: ModelProto, files: CheckedFiles
) -> None:
    set_metadata(trt, "edgeseg.float_convolutions", None)
    assert findings(trt, files, 10) == ()
    for _ in range(8):
        float_weights(trt)
    assert "of the multiply-adds are in INT8, less than 95 %" in findings(trt, files, 10)[0]


def float_convolution(model: ModelProto) -> None:
    node = integer(model, depthwise=True)
    back = giver(model, node.input[1])
    codes, scale = constant(model, back.input[0]), constant(model, back.input[1])
    set_constant(model, "planted", codes * scale[:, None, None, None].astype(np.float32))
    node.input[:] = [giver(model, giver(model, node.input[0]).input[0]).input[0], "planted"]


def output_without_codes(model: ModelProto) -> None:
    node = integer(model, depthwise=True)
    there = next(
        one
        for one in model.graph.node
        if one.op_type == "QuantizeLinear" and one.input[0] in node.output
    )
    back = next(
        one
        for one in model.graph.node
        if one.op_type == "DequantizeLinear" and there.output[0] in one.input
    )
    node.output[0] = back.output[0]
    model.graph.node.remove(there)
    model.graph.node.remove(back)


@pytest.mark.parametrize("plant", [float_convolution, output_without_codes])
def test_a_convolution_of_the_cpu_file_that_lost_its_kernel_is_found(
    files: CheckedFiles, plant: Callable[[ModelProto], None]
) -> None:
    assert files.cpu is not None
    model = onnx.load_model_from_string(files.cpu)
    plant(model)
    points = run_checklist(dataclasses.replace(files, trt=None, cpu=model.SerializeToString()))
    assert [point.number for point in points if point.findings is None] == list(range(1, 12))
    assert points[11].findings and "on codes instead of" in points[11].findings[0]


def test_needless_codes_in_the_cpu_file_are_found(
    files: CheckedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(data: bytes) -> KernelReport:
        kernels = inspect_kernels(data)
        return dataclasses.replace(kernels, conversions=kernels.conversions + 4)

    monkeypatch.setattr("edgeseg.export.onnxruntime_cpu.kernel_checks.inspect_kernels", many)
    found = run_checklist(dataclasses.replace(files, trt=None))[11].findings
    assert found and "Q/DQ nodes" in found[0]


def test_files_in_each_others_place_are_found_by_the_last_point(files: CheckedFiles) -> None:
    found = run_checklist(dataclasses.replace(files, trt=files.cpu, cpu=files.trt))[12].findings
    assert found and any(
        "a runtime that wants int8-cpu would take model.int8-trt.onnx" in one for one in found
    )


def test_a_file_that_fails_is_refused_and_the_float_bundle_still_ships(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.open(bundle.path.parent.parent)  # where the calibration is stored
    faulty = [
        checklist.ChecklistPoint(9, ("Q/DQ nodes stand between Conv a and its activation Clip b",))
    ]
    monkeypatch.setattr("edgeseg.export.int8_files.run_static_checks", lambda trt, fp32: faulty)
    result = export(site, CONFIG, site.root / "runs" / "distill" / "exp1", tmp_path / "out")
    assert len(result.refused) == 1 and "model.int8-trt.onnx was refused" in result.refused[0]
    assert (
        "fails point 9 of the TensorRT checklist (Q/DQ nodes stand between Conv a"
        in result.refused[0]
    )
    made = Bundle.open(result.bundle)
    assert "model.onnx" in made.manifest.files and "model.int8-trt.onnx" not in made.manifest.files
    assert made.manifest.figures["int8-trt"]["checklist"] == checklist_summary(faulty)


# --- the command
# ----------------------------------------------------------------------------------------------------


def test_the_command_passes_a_good_bundle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["export", "--check", str(bundle.path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["findings"] for one in found["points"]] == [[]] * 13
    assert result.stderr.count("passed") == 13
    site = bundle.path.parent.parent
    (site / "bundles" / "current").symlink_to(bundle.path.name)
    monkeypatch.chdir(site)
    assert CliRunner().invoke(app, ["export", "--check"]).exit_code == 0


def changed(
    bundle: Bundle, target: Path, files: dict[str, bytes], manifest: Manifest | None = None
) -> Path:
    return write_bundle(target, manifest or bundle.manifest, files).path


def test_the_command_names_the_point_that_failed(
    bundle: Bundle, trt: ModelProto, tmp_path: Path
) -> None:
    both_inputs_of_an_addition(trt)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    path = changed(
        bundle, tmp_path / "bad", files | {"model.int8-trt.onnx": trt.SerializeToString()}
    )
    result = CliRunner().invoke(app, ["export", "--check", str(path)])
    assert result.exit_code == 1 and "does not pass point 9;" in result.stderr.replace("\n", " ")


def test_the_command_says_that_there_is_nothing_to_check(bundle: Bundle, tmp_path: Path) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest.files if "int8" not in name}
    result = CliRunner().invoke(
        app, ["export", "--check", str(changed(bundle, tmp_path / "float", files))]
    )
    assert result.exit_code == 1 and "holds no INT8 file to check" in result.stderr
    assert "Traceback" not in result.output


def test_the_command_disagrees_with_what_exports(bundle: Bundle, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export", "--check", str(bundle.path), "--int8", "--output", str(tmp_path)]
    )
    assert result.exit_code == 1 and "disagrees with --int8, --output" in result.stderr


def test_a_damaged_bundle_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "copy")
    path = tmp_path / "copy" / "model.int8-trt.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["export", "--check", str(tmp_path / "copy")])
    assert result.exit_code == 1 and "is damaged" in result.stderr
