"""The INT8 files: codes where each engine wants them, per-channel weights, close to the float file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.thresholds import (
    fit_gamma,
    fit_temperature,
    frame_scores,
    log_threshold,
)
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels, integer_convolutions
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD, fold_std
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization import calibration_cache
from edgeseg.export.quantization.activation_statistics import (
    channel_peaks,
    collect_statistics,
    frame_statistics,
)
from edgeseg.export.quantization.channel_equalization import equalize_channels
from edgeseg.export.quantization.layer_sensitivity import rank_sensitive_tensors, run_logits
from edgeseg.export.quantization.probe_graph import POSITIONS_PER_FRAME, SAMPLES_PER_FRAME
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate, quantize
from edgeseg.models import MEAN, STD, build_network
from edgeseg.progress import NullReporter
from tests.helpers.exporting import ENCODER, HEIGHT, WIDTH, picture
from tests.helpers.quantization import plan_of

PLAIN = Interface(height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD)
INTERFACE = replace(PLAIN, std=UNIT_STD)
FLAVOURS: tuple[Int8Flavour, ...] = ("int8-cpu", "int8-trt")
IMAGES = [picture(seed)[0] for seed in range(6)]


@pytest.fixture(scope="module")
def network() -> ModelProto:
    torch.manual_seed(0)
    made = build_network("deeplabv3plus", ENCODER, 3)
    made.train()
    with (
        torch.no_grad()
    ):  # batch norms learn the statistics of these frames, without which activations would vanish
        batch = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2).float() / 255
        for _ in range(10):
            made((batch - 0.45) / 0.22)
    return fold_std(canonicalize_names(lower(export_network(made.eval(), HEIGHT, WIDTH))), PLAIN)[0]


@pytest.fixture(scope="module")
def calibrated(network: ModelProto) -> CalibrationResult:
    return calibrate(network, INTERFACE, IMAGES, threads=1)


@pytest.fixture(scope="module")
def files(calibrated: CalibrationResult) -> dict[Int8Flavour, ModelProto]:
    return {flavour: quantize(calibrated, INTERFACE, flavour) for flavour in FLAVOURS}


@pytest.fixture(scope="module")
def quantized(files: dict[Int8Flavour, ModelProto]) -> ModelProto:
    return files["int8-cpu"]


def constants_of(model: ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_every_convolution_runs_on_codes(network: ModelProto, quantized: ModelProto) -> None:
    convolutions = sum(node.op_type == "Conv" for node in network.graph.node)
    kernels = inspect_kernels(quantized.SerializeToString())
    assert kernels.quantized == integer_convolutions(quantized) == convolutions > 50
    assert kernels.conversions <= 8  # in, out, and around the two resizes of the decoder


def test_activations_are_unsigned_with_zero_points_at_the_end_or_the_middle(
    quantized: ModelProto,
) -> None:
    constants = constants_of(quantized)
    nodes = [node for node in quantized.graph.node if node.op_type == "QuantizeLinear"]
    points = [constants[node.input[2]] for node in nodes]
    assert {point.dtype for point in points} == {np.dtype(np.uint8)}
    assert {point.item() for point in points} == {0, 128}


def test_a_maxpool_keeps_its_codes_and_a_resize_never_has_the_same_ones_on_both_sides() -> None:
    shapes = {"normalised": (8, 8), "pooled": (4, 4), "logits": (8, 8)}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, *shape])
        for name, shape in shapes.items()
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [
        helper.make_node(
            "MaxPool", ["normalised"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Resize", ["pooled", "", "scales"], ["blown"], "resize", mode="linear"),
        helper.make_node("Sigmoid", ["blown"], ["logits"], "sigmoid"),
    ]
    graph = helper.make_graph(nodes, "small", values[:1], values[2:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ranges = {
        "normalised": (-3.0, 3.0),
        "pooled": (-2.0, 2.0),
        "blown": (-3.0, 3.0),
        "logits": (-1.0, 1.0),
    }
    steps = {
        name: value
        for name, value in constants_of(place_qdq_cpu(plan_of(model, ranges))).items()
        if "scale" in name
    }
    assert (
        steps["normalised.scale"]
        == steps["pooled.scale"]
        < steps["blown.scale"]
        < 1.0001 * steps["pooled.scale"]
    )


@pytest.mark.parametrize(
    ("most", "low", "joined"), [(6.0, -9.0, False), (6.0, 0.0, False), (12.0, 0.0, True)]
)
def test_what_a_concat_joins_still_cuts_off_what_an_activation_did(
    most: float, low: float, joined: bool
) -> None:
    values = [
        helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 2, 4, 4]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, 4, 4]),
    ]
    weight = np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
    scales = np.full(2, 1 / 127, np.float32)
    layer = QuantizedConv(np.rint(weight * 127).astype(np.int8), scales, np.zeros(2, np.float32))
    constants = {"one": weight, "two": weight, "least": np.float32(0), "most": np.float32(most)}
    nodes = [
        helper.make_node("Conv", ["normalised", "one"], ["a"], "first"),
        helper.make_node("Clip", ["a", "least", "most"], ["cut"], "clip"),
        helper.make_node("Conv", ["normalised", "two"], ["b"], "second"),
        helper.make_node("Concat", ["cut", "b"], ["logits"], "join", axis=1),
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "small", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    signed = (-9.0 if low < 0 else 0.0, 9.0)
    ranges = {
        "normalised": (-9.0, 9.0),
        "cut": (0.0, min(most, 9.0)),
        "b": signed,
        "logits": signed,
    }
    placed = place_qdq_cpu(plan_of(model, ranges, {"first": layer, "second": layer}))
    steps = constants_of(placed)
    assert bool(steps["cut.scale"] == steps["logits.scale"]) is joined
    image = np.random.default_rng(0).uniform(-9, 9, (1, 2, 4, 4)).astype(np.float32)
    (found,) = open_session(placed.SerializeToString(), 1).run(None, {"normalised": image})
    wanted = np.concatenate([image.clip(0, most), image.clip(signed[0], 9)], axis=1)
    assert np.abs(found - wanted).max() < 0.1


def test_weights_are_signed_with_a_scale_per_channel_and_biases_have_32_bits(
    quantized: ModelProto,
) -> None:
    constants = constants_of(quantized)
    producers = {node.output[0]: node for node in quantized.graph.node}
    for node in (node for node in quantized.graph.node if node.op_type == "Conv"):
        step = constants[producers[node.input[0]].input[1]]
        weight, bias = (producers[name] for name in node.input[1:])
        assert weight.op_type == bias.op_type == "DequantizeLinear"
        codes, scale = constants[weight.input[0]], constants[weight.input[1]]
        assert codes.dtype == np.int8 and len(scale) == len(codes)
        assert constants[bias.input[0]].dtype == np.int32
        np.testing.assert_array_equal(constants[bias.input[1]], scale * step)


def test_the_tensorrt_flavour_is_signed_and_its_weights_are_floats_on_codes(
    files: dict[Int8Flavour, ModelProto],
) -> None:
    model = files["int8-trt"]
    constants, producers = constants_of(model), {node.output[0]: node for node in model.graph.node}
    for node in (
        node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ):
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any() and (constants[node.input[1]] > 0).all()
    integer = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in producers
    ]
    assert len(integer) == integer_convolutions(model) > 40
    for node in integer:
        back = producers[node.input[1]]
        there = producers[back.input[0]]
        assert (there.op_type, back.op_type) == ("QuantizeLinear", "DequantizeLinear")
        assert list(there.input[1:]) == list(back.input[1:])
        weight, scale = constants[there.input[0]], constants[there.input[1]]
        steps = weight / scale[:, None, None, None]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert constants[node.input[2]].dtype == np.float32
        assert producers[node.input[0]].op_type == "DequantizeLinear"


def test_both_flavours_hold_the_same_weights(files: dict[Int8Flavour, ModelProto]) -> None:
    cpu, trt = (constants_of(files[flavour]) for flavour in FLAVOURS)
    names = [name.removesuffix(".codes") for name in cpu if name.endswith(".int.weight.codes")]
    same = [
        name for name in names if name in trt and "stem" not in name
    ]  # the CPU flavour's is widened
    assert len(same) > 50
    for name in same:
        scale = trt[f"{name}.scale"][:, None, None, None]
        np.testing.assert_array_equal(cpu[f"{name}.codes"], np.rint(trt[name] / scale))


def test_in_front_of_an_addition_one_branch_has_codes_and_the_one_of_the_convolution_has_none(
    files: dict[Int8Flavour, ModelProto],
) -> None:
    producers = {node.output[0]: node for node in files["int8-trt"].graph.node}
    additions = [node for node in files["int8-trt"].graph.node if node.op_type == "Add"]
    assert len(additions) == 10
    for node in additions:
        assert sorted(producers[name].op_type for name in node.input) == [
            "Conv",
            "DequantizeLinear",
        ]


def test_nothing_stands_between_a_convolution_and_its_activation(
    files: dict[Int8Flavour, ModelProto],
) -> None:
    producers = {node.output[0]: node for node in files["int8-trt"].graph.node}
    activations = [
        node for node in files["int8-trt"].graph.node if node.op_type in ("Relu", "Clip")
    ]
    inside = [node for node in activations if not node.name.startswith("after.")]
    assert len(inside) > 30 and all(producers[node.input[0]].op_type == "Conv" for node in inside)


def test_only_the_network_is_quantized(quantized: ModelProto) -> None:
    around = [node for node in quantized.graph.node if node.name.startswith(("before.", "after."))]
    assert {"ArgMax", "Exp", "Log"} <= {node.op_type for node in around}
    assert not any("Linear" in node.op_type for node in around)
    assert [(entry.domain, entry.version) for entry in quantized.opset_import] == [("", 17)]
    assert quantized.ir_version == 8 and not quantized.functions
    assert [out.type.tensor_type.elem_type for out in quantized.graph.output] == [
        TensorProto.UINT8
    ] + 3 * [1]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_is_close_to_the_float_file(
    network: ModelProto, files: dict[Int8Flavour, ModelProto], flavour: Int8Flavour
) -> None:
    ours, theirs = (
        open_session(model.SerializeToString(), 1)
        for model in (files[flavour], wrap_network(network, INTERFACE))
    )
    for seed in range(50, 53):  # frames that calibrated nothing
        image = picture(seed)[0][None]
        one, other = (session.run(["entropy"], {"image": image})[0] for session in (ours, theirs))
        assert np.abs(one - other).mean() < 0.03


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
    calibrated: CalibrationResult, quantized: ModelProto
) -> None:
    assert (
        quantize(calibrated, INTERFACE, "int8-cpu").SerializeToString()
        == quantized.SerializeToString()
    )


def test_ranges_are_those_of_the_tensors(calibrated: CalibrationResult) -> None:
    ranges = calibrated.ranges("percentile", signed=False)
    low, high = ranges["normalised"]
    values = np.stack(IMAGES) - 255 * np.array(MEAN)
    assert -low == high == pytest.approx(np.quantile(np.abs(values), 0.9999), rel=0.02)
    relu6 = [limits for name, limits in ranges.items() if name.startswith("clip_")]
    assert relu6 and all(low == 0 and high <= 6 for low, high in relu6)


def test_equalizing_changes_nothing_in_float_and_evens_channels(
    network: ModelProto, calibrated: CalibrationResult
) -> None:
    ours, theirs = (
        open_session(wrap_network(model, INTERFACE).SerializeToString(), 1)
        for model in (calibrated.network.model, network)
    )
    for image in IMAGES:
        one, other = (
            session.run(["entropy"], {"image": image[None]})[0] for session in (ours, theirs)
        )
        np.testing.assert_allclose(one, other, atol=2e-3)

    def unevenness(model: ModelProto) -> float:
        peaks = channel_peaks(AnalyzedNetwork(model), INTERFACE, IMAGES, threads=1)
        inner = [peak for name, peak in peaks.items() if name not in ("normalised", "logits")]
        return float(
            np.mean([np.median(np.log(peak.max() / np.maximum(peak, 1e-6))) for peak in inner])
        )

    assert unevenness(calibrated.network.model) < 0.5 * unevenness(network)


def test_equalizing_respects_what_must_stay_and_what_goes_together() -> None:
    random = np.random.default_rng(0)
    weights = {
        f"w{place}": random.normal(0, 0.3, (4, 4, 1, 1)).astype(np.float32) for place in range(3)
    }
    nodes = [
        helper.make_node("Conv", ["normalised", "w0"], ["a"], "one"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w1"], ["c"], "two"),
        helper.make_node("Add", ["c", "b"], ["d"], "add"),
        helper.make_node(
            "Sigmoid", ["d"], ["e"], "sigmoid"
        ),  # what it reads must stay, and so must all of its kin
        helper.make_node("Conv", ["e", "w2"], ["logits"], "three"),
    ]
    shape = [1, 4, 8, 8]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    peaks = {name: np.array([1, 2, 4, 4], np.float32) for name in "abcde"}
    fixed = constants_of(equalize_channels(AnalyzedNetwork(model), peaks).model)
    np.testing.assert_array_equal(fixed["one.weight"], weights["w0"])
    del nodes[4]
    nodes[-1].input[0] = "d"
    graph = helper.make_graph(nodes, "small", graph.input, graph.output, graph.initializer)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    some_peaks = {name: peaks[name] for name in "bcd"}
    equal = equalize_channels(AnalyzedNetwork(model), some_peaks, 1.0).model
    made = constants_of(equal)
    np.testing.assert_allclose(
        made["one.weight"] / weights["w0"],
        np.broadcast_to(np.array([4, 2, 1, 1.0])[:, None, None, None], (4, 4, 1, 1)),
    )
    sample = random.normal(0, 1, shape).astype(np.float32)
    one, other = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"normalised": sample})[0]
        for each in (equal, model)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_islands_stay_float_with_their_neighbors_and_nothing_else(
    calibrated: CalibrationResult, files: dict[Int8Flavour, ModelProto]
) -> None:
    island = "add_0.out"
    for flavour in FLAVOURS:
        model = quantize(calibrated, INTERFACE, flavour, float_tensors=[island])
        names = {name for node in model.graph.node for name in node.output}
        assert f"{island}.codes" not in names
        lost = integer_convolutions(files[flavour]) - integer_convolutions(model)
        assert 1 <= lost <= 3
        if flavour == "int8-cpu":
            assert inspect_kernels(model.SerializeToString()).quantized == integer_convolutions(
                model
            )


def test_a_float_convolution_never_stands_alone_between_codes(
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


def test_ranking_names_tensors_whose_codes_hurt(
    network: ModelProto, calibrated: CalibrationResult
) -> None:
    ranked = rank_sensitive_tensors(
        calibrated,
        INTERFACE,
        "int8-cpu",
        "minmax",
        IMAGES,
        wrap_network(network, INTERFACE),
        threads=1,
        report=NullReporter(),
    )
    assert ranked and set(ranked) <= set(calibrated.histograms)
    whole, without = (
        quantize(calibrated, INTERFACE, "int8-cpu", "minmax", islands)
        for islands in ([], ranked[:2])
    )
    truth = np.stack(run_logits(wrap_network(network, INTERFACE), IMAGES, 1))
    errors = [
        np.mean((np.stack(run_logits(model, IMAGES, 1)) - truth) ** 2) for model in (whole, without)
    ]
    assert errors[1] < errors[0]


def large_network(side: int) -> ModelProto:
    weight = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["normalised", "w"], ["logits"], "conv")],
        "large",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, side, side])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_calibration_takes_a_bounded_sample_from_tensors_of_any_size() -> None:
    # the convolution's output has a million values, of which some 16 thousand leave the graph
    side = 1024
    interface = Interface(height=side, width=side, classes=2, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.zeros((side, side, 3), np.uint8)
    image[:, 17] = 255  # a single bright column is seen, whatever the step of the sample
    found = collect_statistics(AnalyzedNetwork(large_network(side)), interface, [image], threads=1)
    assert found.histograms["logits"].max_magnitude == 3.0
    assert 0.9 * SAMPLES_PER_FRAME < found.histograms["logits"].total < 1.1 * SAMPLES_PER_FRAME
    assert found.grams["conv"].positions <= POSITIONS_PER_FRAME


def test_patches_are_what_the_weights_are_multiplied_with() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(0, 1, (6, 1, 3, 3)).astype(np.float32)
    attributes: dict[str, Any] = {
        "group": 3,
        "strides": [2, 1],
        "pads": [2, 1, 2, 1],
        "dilations": [2, 1],
    }
    graph = helper.make_graph(
        [helper.make_node("Conv", ["normalised", "w"], ["logits"], "conv", **attributes)],
        "padded",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, 10, 9])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 6, 5, 9])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    interface = Interface(height=10, width=9, classes=6, mean=(0, 0, 0), std=(1 / 255,) * 3)
    images = [random.integers(0, 9, (10, 9, 3)).astype(np.uint8) for _ in range(3)]
    gram = collect_statistics(AnalyzedNetwork(model), interface, images, threads=1).grams["conv"]
    assert (
        gram.positions == 3 * 45
    )  # fewer positions than are looked at in a large tensor, so all of them
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = [image.transpose(2, 0, 1)[None].astype(np.float32) for image in images]
    given = np.concatenate(
        [session.run(None, {"normalised": feed})[0][0].reshape(6, -1) for feed in feeds], 1
    )
    rows = np.concatenate([weight.reshape(3, 2, 9), np.zeros((3, 2, 1))], 2)
    energy = np.einsum("gri,gij,grj->gr", rows, gram.sums[0], rows).reshape(-1)
    np.testing.assert_allclose(energy, (given.astype(np.float64) ** 2).sum(1), rtol=1e-5)


def test_without_frames_there_is_no_calibration(network: ModelProto) -> None:
    with pytest.raises(ExportError, match="edgeseg add footage"):
        calibrate(network, INTERFACE, [], threads=1)


def test_a_calibration_is_stored_and_a_damaged_one_made_anew(
    tmp_path: Path, calibrated: CalibrationResult
) -> None:
    for number in range(6):
        calibration_cache.store_calibration(tmp_path, f"k{number}", calibrated)
    assert len(list(tmp_path.iterdir())) == calibration_cache.MAX_FILES
    found = calibration_cache.load_calibration(tmp_path, "k5")
    assert found is not None
    for flavour in FLAVOURS:
        one, other = (
            quantize(each, INTERFACE, flavour).SerializeToString() for each in (found, calibrated)
        )
        assert one == other
    whole = (tmp_path / "k5.npz").read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        b"no archive",
        whole[:5000] + bytes(200) + whole[5200:],
    ):
        (tmp_path / "k5.npz").write_bytes(damaged)
        assert calibration_cache.load_calibration(tmp_path, "k5") is None
    assert calibration_cache.load_calibration(tmp_path, "missing") is None


def test_the_key_of_a_calibration_follows_network_frames_and_size(network: ModelProto) -> None:
    other = ModelProto()
    other.CopyFrom(network)
    other.graph.initializer[0].raw_data = bytes(len(other.graph.initializer[0].raw_data))
    keys = {
        calibration_cache.cache_key(network, INTERFACE, ["a", "b"]),
        calibration_cache.cache_key(network, INTERFACE, ["b", "a"]),
        calibration_cache.cache_key(other, INTERFACE, ["a", "b"]),
        calibration_cache.cache_key(network, replace(INTERFACE, mean=(0, 0, 0)), ["a", "b"]),
    }
    assert len(keys) == 4
    fitted = INTERFACE.with_thresholds(2, 0.3)
    assert calibration_cache.cache_key(network, fitted, ["a", "b"]) in keys


def test_the_temperature_is_found_again() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (40_000, 4)).astype(np.float32)
    weights = np.exp(logits / 2.5)
    draws = random.random((len(logits), 1)) * weights.sum(1, keepdims=True)
    labels = (weights.cumsum(1) < draws).sum(1).astype(np.uint8)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)


def test_the_temperature_of_a_perfect_model_stays_within_its_bounds() -> None:
    labels = np.arange(300, dtype=np.uint8) % 3
    logits = np.eye(3, dtype=np.float32)[labels]
    assert 0.05 <= fit_temperature(logits, labels) < 0.06


def test_a_share_alpha_lies_above_gamma() -> None:
    entropies = [
        np.random.default_rng(seed).random((12, 16)).astype(np.float32) ** 3 for seed in range(20)
    ]
    gamma = fit_gamma(entropies, 0.2)
    found = frame_scores(entropies, gamma)
    assert found.mean() == pytest.approx(0.2, abs=1e-3) and gamma == float(np.float32(gamma))
    assert np.mean(found <= log_threshold(found)) >= 0.95


def test_the_race_times_every_graph(network: ModelProto, quantized: ModelProto) -> None:
    files = {
        "fp32": wrap_network(network, INTERFACE).SerializeToString(),
        "int8-cpu": quantized.SerializeToString(),
    }
    times = compare_latency(files, IMAGES[0], 1, 0, NullReporter())
    assert set(times) == set(files) and all(
        0 < timing.minimum <= timing.median for timing in times.values()
    )


def test_impressions_are_what_the_float_graph_gives(network: ModelProto) -> None:
    seen = frame_statistics(network, INTERFACE, IMAGES, threads=1)
    assert seen.features.shape == (6, 160) and seen.areas.shape == (
        6,
        3,
    )  # the encoder's last map has 160 channels
    session = open_session(wrap_network(network, INTERFACE).SerializeToString(), 1)
    for place, image in enumerate(IMAGES):
        area, score = session.run(["area", "score"], {"image": image[None]})
        np.testing.assert_array_equal(seen.areas[place], area[0])
        assert seen.scores[place] == score[0]


def test_all_that_a_concat_joins_has_one_scale_in_the_cpu_flavour(quantized: ModelProto) -> None:
    constants, producers = (
        constants_of(quantized),
        {node.output[0]: node for node in quantized.graph.node},
    )
    readers = {name: node for node in quantized.graph.node for name in node.input}
    joins = [node for node in quantized.graph.node if node.op_type == "Concat"]
    joined = [node for node in joins if not node.name.startswith("pixels.")]
    assert len(joined) == 2
    for node in joined:
        scales = {constants[producers[name].input[1]].item() for name in node.input}
        scales.add(constants[readers[node.output[0]].input[1]].item())
        assert len(scales) == 1
