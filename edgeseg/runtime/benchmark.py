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
from edgeseg.imaging.resize import preprocess
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.outputs.overlay import Overlay

STAGES = ("resize", "infer", "overlay", "total")


@dataclass
class FlavourTiming:
    """What one file took.

    Attributes:
        backend: what ran it.
        seconds: for each of `STAGES` the time of every frame; "total" is the three before it, one
            after another.
        agreement: with the golden masks, in percent of the pixels; None where there are none.
    """

    backend: Backend
    agreement: float | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def quantile(self, stage: str, share: float) -> float:
        """In ms."""
        return float(1000 * np.quantile(self.seconds[stage], share))

    def fps(self, stage: str) -> float:
        """From the median."""
        return 1000 / self.quantile(stage, 0.5)


def golden_agreement(runner: Runner, golden: GoldenFrames) -> float:
    """Share of the golden frames' pixels, in percent, that get the same class here as from FP32 at
    export.
    """
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

    Args:
        images: (H, W, 3) uint8 BGR of any size, used in turn.
        frames: timed for each file.
        threads: for inference, 0 for as many as there are cores.
        engine: how TensorRT builds its own.
        golden: also see whether this machine computes what the exporting one did.

    Raises:
        BundleError, DependencyError: as `open_runner`.
    """
    report, order = report or NullReporter(), random.Random(seed)
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
            for runner in order.sample(runners, len(runners)):
                _time(runner, image, overlay, timings[runner.flavour])
            report.advance()
        if golden is not None:
            for runner in runners:
                timings[runner.flavour].agreement = golden_agreement(runner, golden)
    report.stop()
    return timings


def _time(runner: Runner, image: Image, overlay: Overlay, timing: FlavourTiming) -> None:
    moments = [time.perf_counter()]
    small = preprocess(image, (runner.bundle.manifest.height, runner.bundle.manifest.width))[None]
    moments.append(time.perf_counter())
    prediction = runner(small)
    moments.append(time.perf_counter())
    overlay.draw(image, prediction.mask[0], float(prediction.score[0]), prediction.area[0])
    moments.append(time.perf_counter())
    spent = np.diff(moments).tolist()
    for stage, seconds in zip(STAGES, [*spent, sum(spent)]):
        timing.seconds[stage].append(seconds)


def timing_statistics(timing: FlavourTiming, base: FlavourTiming) -> dict[str, dict[str, float]]:
    """For each of `STAGES`: median and 95 % quantile in ms, FPS, and how many times as fast as
    `base`.
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
