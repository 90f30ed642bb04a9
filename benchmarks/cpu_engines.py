"""ONNX Runtime and OpenVINO side by side on this CPU, with edgeseg's own files.

    python benchmarks/cpu_engines.py --student deeplabv3plus/mobilenetv2_100 --imgsz 192x256
    python benchmarks/cpu_engines.py BUNDLE [BUNDLE ...] [--threads 1,2] [--rounds 40]

Needs `pip install 'edgeseg[export,train,openvino]'`. Each frame goes to each file on each engine,
in a new order every time; a timed run follows one that warms the caches. Shown are processor time,
which other work on the machine hardly changes, and the time on the clock, which is what counts on
an idle one; fastest and median. A student's weights are random, which changes no speed; what its
predictions say means nothing, so agreement is shown of bundles alone: on their golden frames, with
what the file computes in exact arithmetic (every node as it stands, codes as floats) and with FP32,
and how far entropies are from those of exact arithmetic in the mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32, INT8_CPU, INT8_FLAVOURS, INT8_TRT, Flavour
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.bundle.graph_signature import OUTPUTS
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.processor import processor_identity
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.openvino import library
from edgeseg.runtime.backends.openvino.inference_request import run_request

Frame = NDArray[np.uint8]
Run = Callable[[Frame], Prediction]
RUN_BY_ONNXRUNTIME: tuple[Flavour, ...] = (FP32, INT8_CPU)
RUN_BY_OPENVINO: tuple[Flavour, ...] = (FP32, INT8_CPU, INT8_TRT)


@dataclass(frozen=True)
class Model:
    """Files of one network, and frames for it, (1, H, W, 3) each."""

    name: str
    files: dict[Flavour, bytes]
    frames: list[Frame]
    trained: bool  # its predictions mean something


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", type=Path, nargs="*", metavar="BUNDLE")
    parser.add_argument("--student", action="append", default=[], metavar="ARCH/ENCODER")
    parser.add_argument("--imgsz", action="append", metavar="HEIGHTxWIDTH", help="of students")
    parser.add_argument("--classes", type=int, default=11, help="of students")
    parser.add_argument("--threads", default="1,2", help="with commas between")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    if not options.bundles and not options.student:
        sys.exit("name a BUNDLE, or a network with --student; --help has an example")
    sizes = [tuple(map(int, text.split("x"))) for text in options.imgsz or ["192x256"]]
    rows: list[dict[str, Any]] = []  # Any: JSON
    for model in _models(options, sizes):
        for threads in map(int, options.threads.split(",")):
            measured = _measure(model, threads, options.rounds)
            _print_rows(measured)
            rows += measured
    facts = {
        "processor": processor_identity(),
        "openvino": library.installed_version(),
        "load": os.getloadavg()[0],
    }
    print(json.dumps({**facts, "rows": rows}))


def _models(options: argparse.Namespace, sizes: list[tuple[int, ...]]) -> Iterator[Model]:
    for path in options.bundles:
        bundle = Bundle.open(path)
        golden = read_golden_frames(bundle)
        if golden is None:
            sys.exit(f"{path} brings no golden frames; export it again")
        files = {
            flavour: read_verified_graph(bundle, flavour)
            for flavour in RUN_BY_OPENVINO
            if bundle.holds(flavour)
        }
        yield Model(path.name, files, [frame[None] for frame in golden.frames], True)
    for name in options.student:
        for height, width in sizes:
            yield _student(name, (height, width), options.classes)


def _student(name: str, size: tuple[int, int], classes: int) -> Model:
    """Export a network with random weights as FP32 and both INT8 files."""
    import torch

    from edgeseg.export.graph.lowering import lower
    from edgeseg.export.graph.naming import canonicalize_names
    from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
    from edgeseg.export.graph.torch_export import export_network
    from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
    from edgeseg.export.quantization.quantizer import calibrate, quantize
    from edgeseg.models import build_network
    from edgeseg.students.speed import benchmark_images, fit_batch_norms

    arch, _, encoder = name.partition("/")
    images = benchmark_images(None, size)
    torch.manual_seed(0)
    network = build_network(arch, encoder, classes, size=size)
    fit_batch_norms(network, images)
    mean, std = network.normalization
    interface = Interface(height=size[0], width=size[1], classes=classes, mean=mean, std=std)
    exported = export_network(network.eval().reparameterized(), *size)
    graph, interface = fold_std(canonicalize_names(lower(exported)), interface)
    calibrated = calibrate(graph, interface, images)
    files: dict[Flavour, bytes] = {FP32: wrap_network(graph, interface).SerializeToString()}
    for flavour in INT8_FLAVOURS:
        files[flavour] = quantize(calibrated, interface, flavour).SerializeToString()
    frames = [np.asarray(image)[None] for image in images]
    return Model(f"{name} {size[0]}x{size[1]}", files, frames, False)


def _onnxruntime(data: bytes, threads: int, *, exact: bool = False) -> Run:
    session = open_session(data, threads, plain=exact)
    return lambda frame: Prediction(*session.run(OUTPUTS, {"image": frame}))


def _openvino(data: bytes, threads: int) -> Run:
    core = library.import_openvino().Core()
    settings = library.compile_settings(threads, 1)
    model = core.compile_model(core.read_model(data, b""), library.DEVICE, settings)
    request = model.create_infer_request()
    return lambda frame: run_request(request, frame)


def _measure(model: Model, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each file on each engine."""
    runs: dict[tuple[str, Flavour], Run] = {}
    for flavour, data in model.files.items():
        if flavour in RUN_BY_ONNXRUNTIME:
            runs["ONNX Runtime", flavour] = _onnxruntime(data, threads)
        if flavour in RUN_BY_OPENVINO:
            runs["OpenVINO", flavour] = _openvino(data, threads)
    processor: dict[Any, list[float]] = {name: [] for name in runs}
    clock: dict[Any, list[float]] = {name: [] for name in runs}
    generator = np.random.default_rng(0)
    for index in range(rounds):
        frame = model.frames[index % len(model.frames)]
        for place in generator.permutation(len(runs)):
            name = list(runs)[place]
            runs[name](frame)
            spent, began = time.process_time(), time.perf_counter()
            runs[name](frame)
            clock[name].append(1000 * (time.perf_counter() - began))
            processor[name].append(1000 * (time.process_time() - spent))
    agreements = _agreements(model, runs) if model.trained else {}
    base = min(processor["ONNX Runtime", FP32])
    return [
        {
            "model": model.name,
            "threads": threads,
            "engine": name[0],
            "file": FLAVOURS[name[1]].file,
            "processor_ms": [min(processor[name]), float(np.median(processor[name]))],
            "clock_ms": [min(clock[name]), float(np.median(clock[name]))],
            "times_as_fast": base / min(processor[name]),
            **agreements.get(name, {}),
        }
        for name in runs
    ]


