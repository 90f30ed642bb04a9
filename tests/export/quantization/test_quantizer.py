"""The INT8 graphs of a whole network: close to the float one, and float where that is asked."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.onnx_helpers import constants_of
from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels, integer_convolutions
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate, quantize
from edgeseg.models import MEAN
from tests.helpers.exporting import picture
from tests.helpers.quantization import FLAVOURS, IMAGES, INTERFACE, ODD_NODES, make_odd_network


def test_both_flavours_hold_the_same_weights(int8_graphs: dict[Int8Flavour, ModelProto]) -> None:
    cpu, trt = (constants_of(int8_graphs[flavour]) for flavour in FLAVOURS)
    names = [name.removesuffix(".codes") for name in cpu if name.endswith(".int.weight.codes")]
    same = [
        name for name in names if name in trt and "stem" not in name
    ]  # the CPU flavour's is widened
    assert len(same) > 50
    for name in same:
        scale = trt[f"{name}.scale"][:, None, None, None]
        np.testing.assert_array_equal(cpu[f"{name}.codes"], np.rint(trt[name] / scale))


def test_only_the_network_is_quantized(cpu_graph: ModelProto) -> None:
    around = [node for node in cpu_graph.graph.node if node.name.startswith(("before.", "after."))]
    assert {"ArgMax", "Exp", "Log"} <= {node.op_type for node in around}
    assert not any("Linear" in node.op_type for node in around)
    assert [(entry.domain, entry.version) for entry in cpu_graph.opset_import] == [("", 17)]
    assert cpu_graph.ir_version == 8 and not cpu_graph.functions
    assert [out.type.tensor_type.elem_type for out in cpu_graph.graph.output] == [
        TensorProto.UINT8
    ] + 3 * [1]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_is_close_to_the_float_file(
    network: ModelProto, int8_graphs: dict[Int8Flavour, ModelProto], flavour: Int8Flavour
) -> None:
    ours, theirs = (
        open_session(model.SerializeToString(), 1)
        for model in (int8_graphs[flavour], wrap_network(network, INTERFACE))
    )
    for seed in range(50, 53):  # frames that calibrated nothing
        image = picture(seed)[0][None]
        one, other = (session.run(["entropy"], {"image": image})[0] for session in (ours, theirs))
        assert np.abs(one - other).mean() < 0.03


def test_no_sum_of_two_products_overflows_16_bits(cpu_graph: ModelProto) -> None:
    constants = constants_of(cpu_graph)  # as shipped, with the first layer widened
    weights = [value for value in constants.values() if value.dtype == np.int8 and value.ndim == 4]
    dense = [weight for weight in weights if weight.shape[1] > 1]
    assert len(dense) > 30 and any(weight.shape[1] == 12 for weight in dense)
    for weight in dense:
        rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1).astype(int)
        even = rows[:, : rows.shape[1] // 2 * 2]
        assert np.abs(even[:, ::2] + even[:, 1::2]).max() <= 128


@pytest.mark.parametrize(("temperature", "maxima"), [(0.01, 0), (3e-4, 1)])
def test_entropy_is_right_with_and_without_the_maximum(
    calibrated: CalibrationResult, temperature: float, maxima: int
) -> None:
    model = quantize(calibrated, INTERFACE.with_thresholds(temperature, 0.5), "int8-cpu")
    assert sum(node.op_type == "ReduceMax" for node in model.graph.node) == maxima
    model.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    feed = {"image": IMAGES[0][None]}
    entropy, logits = open_session(model.SerializeToString(), 1).run(["entropy", "logits"], feed)
    shifted = (logits - logits.max(1, keepdims=True)) / np.float64(temperature)
    shares = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    wanted = -np.sum(shares * np.log(np.maximum(shares, 1e-300)), 1) / np.log(3)
    np.testing.assert_allclose(entropy, wanted, atol=1e-4)
    assert entropy.std() > 1e-3


def test_quantizing_twice_gives_the_same_bytes(
    calibrated: CalibrationResult, cpu_graph: ModelProto
) -> None:
    assert (
        quantize(calibrated, INTERFACE, "int8-cpu").SerializeToString()
        == cpu_graph.SerializeToString()
    )


def test_ranges_are_those_of_the_tensors(calibrated: CalibrationResult) -> None:
    ranges = calibrated.ranges("percentile", signed=False)
    low, high = ranges["normalised"]
    values = np.stack(IMAGES) - 255 * np.array(MEAN)
    assert -low == high == pytest.approx(np.quantile(np.abs(values), 0.9999), rel=0.02)
    relu6 = [limits for name, limits in ranges.items() if name.startswith("clip_")]
    assert relu6 and all(low == 0 and high <= 6 for low, high in relu6)


def test_float_tensors_stay_float_with_their_neighbors_and_nothing_else(
    calibrated: CalibrationResult, int8_graphs: dict[Int8Flavour, ModelProto]
) -> None:
    float_tensor = "add_0.out"
    for flavour in FLAVOURS:
        model = quantize(calibrated, INTERFACE, flavour, float_tensors=[float_tensor])
        names = {name for node in model.graph.node for name in node.output}
        assert f"{float_tensor}.codes" not in names
        lost = integer_convolutions(int8_graphs[flavour]) - integer_convolutions(model)
        assert 1 <= lost <= 3
        if flavour == "int8-cpu":
            assert inspect_kernels(model.SerializeToString()).quantized == integer_convolutions(
                model
            )


def test_a_float_convolution_never_stands_alone_between_integers(
    calibrated: CalibrationResult,
) -> None:
    # ONNX Runtime would give it INT8 weights at load, one scale for all channels
    model = quantize(calibrated, INTERFACE, "int8-cpu", float_tensors=["clip_3.out", "add_2.out"])
    producers = {node.output[0]: node for node in model.graph.node}
    readers = {name: node for node in model.graph.node for name in node.input}
    for node in model.graph.node:
        if node.op_type == "Conv" and producers[node.input[0]].op_type == "DequantizeLinear":
            behind = readers[node.output[0]].op_type == "QuantizeLinear"
            assert not behind or node.input[1] in producers


def test_without_frames_there_is_no_calibration(network: ModelProto) -> None:
    with pytest.raises(ExportError, match="edgeseg add footage"):
        calibrate(network, INTERFACE, [], threads=1)


def test_a_network_that_computes_sizes_while_it_runs_is_refused() -> None:
    model = make_odd_network(*ODD_NODES["a tensor whose sides nobody tells"])
    with pytest.raises(ExportError, match=r"computes the size of what two reads .*without --int8"):
        calibrate(model, INTERFACE, IMAGES, threads=1)
