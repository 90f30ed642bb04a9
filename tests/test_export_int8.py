"""The INT8 file: every convolution on codes, zero points 0 or 128, per-channel weights, close to the float file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.calibration.percentile import Percentile
from edgeseg.config import ExportConfig
from edgeseg.errors import ExportError
from edgeseg.export.gates import refusal
from edgeseg.export.graph import lower, rename
from edgeseg.export.int8 import SAMPLES, Ranges, collect_ranges, inspect, quantise
from edgeseg.export.interface import Interface, wrap
from edgeseg.export.onnx import export_network
from edgeseg.export.session import open_session
from edgeseg.export.speed import race
from edgeseg.export.thresholds import fit_gamma, fit_temperature, log_threshold, scores
from edgeseg.models import MEAN, STD, build
from edgeseg.progress import Silent
from tests.exportkit import ENCODER, HEIGHT, WIDTH, picture

INTERFACE = Interface(height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD)
IMAGES = [picture(seed)[0] for seed in range(6)]


@pytest.fixture(scope="module")
def network() -> ModelProto:
    torch.manual_seed(0)
    made = build("deeplabv3plus", ENCODER, 3)
    made.train()
    with torch.no_grad():  # batch norms learn the statistics of these frames, without which activations would vanish
        batch = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2).float() / 255
        for _ in range(10):
            made((batch - 0.45) / 0.22)
    return rename(lower(export_network(made.eval(), HEIGHT, WIDTH)))


@pytest.fixture(scope="module")
def ranges(network: ModelProto) -> Ranges:
    return collect_ranges(network, INTERFACE, IMAGES, threads=1)


@pytest.fixture(scope="module")
def quantised(network: ModelProto, ranges: Ranges) -> ModelProto:
    return quantise(network, INTERFACE, ranges)


def test_every_convolution_runs_on_codes(network: ModelProto, quantised: ModelProto) -> None:
    kernels = inspect(network, quantised.SerializeToString())
    assert kernels.quantised == kernels.convolutions > 50
    assert kernels.conversions <= 6  # in, out, and around the one bilinear resize of the decoder


def test_activations_are_unsigned_with_zero_points_at_the_end_or_the_middle(quantised: ModelProto) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    nodes = [node for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    points = [constants[node.input[2]] for node in nodes]
    assert {point.dtype for point in points} == {np.dtype(np.uint8)}
    assert {point.item() for point in points} == {0, 128}


def test_weights_are_signed_with_a_scale_per_channel(quantised: ModelProto) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    producers = {node.output[0]: node for node in quantised.graph.node}
    convolutions = [node for node in quantised.graph.node if node.op_type == "Conv"]
    for node in convolutions:
        weight = producers[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        codes, scale = constants[weight.input[0]], constants[weight.input[1]]
        assert codes.dtype == np.int8 and len(scale) == len(codes)


def test_only_the_network_is_quantised(quantised: ModelProto) -> None:
    around = [node for node in quantised.graph.node if node.name.startswith(("before.", "after."))]
    assert {"ArgMax", "Exp", "Log"} <= {node.op_type for node in around}
    assert not any("Linear" in node.op_type for node in around)
    assert [(entry.domain, entry.version) for entry in quantised.opset_import] == [("", 17)]
    assert quantised.ir_version == 8 and not quantised.functions
    assert [out.type.tensor_type.elem_type for out in quantised.graph.output] == [TensorProto.UINT8] + 3 * [1]


def test_it_is_close_to_the_float_file(network: ModelProto, quantised: ModelProto) -> None:
    ours, theirs = (open_session(model.SerializeToString(), 1) for model in (quantised, wrap(network, INTERFACE)))
    for seed in range(50, 53):  # frames that calibrated nothing
        image = picture(seed)[0][None]
        one, other = (session.run(["entropy"], {"image": image})[0] for session in (ours, theirs))
        assert np.abs(one - other).mean() < 0.03


def test_quantising_twice_gives_the_same_bytes(network: ModelProto, ranges: Ranges, quantised: ModelProto) -> None:
    assert quantise(network, INTERFACE, ranges).SerializeToString() == quantised.SerializeToString()


def test_ranges_are_those_of_the_tensors(ranges: Ranges) -> None:
    low, high = ranges["normalised"]
    values = (np.stack(IMAGES) / 255 - np.array(MEAN)) / np.array(STD)
    assert -low == high == pytest.approx(np.quantile(np.abs(values), 0.9999), rel=0.02)
    relu6 = [limits for name, limits in ranges.items() if name.startswith("clip_")]
    assert relu6 and all(low == 0 and high <= 6 for low, high in relu6)


def test_calibration_takes_a_bounded_sample_from_tensors_of_any_size() -> None:
    side = 1024  # the convolution's output has a million values, of which some 16 thousand leave the graph
    weight = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    large = helper.make_model(
        helper.make_graph(
            [helper.make_node("Conv", ["normalised", "w"], ["logits"], "conv")],
            "large",
            [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, side, side])],
            [weight],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(large)
    seen: list[int] = []

    class Spy(Percentile):
        def collect(self, values: NDArray[np.float32]) -> None:
            seen.append(values.size)
            super().collect(values)

    interface = Interface(height=side, width=side, classes=2, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.zeros((side, side, 3), np.uint8)
    image[:, 17] = 255  # a single bright column is seen, whatever the step of the sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeseg.export.int8.Percentile", Spy)
        found = collect_ranges(large, interface, [image], threads=1)
    assert found["logits"] == (0.0, 3.0)
    assert seen and max(seen) < 1.1 * SAMPLES


def test_without_frames_there_are_no_ranges(network: ModelProto) -> None:
    with pytest.raises(ExportError, match="edgeseg add footage"):
        collect_ranges(network, INTERFACE, [], threads=1)


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
    entropies = [np.random.default_rng(seed).random((12, 16)).astype(np.float32) ** 3 for seed in range(20)]
    gamma = fit_gamma(entropies, 0.2)
    found = scores(entropies, gamma)
    assert found.mean() == pytest.approx(0.2, abs=1e-3) and gamma == float(np.float32(gamma))
    assert np.mean(found <= log_threshold(found)) >= 0.95


def figures(**changes: float) -> dict[str, float]:
    return {"miou": 60.0, "drop": 0.2, "speedup": 2.0, "convolutions": 66, "quantised": 66} | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drop": 0.7}, ["0.70 mIoU", "60.70 to 60.00", "--max-drop 0.5"]),
        ({"speedup": 0.9}, ["0.90x", "--min-speedup 1"]),
        ({"quantised": 40}, ["40 of its 66"]),
        ({"drop": 5.0, "speedup": 0.5}, ["5.00 mIoU", "0.50x"]),
    ],
)
def test_a_bad_file_is_refused_by_name_with_its_figures(changes: dict[str, float], words: list[str]) -> None:
    why = refusal("model.int8-cpu.onnx", figures(**changes), ExportConfig())
    assert why is not None and why.startswith("model.int8-cpu.onnx was refused") and all(word in why for word in words)


def test_a_good_file_passes_and_one_without_speed_is_not_judged_by_it() -> None:
    assert refusal("model.int8-cpu.onnx", figures(), ExportConfig()) is None
    assert refusal("model.int8-cpu.onnx", figures(drop=-1.0), ExportConfig(max_drop=0)) is None
    assert refusal("model.fp16.onnx", {"miou": 60.0, "drop": 0.0}, ExportConfig(min_speedup=2)) is None


def test_the_race_times_every_graph(network: ModelProto, quantised: ModelProto) -> None:
    files = {"fp32": wrap(network, INTERFACE).SerializeToString(), "int8-cpu": quantised.SerializeToString()}
    times = race(files, IMAGES[0], 1, 0, Silent())
    assert set(times) == set(files) and all(0 < timing.minimum <= timing.median for timing in times.values())
