"""The speed of student networks on this machine, in float and in INT8, before any is trained.

The students are listed in `edgeseg.models.student_networks`. Speed hardly depends on what the
weights are, so they are random, with batch norms that fit the frames. All graphs are timed in one
run, side by side: what else the machine does slows every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeseg.calibration.frame_selection import calibration_candidates, select_frames
from edgeseg.errors import TrainError
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.evaluation.site_frames import CalibrationImages
from edgeseg.export.untrained_files import write_untrained_files
from edgeseg.imaging.array_types import Image
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import read_card
from edgeseg.models.student_networks import Student
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

CALIBRATION_FRAMES = 4  # more would change no speed
BATCH_NORM_PASSES = 8  # over the calibration frames, until batch norms fit


@dataclass(frozen=True)
class StudentSpeed:
    """One line of the table.

    Attributes:
        student: The network.
        size: (height, width) of its input in pixels.
        parameters: The number of parameters as it ships, parallel branches merged.
        fp32: Milliseconds a frame of the float file, the fastest run.
        int8: Milliseconds a frame of the INT8 file, the fastest run.
        int8_median: The median of its runs.
        speedup: How many times as fast as FP32 INT8 is.
        quantized: The convolutions that ONNX Runtime runs in integers.
        convolutions: All convolutions, average pools among them.
        conversions: The conversions between integers and floats that are left.
    """

    student: Student
    size: tuple[int, int]
    parameters: int
    fp32: float
    int8: float
    int8_median: float
    speedup: float
    quantized: int
    convolutions: int
    conversions: int


@dataclass(frozen=True)
class TrainedStudent:
    """The newest finished run of a student.

    Attributes:
        run: Its folder.
        miou: mIoU on val, in percent.
    """

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
    """Build, quantize and time the students.

    Args:
        classes: The number of classes.
        images: (H, W, 3) uint8 RGB each, at the size to measure at.
        threads: 0 for as many as there are cores.
        seed: Of the weights, and of the order of timing.
        report: Told what happens.

    Raises:
        TrainError: A student cannot be built for this size.
        ExportError: A student cannot be exported.
    """
    report = report or NullReporter()
    height, width = images[0].shape[:2]
    networks = []
    # all are built before the first is quantized: a wrong name should not cost minutes
    for student in students:
        torch.manual_seed(seed)
        networks.append(build_network(*student, classes, size=(height, width)))
    files = []
    for student, network in zip(students, networks):
        report.start(f"writing {student.arch} with {student.encoder}", None)
        fit_batch_norms(network, images)
        files.append(write_untrained_files(network, classes, images, threads))
    report.start("timing, all in one race", None)
    graphs: dict[str, bytes] = {}
    for student, student_files in zip(students, files):
        graphs[f"{'/'.join(student)} fp32"] = student_files.fp32
        graphs[f"{'/'.join(student)} int8"] = student_files.int8
    latencies = compare_latency(graphs, images[0], threads, seed, report)
    report.stop()
    speeds = []
    for student, student_files in zip(students, files):
        fp32 = latencies[f"{'/'.join(student)} fp32"]
        int8 = latencies[f"{'/'.join(student)} int8"]
        speeds.append(
            StudentSpeed(
                student=student,
                size=(height, width),
                parameters=student_files.parameters,
                fp32=round(fp32.minimum, 3),
                int8=round(int8.minimum, 3),
                int8_median=round(int8.median, 3),
                speedup=round(fp32.ratio(int8), 3),
                quantized=student_files.quantized,
                convolutions=student_files.convolutions,
                conversions=student_files.conversions,
            )
        )
    return speeds


@torch.no_grad()
def fit_batch_norms(network: Network, images: Sequence[Image]) -> None:
    """Fit the batch norms to the images.

    Otherwise the activations of random weights vanish or explode.
    """
    mean, std = network.normalization.tensors()
    batch: Tensor = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - mean
    ) / std
    network.train()
    for _ in range(BATCH_NORM_PASSES):
        network(batch)


def benchmark_images(site: Site | None, size: tuple[int, int], seed: int = 0) -> Sequence[Image]:
    """Return frames of the site at `size`, (H, W, 3) RGB, or smooth noise where there are none."""
    if site is not None and site.frames("unlabelled", "labelled"):
        candidates = calibration_candidates(site, CALIBRATION_FRAMES, seed)
        frames = select_frames(candidates, CALIBRATION_FRAMES, "spread", seed=seed)
        images = CalibrationImages(site, frames, size, site.config.data.fit)
        return [*images] * 2  # twice, since batch norms cannot do with a single one
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(CALIBRATION_FRAMES, 3, 8, 8, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return list((255 * smooth).byte().permute(0, 2, 3, 1).contiguous().numpy())


def newest_trained_run(site: Site, student: Student) -> TrainedStudent | None:
    """Return the student's newest finished run for the site's classes.

    Runs of `distill` come before those of `train`.
    """
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
