"""Where the time of an INT8 file goes on one thread, node by node, and that of a frame around it.

    python benchmarks/session_profile.py BUNDLE [--clip CLIP ...] [--runs 60]
    python benchmarks/session_profile.py --student lraspp/mobilenetv2_100 --imgsz 384x512

ONNX Runtime's profiler times each node; a row is the sum over its nodes of the median of all runs,
and of the fastest. On a busy machine read the fastest: a node that takes longer than a time slice
is interrupted in nearly every run. A student has random weights, so classes meet nearly everywhere
in its mask, the worst case of what makes masks.

With a clip, "CPU ms" is the processor time that each step takes of a frame, on one thread: ONNX
Runtime and the decoder have one each.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto

from edgeseg.bundle import FLAVOURS, Bundle
from edgeseg.bundle.flavours import INT8_CPU
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.onnx_helpers import attributes_of, constants_of
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.imaging.resize import resize_mask
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.models import build_network
from edgeseg.models.student_networks import Student
from edgeseg.runtime.backends.frame_prediction import fit_of_frame, restore_prediction
from edgeseg.runtime.backends.onnxruntime_backend import DISABLED_OPTIMIZERS
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.students.speed import benchmark_images, fit_batch_norms

SHOWN = 0.005  # of the time; nodes that take less are not listed one by one
ENTROPY = ["temper", "max", "shift", "exp", "sum", "product", "terms_sum", "divide", "log"]
ENTROPY += ["subtract", "normalise", "clip"]
SCORE = ["greater", "unreliable_cast", "mean"]
AREA = ["slice", "picked_cast", "unsqueeze", "equal", "is_class_cast", "pool", "reshape"]
ONE_THREAD = 1
Timings = dict[tuple[str, str], list[int]]  # microseconds by name and kind of a node


def student_file(student: Student, size: tuple[int, int], classes: int) -> bytes:
    """Return the INT8 file of a network with random weights."""
    images = benchmark_images(None, size)
    torch.manual_seed(0)
    network = build_network(*student, classes, size=size)
    fit_batch_norms(network, images)
    mean, std = network.normalization
    plain = Interface(height=size[0], width=size[1], classes=classes, mean=mean, std=std)
    exported = export_network(network.eval().reparameterized(), *size)
    graph, interface = fold_std(canonicalize_names(lower(exported)), plain)
    calibrated = calibrate(graph, interface, images, threads=ONE_THREAD)
    return bytes(quantize(calibrated, interface, INT8_CPU).SerializeToString())


def profile(data: bytes, image: Image, runs: int) -> Timings:
    """Run a file on an image and return the times of its nodes, in order."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = ONE_THREAD
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            data,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=DISABLED_OPTIMIZERS,
        )
        for _ in range(runs):
            session.run(None, {"image": image[None]})
        events = json.loads(Path(session.end_profiling()).read_text())
    timings: Timings = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            timings[name, event["args"]["op_name"]].append(event["dur"])
    return timings


def convolution_kinds(model: ModelProto) -> dict[str, str]:
    """Return what each convolution of a file is, by name."""
    constants = constants_of(model)
    producers = {node.output[0]: node for node in model.graph.node}
    kinds = {}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        weight = constants[producers[node.input[1]].input[0]]
        groups = attributes_of(node).get("group", 1)
        window = "x".join(str(side) for side in weight.shape[2:])
        spread = "depthwise" if groups == len(weight) > 1 else "grouped" if groups > 1 else "dense"
        kinds[node.name] = f"convolutions, {spread} {window}"
    return kinds


def group_of(name: str, operator: str, convolutions: dict[str, str]) -> str:
    """Return the row of the table that a node belongs to."""
    if name.startswith("after."):
        part = name.removeprefix("after.")
        for group, parts in (("entropy", ENTROPY), ("score", SCORE), ("area", AREA)):
            if part in parts:
                return group
        return "from logits to the mask"
    if name.startswith(("before.", "pixels.")):
        return "pre-processing"
    if operator == "QLinearConv":
        layer = name.partition("_token_")[0]
        return convolutions.get(layer, "convolutions")
    if name.startswith("logits."):
        return "entropy"
    if operator in ("QuantizeLinear", "DequantizeLinear", "Transpose"):
        return f"{operator} inside the network"
    return f"network: {operator.removeprefix('QLinear')}"


