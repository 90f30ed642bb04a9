"""Times every file of a bundle in one run: interleaved, in random order, stage by stage."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from edgeseg.bundle import GRAPHS, Bundle, Flavour
from edgeseg.errors import BundleError
from edgeseg.progress import Report, Silent
from edgeseg.runtime.frames import Image
from edgeseg.runtime.overlay import Overlay
from edgeseg.runtime.preprocess import prepare
from edgeseg.runtime.runner import RUNS, Backend, Runner, open_runner

STAGES = ("resize", "infer", "overlay", "total")
GOLDEN = "golden.npz"


@dataclass
class Timing:
    """What one file took.

    Attributes:
        backend: what ran it.
        seconds: for each of `STAGES` the time of every frame; "total" is the three before it, one after another.
    """

    backend: Backend
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def quantile(self, stage: str, share: float) -> float:
        """In ms."""
        return float(1000 * np.quantile(self.seconds[stage], share))

    def fps(self, stage: str) -> float:
        """From the median."""
        return 1000 / self.quantile(stage, 0.5)


def golden_frames(bundle: Bundle) -> list[Image]:
    """The frames that the bundle brings along, (H, W, 3) uint8 BGR each; empty if it brings none.

    Raises:
        BundleError: the file is damaged.
    """
    if GOLDEN not in bundle.manifest.files:
        return []
    size = bundle.manifest.height, bundle.manifest.width, 3
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as golden:
            frames = golden["frames"]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{bundle.path / GOLDEN} cannot be used ({error}); export the bundle again") from None
    if frames.dtype != np.uint8 or frames.shape[1:] != size:
        raise BundleError(f"{bundle.path / GOLDEN} holds no frames of {size[1]}x{size[0]}; export the bundle again")
    return [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]


def bench(
    bundle: Bundle,
    images: Sequence[Image],
    *,
    backend: Backend = "cpu",
    frames: int = 100,
    threads: int = 0,
    seed: int = 0,
    report: Report | None = None,
) -> dict[Flavour, Timing]:
    """Time the files that `backend` runs: each frame goes to each file, in a new order every time.

    Args:
        images: (H, W, 3) uint8 BGR of any size, used in turn.
        frames: timed for each file.
        threads: for inference, 0 for as many as there are cores.

    Raises:
        BundleError, DependencyError: as `open_runner`.
    """
    report, order = report or Silent(), random.Random(seed)
    held = [flavour for flavour in RUNS[backend] if GRAPHS[flavour] in bundle.manifest.files]
    timings: dict[Flavour, Timing] = {flavour: Timing(backend) for flavour in held}
    report.start(f"bench {bundle.path.name}", frames)
    with ExitStack() as stack:
        runners = [stack.enter_context(open_runner(bundle, backend, flavour, threads)) for flavour in held]
        overlays: dict[tuple[int, ...], Overlay] = {}
        for index in range(frames):
            image = images[index % len(images)]
            size = image.shape[:2]
            overlay = overlays.setdefault(size, Overlay(bundle.manifest.classes, *size))
            for runner in order.sample(runners, len(runners)):
                _time(runner, image, overlay, timings[runner.flavour])
            report.advance()
    report.stop()
    return timings


def _time(runner: Runner, image: Image, overlay: Overlay, timing: Timing) -> None:
    moments = [time.perf_counter()]
    small = prepare(image, (runner.bundle.manifest.height, runner.bundle.manifest.width))[None]
    moments.append(time.perf_counter())
    prediction = runner(small)
    moments.append(time.perf_counter())
    overlay.draw(image, prediction.mask[0], float(prediction.score[0]), prediction.area[0])
    moments.append(time.perf_counter())
    spent = np.diff(moments).tolist()
    for stage, seconds in zip(STAGES, [*spent, sum(spent)]):
        timing.seconds[stage].append(seconds)


def figures(timing: Timing, base: Timing) -> dict[str, dict[str, float]]:
    """For each of `STAGES`: median and 95 % quantile in ms, FPS, and how many times as fast as `base`."""
    return {
        stage: {
            "median_ms": timing.quantile(stage, 0.5),
            "p95_ms": timing.quantile(stage, 0.95),
            "fps": timing.fps(stage),
            "ratio": timing.fps(stage) / base.fps(stage),
        }
        for stage in STAGES
    }