def _agreements(model: Model, runs: dict[tuple[str, Flavour], Run]) -> dict[Any, dict[str, float]]:
    """Return for each run how its predictions agree with exact arithmetic and with FP32."""
    exact = {
        flavour: [run(frame) for frame in model.frames]
        for flavour, run in (
            (flavour, _onnxruntime(data, 1, exact=True)) for flavour, data in model.files.items()
        )
    }

    def same_classes(found: list[Prediction], others: list[Prediction]) -> float:
        shares = [(one.mask == other.mask).mean() for one, other in zip(found, others)]
        return float(100 * np.mean(shares))

    results = {}
    for name, run in runs.items():
        found, same = [run(frame) for frame in model.frames], exact[name[1]]
        results[name] = {
            "agreement_exact": same_classes(found, same),
            "agreement_fp32": same_classes(found, exact[FP32]),
            "entropy_error": float(
                np.mean([np.abs(a.entropy - b.entropy).mean() for a, b in zip(found, same)])
            ),
        }
    return results


def _print_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        cells = [row["model"], str(row["threads"]), row["engine"], row["file"]]
        cells += ["{:.2f}, {:.2f}".format(*row[key]) for key in ("processor_ms", "clock_ms")] + [
            f"{row['times_as_fast']:.2f}"
        ]
        if "agreement_exact" in row:
            cells += [f"{row[key]:.2f} %" for key in ("agreement_exact", "agreement_fp32")]
            cells.append(f"{row['entropy_error']:.4f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