def print_profile(data: bytes, image: Image, runs: int) -> dict[str, float]:
    """Print the table of a file, and return the percentages of the fastest runs."""
    timings = profile(data, image, runs)
    kinds = convolution_kinds(onnx.load_from_string(data))
    fastest: dict[str, float] = defaultdict(float)
    medians: dict[str, float] = defaultdict(float)
    for (name, operator), times in timings.items():
        group = group_of(name, operator, kinds)
        fastest[group] += min(times) / 1000
        medians[group] += statistics.median(times) / 1000
    whole = sum(fastest.values())
    print("| | fastest, ms | median, ms | % |\n|---|---|---|---|")
    for group in sorted(fastest, key=lambda group: -fastest[group]):
        share = 100 * fastest[group] / whole
        print(f"| {group} | {fastest[group]:.3f} | {medians[group]:.3f} | {share:.1f} |")
    print(f"| all | {whole:.2f} | {sum(medians.values()):.2f} | 100 |\n")
    for (name, operator), times in sorted(timings.items(), key=lambda entry: -min(entry[1])):
        if operator != "QLinearConv" and min(times) > 1000 * SHOWN * whole:
            print(f"{min(times) / 10 / whole:5.1f} % {min(times):6d} us  {operator:20s} {name}")
    return {group: round(100 * spent / whole, 2) for group, spent in fastest.items()}


def frame_steps(bundle: Bundle, clip: Path, frames: int) -> dict[str, float]:
    """Return the processor time of each step of a frame in ms, the median over frames."""
    steps: dict[str, list[float]] = defaultdict(list)
    palette = [spec.rgb for spec in bundle.manifest.classes]
    with (
        open_recorded_video(clip, threads=ONE_THREAD) as video,
        open_runner(bundle, "cpu", INT8_CPU, ONE_THREAD) as runner,
    ):
        decoded: Iterator[Any] = video.frames()  # Any: of PyAV
        for _ in range(frames):
            moments = [time.process_time()]
            frame = next(decoded, None)
            if frame is None:
                break
            moments.append(time.process_time())
            picture = video.picture(frame)
            assert picture is not None
            image = picture.rgb(bundle.manifest.depth_range)
            moments.append(time.process_time())
            fit = fit_of_frame(runner, image)
            batch = fit.image(image)[None]
            moments.append(time.process_time())
            prediction = restore_prediction(runner, fit, runner(batch))
            moments.append(time.process_time())
            encode_palette_png(resize_mask(prediction.mask[0], fit.frame), palette)
            moments.append(time.process_time())
            names = ("decode", "to RGB", "resize", "infer", "a mask as PNG")
            for name, spent in zip(names, np.diff(moments)):
                steps[name].append(1000 * float(spent))
    return {name: statistics.median(times) for name, times in steps.items()}


def main() -> None:
    """Profile one file, and the frames of clips."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--student", help="arch/encoder, with random weights, instead of a bundle")
    parser.add_argument("--imgsz", default="384x512", help="of the student, HEIGHTxWIDTH")
    parser.add_argument("--classes", type=int, default=11, help="of the student")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--clip", type=Path, nargs="*", default=[])
    parser.add_argument("--frames", type=int, default=60, help="of each clip")
    arguments = parser.parse_args()
    if (arguments.bundle is None) == (arguments.student is None):
        parser.error("give a bundle or --student")
    if arguments.student is not None:
        height, width = map(int, arguments.imgsz.split("x"))
        data = student_file(
            Student(*arguments.student.split("/")), (height, width), arguments.classes
        )
        image = benchmark_images(None, (height, width))[0]
    else:
        bundle = Bundle.open(arguments.bundle)
        data = (bundle.path / FLAVOURS[INT8_CPU].file).read_bytes()
        image = benchmark_images(None, (bundle.manifest.height, bundle.manifest.width))[0]
        for clip in arguments.clip[:1]:  # a real frame shows how often classes meet
            with open_recorded_video(clip, threads=ONE_THREAD) as video:
                picture = video.picture(next(video.frames()))
                assert picture is not None
                shown = picture.rgb(bundle.manifest.depth_range)
            with open_runner(bundle, "cpu", INT8_CPU, ONE_THREAD) as runner:
                image = fit_of_frame(runner, shown).image(shown)
    print(f"{platform.machine()}, ONNX Runtime {onnxruntime.__version__}, one thread\n")
    shares = print_profile(data, image, arguments.runs)
    clips = {}
    for clip in arguments.clip if arguments.bundle else []:
        clips[clip.name] = steps = frame_steps(bundle, clip, arguments.frames)
        print(f"\n{clip.name}\n\n| step | CPU ms |\n|---|---|")
        for name, spent in steps.items():
            print(f"| {name} | {spent:.2f} |")
    print(json.dumps({"percent": shares, "clips": clips}))


if __name__ == "__main__":
    main()
