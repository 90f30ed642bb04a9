"""What calibration buys, and what it costs.

    python benchmarks/calibration.py --site sites/camvid --run runs/train/exp1 \\
        [--sizes 16,32,64,128,256] [--cost]

Without `--cost`: agreement, SQNR of the logits, mIoU and worst class of both INT8 flavours on the
site's val frames, for each number of frames and strategy, and at 64 frames for each estimator with
and without equalized channels and rounding by inputs. With `--cost`: seconds and peak memory of
calibrating with 16, 64 and 256 frames, and of ONNX Runtime's own calibrators beside them (which
keep what they see: 64 frames of 192x256 take 6 GB), each in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.bundle.flavours import INT8_FLAVOURS
from edgeseg.calibration.frame_selection import Strategy, calibration_candidates, select_frames
from edgeseg.calibration.histogram import INT8_STEPS, Histogram
from edgeseg.calibration.registry import ESTIMATORS
from edgeseg.export.evaluation.figures import accuracy_metrics, sqnr
from edgeseg.export.evaluation.parity import evaluate_graph, sample_logits
from edgeseg.export.evaluation.site_frames import CalibrationImages, ValFrames
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.activation_statistics import collect_statistics, frame_statistics
from edgeseg.export.quantization.quantizer import (
    CalibrationResult,
    calibrate,
    layer_parameters,
    quantize,
)
from edgeseg.models.model_files import load_model
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site

USUAL = 64
STRATEGIES: tuple[tuple[Strategy, float], ...] = (
    ("random", 0.0),
    ("spread", 0.0),
    ("kcentre", 0.0),
    ("classes", 0.0),
    ("spread", 0.25),
)


class Bench:
    """A float network of a site and its val frames."""

    def __init__(self, site: Site, run: Path, size: tuple[int, int] | None, threads: int) -> None:
        self.site, self.threads = site, threads
        self.network, self.interface = float_network(run, size)
        self.size = (self.interface.height, self.interface.width)
        self.val = ValFrames(site, site.frames("val"), self.size)
        whole = wrap_network(self.network, self.interface)
        self.outcome = evaluate_graph(whole.SerializeToString(), self.val, threads, NullReporter())
        self.samples = sample_logits(whole, self.val, threads, NullReporter())

    def images(self, frames: Sequence[Frame]) -> CalibrationImages:
        return CalibrationImages(self.site, list(frames), self.size)

    def row(
        self, label: str, calibrated: CalibrationResult, estimator: str = "mse"
    ) -> dict[str, Any]:  # Any: JSON
        """Measure both flavours and print them."""
        found: dict[str, Any] = {"label": label}
        for flavour in INT8_FLAVOURS:
            model = quantize(calibrated, self.interface, flavour, estimator)
            outcome = evaluate_graph(
                model.SerializeToString(), self.val, self.threads, NullReporter()
            )
            one = accuracy_metrics(outcome, self.site.config.class_names, self.outcome)
            logits = sample_logits(model, self.val, self.threads, NullReporter()).logits
            found[flavour] = {
                key: one[key] for key in ("agreement", "drop", "drop_interval", "worst_class")
            }
            found[flavour]["sqnr"] = round(sqnr(logits, self.samples.logits), 2)
        cells = [
            f"{row['agreement']:.2f} % {row['sqnr']:5.2f} dB {row['drop']:+.2f} "
            f"{row['worst_class']['drop']:5.2f}"
            for row in (found[flavour] for flavour in INT8_FLAVOURS)
        ]
        print(f"{label:44} | {' | '.join(cells)}", flush=True)
        return found


def float_network(run: Path, size: tuple[int, int] | None) -> tuple[ModelProto, Interface]:
    """The network of a run as it is exported, at its own size if none is given."""
    model = load_model(run, size=size)
    card = model.card
    height, width = size or (card.height, card.width)
    made = canonicalize_names(lower(export_network(model.module.reparameterized(), height, width)))
    interface = Interface(
        height=height, width=width, classes=len(card.classes), mean=card.mean, std=card.std
    )
    return fold_std(made, interface)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument(
        "--run", type=Path, required=True, help="a finished run, in the site or not"
    )
    parser.add_argument("--sizes", default="16,32,64,128,256")
    parser.add_argument(
        "--imgsz",
        type=lambda text: tuple(map(int, text.split("x"))),
        help="HEIGHTxWIDTH; the run's own",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    site = Site.open(options.site)
    run = options.run if options.run.exists() else site.root / options.run
    if options.one:
        return _one_cost(site, run, options.imgsz, *options.one.split(","))
    if options.cost:
        return _costs(options)
    bench = Bench(site, run, options.imgsz, options.threads)
    frames = calibration_candidates(site, USUAL)
    print(
        f"{len(frames)} frames to choose from, {len(bench.val.frames)} val frames, "
        f"{bench.size[0]}x{bench.size[1]}"
    )
    print(f"{'':44} | int8-cpu: agreement, SQNR, drop, worst class | int8-trt")
    seen = frame_statistics(
        bench.network, bench.interface, bench.images(frames), threads=options.threads
    )
    rows = []
    for number in map(int, options.sizes.split(",")):
        chosen = select_frames(frames, number, "random")
        rows.append(bench.row(f"{len(chosen)} frames, random", _calibrated(bench, chosen)))
    for strategy, hard in STRATEGIES[1:]:
        chosen = select_frames(frames, USUAL, strategy, statistics=seen, hard_share=hard)
        rows.append(
            bench.row(
                f"{USUAL} frames, {strategy}, {hard:.0%} hard ones", _calibrated(bench, chosen)
            )
        )
    images = bench.images(select_frames(frames, USUAL, "random"))
    whole = calibrate(bench.network, bench.interface, images, threads=options.threads)
    network = AnalyzedNetwork(bench.network)
    plain = collect_statistics(network, bench.interface, images, threads=options.threads)
    variants = {
        "channels as they are, weights to the nearest": CalibrationResult(
            network, plain.histograms, _nearest(network, plain.histograms)
        ),
        "channels equalized, weights to the nearest": replace(
            whole, layers=_nearest(whole.network, whole.histograms)
        ),
        "channels equalized, weights by inputs": whole,
    }
    for label, calibrated in variants.items():
        for estimator in ESTIMATORS:
            rows.append(bench.row(f"{label[:30]}... {estimator}", calibrated, estimator))
            rows[-1]["label"] = f"{label}, {estimator}"
    print(json.dumps({"site": site.config.name, "machine": platform.processor(), "rows": rows}))


def _calibrated(bench: Bench, frames: Sequence[Frame]) -> CalibrationResult:
    return calibrate(bench.network, bench.interface, bench.images(frames), threads=bench.threads)


def _nearest(
    network: AnalyzedNetwork, histograms: dict[str, Histogram]
) -> dict[str, QuantizedConv]:
    """Return layers whose weights are rounded each by itself."""
    layers = {}
    for name, (weight, bias, scales) in layer_parameters(network, histograms).items():
        nearest = np.rint(weight / scales[:, None, None, None])
        weight_int8 = np.clip(nearest, -INT8_STEPS, INT8_STEPS).astype(np.int8)
        layers[name] = QuantizedConv(weight_int8, scales, bias)
    return layers


def _costs(options: argparse.Namespace) -> None:
    """Each in a process of its own, so that peaks do not mix."""
    print(f"{'':28} seconds  CPU seconds  peak MB")
    for kind in ("edgeseg", "ort-minmax", "ort-percentile"):
        for number in (16, 64, 256) if kind == "edgeseg" else (16, 64):
            command = [
                sys.executable,
                __file__,
                "--site",
                options.site,
                "--run",
                options.run,
                "--one",
                f"{kind},{number}",
                *(["--imgsz", "x".join(map(str, options.imgsz))] if options.imgsz else []),
            ]
            done = subprocess.run(
                command, env=os.environ, capture_output=True, text=True, check=False
            )
            last = done.stdout.strip().splitlines()[-1:]  # ONNX Runtime's calibrators talk
            print(
                *(last or [kind, str(number), *done.stderr.strip().splitlines()[-1:]]), flush=True
            )


def _one_cost(site: Site, run: Path, size: tuple[int, int] | None, kind: str, number: str) -> None:
    frames = select_frames(calibration_candidates(site, int(number)), int(number), "random")
    network, interface = float_network(run, size)
    images = CalibrationImages(site, frames, (interface.height, interface.width))
    _ = [images[place] for place in range(min(4, len(images)))]
    _reset_peak()
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    if kind == "edgeseg":
        calibrate(network, interface, images, threads=1)
    else:
        _onnxruntime(network, interface, images, kind.removeprefix("ort-"))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _peak() - before
    print(
        f"{kind + ', ' + number + ' frames':28} {wall:7.1f} {cpu:12.1f} "
        f"{peak:8.0f} more than {before:.0f}"
    )


def _onnxruntime(
    network: Any, interface: Interface, images: Sequence[NDArray[np.uint8]], kind: str
) -> None:
    """The same network through ONNX Runtime's calibrators; Any: ModelProto."""
    import tempfile

    import onnx
    from onnxruntime.quantization.calibrate import (
        CalibrationDataReader,
        CalibrationMethod,
        create_calibrator,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._places = iter(range(len(images)))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            place = next(self._places, None)
            if place is None:
                return None
            mean, std = (np.array(values, np.float32) for values in (interface.mean, interface.std))
            image = (images[place].astype(np.float32) / 255 - mean) / std
            return {"normalised": np.ascontiguousarray(image.transpose(2, 0, 1)[None])}

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(network, source)
        method = CalibrationMethod.MinMax if kind == "minmax" else CalibrationMethod.Percentile
        calibrator = create_calibrator(
            source, None, str(Path(folder) / "augmented.onnx"), calibrate_method=method
        )
        calibrator.collect_data(Reader())
        calibrator.compute_data()


def _reset_peak() -> None:
    """Begin to measure the peak anew, where the kernel lets a process do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
