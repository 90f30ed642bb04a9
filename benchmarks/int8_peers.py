"""INT8 by edgeseg and by its peers, side by side: one float network, the same calibration frames,
the same val frames.

    python -m venv peers && peers/bin/pip install onnx onnxruntime nncf openvino
    python -m venv modelopt && modelopt/bin/pip install 'nvidia-modelopt[onnx]'
    python benchmarks/int8_peers.py --site sites/camvid --run runs/train/exp1 --work peers-work \
        --peers peers/bin/python --modelopt modelopt/bin/python [--seeds 3] [--threads 1]

Every tool gets the network alone (normalized frames to logits, opset 17) and 64 random unlabelled
frames, and runs in a process of its own whose time and peak memory are noted. Then all files are
measured in one process of the environment that has both engines: agreement with float, SQNR of the
logits, mIoU and worst class; and latency, interleaved in random order, OpenVINO's files in OpenVINO
with its FP32 rest pinned, all others in ONNX Runtime. What exists in the work folder is not made
again.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Any: this file also runs where neither edgeseg nor type stubs are installed
FRAMES = 64
LATENCY_ROUNDS = 40
KINDS = {  # name: which environment makes it
    "edgeseg-cpu": "own",
    "edgeseg-trt": "own",
    "ort-plain": "peers",
    "ort-u8s8": "peers",
    "ort-u8s8-9999": "peers",
    "nncf-onnx": "peers",
    "nncf-openvino": "peers",
    "modelopt-max": "modelopt",
    "modelopt-entropy": "modelopt",
}


def main() -> None:
    """Run the benchmark, or one step of it in another environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--site", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peers", help="a Python with onnxruntime, nncf and openvino")
    parser.add_argument("--modelopt", help="a Python with nvidia-modelopt")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        kind, seed = options.make.split(":")
        return make(kind, int(seed), options.work)
    if options.measure:
        return measure(options.work, options.threads)
    prepare(options.site, options.run, options.work, options.seeds)
    pythons = {"own": sys.executable, "peers": options.peers, "modelopt": options.modelopt}
    costs_file = options.work / "costs.json"
    costs = json.loads(costs_file.read_text()) if costs_file.exists() else {}
    for kind, home in KINDS.items():
        for seed in range(options.seeds):
            name = f"{kind}:{seed}"
            if name in costs or pythons[home] is None:
                continue
            costs[name] = _cost(
                [pythons[home], __file__, "--work", str(options.work), "--make", name]
            )
            print(f"{name:24} {costs[name]}", flush=True)
            costs_file.write_text(json.dumps(costs, indent=1))
    subprocess.run(
        [
            options.peers,
            __file__,
            "--work",
            str(options.work),
            "--measure",
            "--threads",
            str(options.threads),
        ],
        check=True,
    )


