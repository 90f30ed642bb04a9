"""Tables of the Q/DQ nodes in the INT8 files of the student networks: what `tests/golden/*.json`
hold.

A pattern is what gives a node's inputs, the node, and what reads its outputs, as in "DQ,DQ -> Conv
-> Relu"; constants are left out. Placement looks at neither weights nor ranges, so these are random
here and no frame is run: that a real calibration gives the same table is checked with
`--calibrate`.

    python -m tests.helpers.patterns              # compare
    python -m tests.helpers.patterns --update     # write tests/golden anew, after looking at what
    changed python -m tests.helpers.patterns --calibrate  # compare with files that were calibrated
    on pictures; minutes
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.calibration.histogram import Histogram
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect_kernels,
    integer_convolutions,
)
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD, fold_std
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate, quantize
from edgeseg.models import MEAN, STD, build_network
from tests.helpers.exporting import HEIGHT, WIDTH, picture

NETWORKS = (
    ("deeplabv3plus", "mobilenetv2_100"),
    ("fpn", "mobilenetv2_100"),
    ("unet", "mobilenetv2_100"),
    ("unet", "resnet18"),
)
FOLDER = Path(__file__).parents[1] / "golden"
SHORT = {"QuantizeLinear": "Q", "DequantizeLinear": "DQ"}
PLAIN = Interface(height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD)
INTERFACE = replace(PLAIN, std=UNIT_STD)  # what `trace` makes networks for
Table = dict[str, Any]  # Any: JSON


def trace(arch: str, encoder: str, seed: int = 0) -> ModelProto:
    torch.manual_seed(seed)
    return fold_std(
        canonicalize_names(
            lower(export_network(build_network(arch, encoder, 3).eval(), HEIGHT, WIDTH))
        ),
        PLAIN,
    )[0]


def pretended(network: ModelProto, seed: int) -> CalibrationResult:
    """A calibration of random ranges and weights; ranges keep the sign that activations force on
    them.
    """
    random, analyzed = np.random.default_rng(seed), AnalyzedNetwork(network)
    histograms = {}
    for name in analyzed.quantizable_tensors:
        histogram = histograms[name] = Histogram()
        giver = analyzed.topology.producers.get(name)
        values = random.normal(0, np.exp(random.normal()), 64).astype(np.float32)
        histogram.collect(
            np.abs(values) if giver is not None and giver.op_type in ("Clip", "Relu") else values
        )
    layers = {}
    for name, node in analyzed.quantizable_convs.items():
        shape = analyzed.constants[node.input[1]].shape
        integers = random.integers(-127, 128, shape).astype(np.int8)
        layers[name] = QuantizedConv(
            integers, np.full(shape[0], 0.01, np.float32), np.zeros(shape[0], np.float32)
        )
    return CalibrationResult(analyzed, histograms, layers)


def patterns(model: ModelProto) -> dict[str, int]:
    """How often each pattern occurs in a graph."""
    constants = {tensor.name for tensor in model.graph.initializer}
    kinds = {
        name: SHORT.get(node.op_type, node.op_type)
        for node in model.graph.node
        for name in node.output
    }
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(SHORT.get(node.op_type, node.op_type))
    for value in model.graph.output:
        readers[value.name].append("output")
    found: Counter[str] = Counter()
    for node in model.graph.node:
        before = [kinds.get(name, "input") for name in node.input if name and name not in constants]
        behind = sorted(reader for name in node.output for reader in readers[name])
        found[
            f"{','.join(before)} -> {SHORT.get(node.op_type, node.op_type)} -> {','.join(behind)}"
        ] += 1
    return dict(sorted(found.items()))


def table(calibrated: CalibrationResult) -> Table:
    """What is remembered of a network."""
    flavours: tuple[Int8Flavour, ...] = ("int8-trt", "int8-cpu")
    models = {flavour: quantize(calibrated, INTERFACE, flavour, "minmax") for flavour in flavours}
    return {
        "qlinearconv": inspect_kernels(models["int8-cpu"].SerializeToString()).quantized,
        **{
            flavour: {
                "integer": integer_convolutions(model),
                "float": float_convolutions(model),
                "patterns": patterns(model),
            }
            for flavour, model in models.items()
        },
    }


def golden(arch: str, encoder: str) -> Path:
    return FOLDER / f"{arch}-{encoder}.json"


def main() -> int:
    """Compare or update all tables; 1 if one differs."""
    update, real = "--update" in sys.argv, "--calibrate" in sys.argv
    differ = 0
    for arch, encoder in NETWORKS:
        network, path = trace(arch, encoder), golden(arch, encoder)
        calibrated = (
            calibrate(network, INTERFACE, [picture(seed)[0] for seed in range(2)]) if real else None
        )
        found = table(calibrated or pretended(network, 0))
        same = path.exists() and json.loads(path.read_text()) == found
        print(f"{path.name}: {'as it was' if same else 'written' if update else 'differs'}")
        if update:
            path.write_text(json.dumps(found, indent=1) + "\n")
        differ += not same and not update
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
