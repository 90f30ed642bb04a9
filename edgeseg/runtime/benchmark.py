"""Times every file of a bundle in one run: interleaved, in random order, stage by stage.

On a CPU the engines that run the same files are timed side by side too, and `measured_files` is
what `--backend auto` then chooses by (`edgeseg.runtime.backends.measured_choice`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import Backend, flavours_of
from edgeseg.bundle.golden_frames import GoldenFrames
from edgeseg.config import EngineConfig
from edgeseg.errors import DependencyError, EngineError
from edgeseg.imaging.array_types import Image
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.frame_prediction import fit_of_frame, restore_prediction
from edgeseg.runtime.backends.measured_choice import MeasuredFile, is_reference
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.outputs.overlay import Overlay

STAGES = ("resize", "infer", "overlay", "total")


class TimedFile(NamedTuple):
    """A file of a bundle on an engine."""

    backend: Backend
    flavour: Flavour


@dataclass
class FlavourTiming:
    """The times of one file of a bundle on one engine.

    Attributes:
        agreement: Share of the golden frames' pixels that get the class that they got from FP32 at
            export, in percent; None where it was not measured.
        seconds: For each of `STAGES` the time of every frame; "total" is the sum of the other
            three.
    """

    agreement: float | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def quantile(self, stage: str, share: float) -> float:
        """Return a quantile of the time of a stage, in ms.

        Args:
            stage: One of `STAGES`.
            share: Of the frames that took no longer, 0..1.
        """
        return float(1000 * np.quantile(self.seconds[stage], share))

    def fps(self, stage: str) -> float:
        """Return the frames a second that the median time of a stage allows."""
        return 1000 / self.quantile(stage, 0.5)


def golden_agreement(runner: Runner, golden: GoldenFrames) -> float:
    """Return the share of the golden frames' pixels classified as by FP32 at export, in percent."""
    return golden.agreement(lambda frame: runner(frame).mask[0])


def benchmark_bundle(
    bundle: Bundle,
    images: Sequence[Image],
    *,
    backends: Sequence[Backend] = ("cpu",),
    frames: int = 100,
    threads: int = 0,
    seed: int = 0,
    golden: GoldenFrames | None = None,
    engine: EngineConfig | None = None,
    report: ProgressReporter | None = None,
) -> dict[TimedFile, FlavourTiming]:
    """Time the files that the back ends run: each frame goes to each, in a new order every time.

    So a machine that slows down, or a cache that one file leaves warm for the next, hurts or helps
    all files alike.

    Args:
        bundle: The exported model.
        images: (H, W, 3) uint8 RGB of any size, used in turn.
        backends: Where the files run. What the first one lacks or refuses is an error, of the
            others it is told as a note.
        frames: Number of frames timed for each file.
        threads: For inference, 0 for as many as there are cores.
        seed: Of the order of the files.
        golden: Given, it is also measured whether this machine computes what the exporting one did.
        engine: How TensorRT builds its own engine.
        report: Is told the progress.

    Returns:
        The times by file and back end, those of the first back end first.

    Raises:
        BundleError: A file of the bundle cannot be used.
        DependencyError: What the back end needs is not installed.
        EngineError: The first back end refuses a file.
    """
    report, generator = report or NullReporter(), random.Random(seed)
    report.start(f"bench {bundle.path.name}", frames)
    with ExitStack() as stack:
        runners: dict[TimedFile, Runner] = {}
        for backend in backends:
            for flavour in reversed(flavours_of(backend)):
                if not bundle.holds(flavour):
                    continue
                opened = open_runner(
                    bundle, backend, flavour, threads, engine=engine, report=report
                )
                try:
                    runners[TimedFile(backend, flavour)] = stack.enter_context(opened)
                except (DependencyError, EngineError) as error:
                    if backend == backends[0]:
                        raise
                    report.say(f"not timed on {backend}: {error}")
        timings = {file: FlavourTiming() for file in runners}
        overlays: dict[tuple[int, ...], Overlay] = {}
        for index in range(frames):
            image = images[index % len(images)]
            size = image.shape[:2]
            overlay = overlays.setdefault(size, Overlay(bundle.manifest.classes, *size))
            for file in generator.sample(list(runners), len(runners)):
                _time(runners[file], image, overlay, timings[file])
            report.advance()
        if golden is not None:
            for file, runner in runners.items():
                timings[file].agreement = golden_agreement(runner, golden)
    report.stop()
    return timings


def measured_files(
    bundle: Bundle, timings: Mapping[TimedFile, FlavourTiming]
) -> list[MeasuredFile]:
    """Return what `--backend auto` chooses by.

    A file passes that gives the golden frames the classes which it should; without golden frames
    that is known of FP32 in ONNX Runtime alone.
    """
    return [
        MeasuredFile(
            backend=file.backend,
            flavour=file.flavour,
            median_ms=timing.quantile("infer", 0.5),
            minimum_ms=timing.quantile("infer", 0),
            agreement=timing.agreement,
            passed=is_reference(file.backend, file.flavour)
            or (timing.agreement or 0) >= minimum_agreement(bundle, file.flavour),
        )
        for file, timing in timings.items()
    ]


def _time(runner: Runner, image: Image, overlay: Overlay, timing: FlavourTiming) -> None:
    moments = [time.perf_counter()]
    fit = fit_of_frame(runner, image)
    batch = fit.image(image)[None]
    moments.append(time.perf_counter())
    prediction = restore_prediction(runner, fit, runner(batch))
    moments.append(time.perf_counter())
    overlay.draw(image, prediction.mask[0], float(prediction.score[0]), prediction.area[0])
    moments.append(time.perf_counter())
    spent = np.diff(moments).tolist()
    for stage, seconds in zip(STAGES, [*spent, sum(spent)]):
        timing.seconds[stage].append(seconds)


def timing_statistics(timing: FlavourTiming, base: FlavourTiming) -> dict[str, dict[str, float]]:
    """Return the statistics of one file, for each of `STAGES`.

    Args:
        timing: The times of the file.
        base: The times of the file that it is compared with.

    Returns:
        By stage: median and 95 % quantile in ms, FPS, and FPS by that of `base`.
    """
    return {
        stage: {
            "median_ms": timing.quantile(stage, 0.5),
            "p95_ms": timing.quantile(stage, 0.95),
            "fps": timing.fps(stage),
            "ratio": timing.fps(stage) / base.fps(stage),
        }
        for stage in STAGES
    }