def _cost(command: list[str]) -> dict[str, Any]:
    """Seconds, CPU seconds and peak MB of a process and its children, imports included."""
    code = (
        "import resource, subprocess, sys, time, json; t = time.perf_counter();"
        "p = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(json.dumps({'seconds': round(time.perf_counter() - t, 1),"
        "'cpu': round(u.ru_utime + u.ru_stime, 1), 'mb': round(u.ru_maxrss / 1024),"
        "'fault': p.stderr.strip().splitlines()[-1:] if p.returncode else []}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def prepare(site_folder: Path, run: Path, work: Path, seeds: int) -> None:
    """The float network and the frames that all tools get."""
    if (work / "facts.json").exists():
        return
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import onnx

    from edgeseg.data.frame_reader import read_site_frame
    from edgeseg.export.graph.lowering import lower
    from edgeseg.export.graph.naming import canonicalize_names
    from edgeseg.export.graph.torch_export import export_network
    from edgeseg.imaging.resize import resize_image
    from edgeseg.models.model_files import load_model
    from edgeseg.site import Site

    work.mkdir(parents=True, exist_ok=True)
    site = Site.open(site_folder)
    model = load_model(run if run.exists() else site.root / run)
    card = model.card
    size = (card.height, card.width)
    onnx.save(
        canonicalize_names(lower(export_network(model.module.reparameterized(), *size))),
        work / "float.onnx",
    )
    frames = site.frames("unlabelled")
    for seed in range(seeds):
        chosen = np.random.default_rng(seed).choice(
            len(frames), min(FRAMES, len(frames)), replace=False
        )
        np.save(
            work / f"images-{seed}.npy",
            [resize_image(read_site_frame(site, frames[n])[0], size) for n in chosen],
        )
    pairs: list[Any] = [read_site_frame(site, frame) for frame in site.frames("val")]
    np.save(work / "val.npy", [resize_image(image, size) for image, _ in pairs])
    np.savez(work / "truth.npz", *[truth for _, truth in pairs])
    facts = {
        "mean": card.mean,
        "std": card.std,
        "classes": [spec.name for spec in card.classes],
        "size": size,
    }
    (work / "facts.json").write_text(json.dumps(facts))


def _normalized(work: Path, name: str) -> Iterator[Any]:
    """(1, 3, H, W) float32 of each frame."""
    facts = json.loads((work / "facts.json").read_text())
    mean, std = (np.array(facts[key], np.float32) for key in ("mean", "std"))
    for image in np.load(work / name):
        yield np.ascontiguousarray(
            ((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None]
        )


def make(kind: str, seed: int, work: Path) -> None:
    """Make one file."""
    target = work / f"{kind}-{seed}.onnx"
    frames = list(_normalized(work, f"images-{seed}.npy"))
    tool, _, variant = kind.partition("-")
    makers: dict[str, Callable[[], None]] = {
        "edgeseg": lambda: _edgeseg(variant, seed, work, target),
        "ort": lambda: _onnxruntime(variant, frames, work, target),
        "nncf": lambda: _nncf(variant, frames, work, target),
        "modelopt": lambda: _modelopt(variant, frames, work, target),
    }
    makers[tool]()


def _edgeseg(variant: str, seed: int, work: Path, target: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import onnx

    from edgeseg.export.graph.pre_post_processing import Interface
    from edgeseg.export.onnxruntime_cpu.graph_rewrites import rewrite_for_cpu
    from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
    from edgeseg.export.quantization.quantizer import calibrate
    from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt

    facts = json.loads((work / "facts.json").read_text())
    interface = Interface(
        height=facts["size"][0],
        width=facts["size"][1],
        classes=len(facts["classes"]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )
    made = calibrate(
        onnx.load(work / "float.onnx"),
        interface,
        list(np.load(work / f"images-{seed}.npy")),
        threads=1,
    )
    if variant == "trt":
        return onnx.save(place_qdq_tensorrt(made.plan("int8-trt", "mse")), target)
    plan = rewrite_for_cpu(made.plan("int8-cpu", "mse"))
    onnx.save(place_qdq_cpu(_with_planes_as_input(plan, facts["size"])), target)


def _with_planes_as_input(plan: Any, size: list[int]) -> Any:
    """Return the plan with a network that takes (1, 3, H, W) all the same: whole graphs have their
    channels last already at this point.
    """
    from dataclasses import replace

    from onnx import ModelProto, helper, numpy_helper

    from edgeseg.export.graph.analyzed_network import AnalyzedNetwork

    made = ModelProto()
    made.CopyFrom(plan.network.model)
    sides = made.graph.input[0].type.tensor_type.shape.dim
    last = np.array([1, sides[2].dim_value, sides[3].dim_value, sides[1].dim_value], np.int64)
    names = ["normalised", "normalised.last", "normalised.beside", "normalised.wide"]
    made.graph.initializer.append(numpy_helper.from_array(last, "normalised.shape"))
    for node in made.graph.node:
        node.input[:] = [names[-1] if name == names[0] else name for name in node.input]
    first = [
        helper.make_node(
            "Transpose", names[:1], names[1:2], "normalised.transpose", perm=[0, 2, 3, 1]
        ),
        helper.make_node(
            "Reshape", [names[1], "normalised.shape"], names[2:3], "normalised.reshape"
        ),
        helper.make_node("Transpose", names[2:3], names[3:], "normalised.back", perm=[0, 3, 1, 2]),
    ]
    rest = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*first, *rest])
    for side, length in zip(sides, (1, 3, *size)):
        side.dim_value = length
    ranges = {**plan.ranges, **dict.fromkeys(names, plan.ranges[names[0]])}
    return replace(plan, network=AnalyzedNetwork(made), ranges=ranges)


def _onnxruntime(variant: str, frames: list[Any], work: Path, target: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(frames)

        def get_next(self) -> Any:
            frame = next(self._left, None)
            return None if frame is None else {"normalised": frame}

    settings: dict[str, Any] = {}
    if variant != "plain":
        settings = {
            "quant_format": QuantFormat.QDQ,
            "activation_type": QuantType.QUInt8,
            "weight_type": QuantType.QInt8,
            "per_channel": True,
        }
    if variant.endswith("9999"):
        settings |= {
            "calibrate_method": CalibrationMethod.Percentile,
            "extra_options": {"CalibPercentile": 99.99},
        }
    quantize_static(str(work / "float.onnx"), str(target), Reader(), **settings)


def _nncf(variant: str, frames: list[Any], work: Path, target: Path) -> None:
    import nncf
    import openvino

    dataset = nncf.Dataset(frames, lambda frame: {"normalised": frame})
    if variant == "onnx":
        import onnx
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            QuantizationParameters,
        )

        plain = AdvancedQuantizationParameters(
            activations_quantization_params=QuantizationParameters(per_channel=False)
        )
        source = onnx.load(work / "float.onnx")
        onnx.save(
            nncf.quantize(source, dataset, subset_size=len(frames), advanced_parameters=plain),
            target,
        )
        return
    made = nncf.quantize(
        openvino.convert_model(work / "float.onnx"), dataset, subset_size=len(frames)
    )
    openvino.save_model(made, target.with_suffix(".xml"), compress_to_fp16=False)


def _modelopt(variant: str, frames: list[Any], work: Path, target: Path) -> None:
    from modelopt.onnx.quantization import quantize

    quantize(
        str(work / "float.onnx"),
        quantize_mode="int8",
        calibration_data={"normalised": np.concatenate(frames)},
        calibration_method=variant,
        calibration_eps=["cpu"],
        high_precision_dtype="fp32",
        output_path=str(target),
    )


def measure(work: Path, threads: int) -> None:
    """Measure all files there are."""
    facts = json.loads((work / "facts.json").read_text())
    costs = json.loads((work / "costs.json").read_text())
    truths = list(np.load(work / "truth.npz").values())
    frames = list(_normalized(work, "val.npy"))
    runs: dict[str, Any] = {"float": _session(work / "float.onnx", threads)}
    faults = {name: cost["fault"][0] for name, cost in costs.items() if cost["fault"]}
    for name in costs:
        path = work / f"{name.replace(':', '-')}.onnx"
        try:
            if path.exists():
                runs[name] = _session(path, threads)
            elif path.with_suffix(".xml").exists():
                runs[name] = _openvino(path.with_suffix(".xml"), threads)
            if name in runs:
                runs[name](frames[0])
        # What a tool's file does in an engine is what is being found out.
        except Exception as error:  # noqa: BLE001
            faults[name] = str(error).splitlines()[0][:160]
            runs.pop(name, None)
    wanted = np.stack([runs["float"](frame) for frame in frames])
    masks = [_mask(logits, facts["size"]) for logits in wanted]
    before = _iou(masks, truths, len(facts["classes"]))
    rows = {}
    for name, run in runs.items():
        found = np.stack([run(frame) for frame in frames])
        seen = [_mask(logits, facts["size"]) for logits in found]
        after = _iou(seen, truths, len(facts["classes"]))
        noise = float(((found - wanted) ** 2).sum())
        change = after - before
        rows[name] = {
            "miou": round(float(np.nanmean(after)), 2),
            "delta": round(float(np.nanmean(change)), 2),
            "worst": f"{np.nanmin(change):+.2f} {facts['classes'][int(np.nanargmin(change))]}",
            "agreement": round(100 * float(np.mean(np.stack(seen) == np.stack(masks))), 2),
            "sqnr": round(10 * float(np.log10((wanted**2).sum() / noise)), 1) if noise else None,
        }
    for name, ratio in _latency(runs, frames[0]).items():
        rows[name] |= ratio
    for name, row in rows.items():
        path = work / f"{name.replace(':', '-')}.onnx"
        sizes = [each.stat().st_size for each in (path, path.with_suffix(".bin")) if each.exists()]
        row["mb"] = round(sum(sizes) / 1e6, 2)
        row |= {
            f"make_{key}": costs[name][key] for key in ("seconds", "cpu", "mb") if name in costs
        }
        print(f"{name:22} {json.dumps(row)}")
    for name, fault in faults.items():
        print(f"{name:22} failed: {fault}")
    print(
        json.dumps(
            {"rows": rows, "faults": faults, "machine": platform.processor(), "threads": threads}
        )
    )


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda frame: session.run(["logits"], {"normalised": frame})[0][0]


def _openvino(path: Path, threads: int) -> Any:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda frame: request.infer({0: frame})[0][0].copy()


def _mask(logits: Any, size: list[int]) -> Any:
    """Classes after bilinear upsampling with half-pixel centers, as the exported graph does it."""

    def weights(new: int, old: int) -> Any:
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        high, share = np.minimum(low + 1, old - 1), (place - low).astype(np.float32)
        matrix = np.zeros((new, old), np.float32)
        np.add.at(matrix, (np.arange(new), low), 1 - share)
        np.add.at(matrix, (np.arange(new), high), share)
        return matrix

    down, across = weights(size[0], logits.shape[1]), weights(size[1], logits.shape[2])
    return (down @ logits @ across.T).argmax(0).astype(np.uint8)


def _iou(masks: list[Any], truths: list[Any], classes: int) -> Any:
    counts = np.zeros((classes, classes), np.int64)
    for mask, truth in zip(masks, truths):
        rows = np.arange(truth.shape[0]) * mask.shape[0] // truth.shape[0]
        columns = np.arange(truth.shape[1]) * mask.shape[1] // truth.shape[1]
        predicted, kept = mask[np.ix_(rows, columns)], truth < classes
        pairs = truth[kept].astype(np.int64) * classes + predicted[kept]
        counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hit = np.diag(counts).astype(float)
    union = counts.sum(0) + counts.sum(1) - hit
    return 100 * np.divide(
        hit, union, out=np.full(classes, np.nan), where=(union > 0) & (counts.sum(1) > 0)
    )


def _latency(runs: dict[str, Any], frame: Any) -> dict[str, dict[str, float]]:
    """Milliseconds, and how many times as fast as float: by minima and by medians."""
    chosen = {name: run for name, run in runs.items() if name == "float" or name.endswith(":0")}
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    random = np.random.default_rng(0)
    for _ in range(LATENCY_ROUNDS):
        for name in random.permutation(list(chosen)):
            chosen[name](frame)
            begin = time.perf_counter()
            chosen[name](frame)
            taken[name].append(1000 * (time.perf_counter() - begin))
    base = taken["float"]
    return {
        name: {
            "ms": round(min(times), 2),
            "speed": round(min(base) / min(times), 2),
            "speed_median": round(float(np.median(base) / np.median(times)), 2),
        }
        for name, times in taken.items()
    }


if __name__ == "__main__":
    main()
