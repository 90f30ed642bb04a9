"""How fast edge networks would be on this machine, in float and in INT8, before any is trained.

Speed hardly depends on what the weights are, so they are random, with batch norms that fit the
frames. All graphs run in one race: what else the machine does slows every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgeseg.bundle.flavours import INT8_CPU
from edgeseg.calibration.frame_selection import calibration_candidates, select_frames
from edgeseg.errors import TrainError
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.evaluation.site_frames import CalibrationImages
from edgeseg.export.graph.lowering import canonicalize_names, lower
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect_kernels,
    integer_convolutions,
)
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.models import MEAN, STD, Network, build_network
from edgeseg.models.model_files import read_card
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

CALIBRATION_FRAMES = 4  # that calibrate; more would change no speed
BATCH_NORM_PASSES = 8  # over them, until batch norms fit


class Student(NamedTuple):
    """The two names that `edgeseg.models.build_network` takes."""

    arch: str
    encoder: str


STUDENTS = (
    Student("deeplabv3plus", "mobilenetv2_100"),
    Student("fpn", "mobilenetv2_100"),
    Student("unet", "mobilenetv2_100"),
    Student("lraspp", "mobilenetv2_100"),
    Student("fpn", "repvgg_a0"),
    Student("lraspp", "mobileone_s0"),
    Student("stdc", "stdc1_050"),
    Student("ddrnet", "ddrnet_075"),
)


@dataclass(frozen=True)
class StudentSpeed:
    """One line of the table.

    Attributes:
        parameters: of the network as it ships, parallel branches merged.
        fp32, int8: milliseconds a frame, the fastest run.
        speedup: INT8 against FP32.
        quantized: convolutions that ONNX Runtime runs on codes, of `convolutions`, average pools
            among them.
        conversions: changes between codes and floats that are left.
    """

    student: Student
    parameters: int
    fp32: float
    int8: float
    speedup: float
    quantized: int
    convolutions: int
    conversions: int


@dataclass(frozen=True)
class TrainedStudent:
    """The newest finished run of a student; `miou` on val, percent."""

    run: Path
    miou: float


def benchmark_students(
    students: Sequence[Student],
    classes: int,
    images: Sequence[Image],
    *,
    threads: int,
    seed: int = 0,
    report: ProgressReporter | None = None,
) -> list[StudentSpeed]:
    """Build, quantize and race them.

    Args:
        images: (H, W, 3) uint8 RGB each, at the size to measure at.
        threads: 0 for as many as there are cores.

    Raises:
        TrainError: a student cannot be built for this size.
        ExportError: one cannot be exported.
    """
    report = report or NullReporter()
    height, width = images[0].shape[:2]
    plain = Interface(height=height, width=width, classes=classes, mean=MEAN, std=STD)
    networks = []
    for (
        student
    ) in students:  # all of them before the first is measured: a wrong name should not cost minutes
        torch.manual_seed(seed)
        networks.append(build_network(*student, classes, size=(height, width)))
    graphs: dict[str, bytes] = {}
    facts = []
    for student, network in zip(students, networks):
        report.start(f"writing {student.arch} with {student.encoder}", None)
        fit_batch_norms(network, images)
        merged = network.eval().reparameterized()
        graph, interface = fold_std(
            canonicalize_names(lower(export_network(merged, height, width))), plain
        )
        calibrated = calibrate(graph, interface, images, threads=threads)
        model = quantize(calibrated, interface, INT8_CPU)
        int8 = model.SerializeToString()
        graphs |= {f"{'/'.join(student)} fp32": wrap_network(graph, interface).SerializeToString()}
        graphs |= {f"{'/'.join(student)} int8": int8}
        kernels = inspect_kernels(int8)
        size = sum(parameter.numel() for parameter in merged.parameters())
        convolutions = integer_convolutions(model) + len(float_convolutions(model))
        facts.append((size, kernels.quantized, convolutions, kernels.conversions))
    report.start("timing, all in one race", None)
    times = compare_latency(graphs, images[0], threads, seed, report)
    report.stop()
    found = []
    for student, (size, quantized, convolutions, conversions) in zip(students, facts):
        before, after = (
            times[f"{'/'.join(student)} {precision}"] for precision in ("fp32", "int8")
        )
        found.append(
            StudentSpeed(
                student,
                size,
                round(before.minimum, 3),
                round(after.minimum, 3),
                round(before.ratio(after), 3),
                quantized,
                convolutions,
                conversions,
            )
        )
    return found


@torch.no_grad()
def fit_batch_norms(network: Network, images: Sequence[Image]) -> None:
    """Fit the batch norms to the images, without which the activations of random weights vanish or
    explode.
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    batch: Tensor = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - mean
    ) / std
    network.train()
    for _ in range(BATCH_NORM_PASSES):
        network(batch)


def benchmark_images(site: Site | None, size: tuple[int, int], seed: int = 0) -> Sequence[Image]:
    """Frames of the site at `size`, or where there are none, smooth noise."""
    if site is not None and site.frames("unlabelled", "labelled"):
        frames = CalibrationImages(
            site,
            select_frames(
                calibration_candidates(site, CALIBRATION_FRAMES, seed),
                CALIBRATION_FRAMES,
                "spread",
                seed=seed,
            ),
            size,
        )
        return [*frames] * 2  # twice, since batch norms cannot do with a single one
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(CALIBRATION_FRAMES, 3, 8, 8, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return list((255 * smooth).byte().permute(0, 2, 3, 1).contiguous().numpy())


def newest_trained_run(site: Site, student: Student) -> TrainedStudent | None:
    """The student's newest finished run for the site's classes: of `distill`, or else of `train`."""
    for verb in ("distill", "train"):
        runs = (site.root / "runs" / verb).glob("exp*/metrics.json")
        for path in sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True):
            try:
                card = read_card(path.parent)
                miou = float(json.loads(path.read_bytes())["miou"])
            except (TrainError, OSError, ValueError, KeyError):
                continue  # of another version, or damaged: of no use here
            if (card.arch, card.encoder) == student and card.classes == site.config.classes:
                return TrainedStudent(path.parent, miou)
    return None
