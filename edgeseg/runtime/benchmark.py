"""Times every file of a bundle in one run: interleaved, in random order, stage by stage."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import Backend, flavours_of
from edgeseg.bundle.golden_frames import GoldenFrames
from edgeseg.config import EngineConfig
from edgeseg.imaging.array_types import Image
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.frame_prediction import fit_of_frame, restore_prediction
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.outputs.overlay import Overlay

STAGES = ("resize", "infer", "overlay", "total")


@dataclass
class FlavourTiming:
    """The times of one file of a bundle.

    Attributes:
        backend: The back end that ran it.
        agreement: Share of the golden frames' pixels that get the class that they got from FP32 at
            export, in percent; None where it was not measured.
        seconds: For each of `STAGES` the time of every frame; "total" is the sum of the other
            three.
    """

    backend: Backend
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
    backend: Backend = "cpu",
    frames: int = 100,
    threads: int = 0,
    seed: int = 0,
    golden: GoldenFrames | None = None,
    engine: EngineConfig | None = None,
    report: ProgressReporter | None = None,
) -> dict[Flavour, FlavourTiming]:
    """Time the files that `backend` runs: each frame goes to each file, in a new order every time.

    So a machine that slows down, or a cache that one file leaves warm for the next, hurts or helps
    all files alike.

    Args:
        bundle: The exported model.
        images: (H, W, 3) uint8 RGB of any size, used in turn.
        backend: Where the files run.
        frames: Number of frames timed for each file.
        threads: For inference, 0 for as many as there are cores.
        seed: Of the order of the files.
        golden: Given, it is also measured whether this machine computes what the exporting one did.
        engine: How TensorRT builds its own engine.
        report: Is told the progress.

    Raises:
        BundleError: A file of the bundle cannot be used.
        DependencyError: What the back end needs is not installed.
    """
    report, generator = report or NullReporter(), random.Random(seed)
    held = [flavour for flavour in reversed(flavours_of(backend)) if bundle.holds(flavour)]
    timings: dict[Flavour, FlavourTiming] = {flavour: FlavourTiming(backend) for flavour in held}
    report.start(f"bench {bundle.path.name}", frames)
    with ExitStack() as stack:
        runners = [
            stack.enter_context(
                open_runner(bundle, backend, flavour, threads, engine=engine, report=report)
            )
            for flavour in held
        ]
        overlays: dict[tuple[int, ...], Overlay] = {}
        for index in range(frames):
            image = images[index % len(images)]
            size = image.shape[:2]
            overlay = overlays.setdefault(size, Overlay(bundle.manifest.classes, *size))
            for runner in generator.sample(runners, len(runners)):
                _time(runner, image, overlay, timings[runner.flavour])
            report.advance()
        if golden is not None:
            for runner in runners:
                timings[runner.flavour].agreement = golden_agreement(runner, golden)
    report.stop()
    return timings


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
