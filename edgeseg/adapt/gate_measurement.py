"""The measurement of champion and challenger on the gate frames: the files that devices run, both
in one process.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from edgeseg.adapt.champion import INT8_FILE, shipped_file
from edgeseg.adapt.gate import GateMeasurement
from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import FP32, INT8_CPU
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.bundle_evaluation import evaluate_runner
from edgeseg.site import Site

TIMED_FRAMES = 30  # of each bundle, in turns, so that both see the same machine


def measure_bundles(
    site: Site, challenger: Path, champion: Path, report: ProgressReporter
) -> tuple[GateMeasurement, GateMeasurement]:
    """Measure both bundles on the gate frames, on the CPU.

    Returns:
        The figures of the challenger and those of the champion.

    Raises:
        BundleError: One of them is damaged or does not run.
        DataError: A gate frame is missing or damaged.
    """
    pairs = [
        (site.path(frame.image), site.path(frame.mask))
        for frame in site.require("gate")
        if frame.mask is not None
    ]
    bundles = [Bundle.open(challenger), Bundle.open(champion)]
    report.start("gate", 2 * len(pairs))
    with _open_shipped(bundles[0], site) as new, _open_shipped(bundles[1], site) as old:
        counts = [
            evaluate_runner(runner, pairs, len(site.config.classes), report=report)
            for runner in (new, old)
        ]
        seconds = _seconds_per_frame(new, old)
    report.stop()
    measured = [
        GateMeasurement(
            name=bundle.path.name, artefact=shipped_file(bundle), counts=count, fps=1 / second
        )
        for bundle, count, second in zip(bundles, counts, seconds)
    ]
    return measured[0], measured[1]


def _open_shipped(bundle: Bundle, site: Site) -> AbstractContextManager[Runner]:
    flavour: Flavour = INT8_CPU if shipped_file(bundle) == INT8_FILE else FP32
    return open_runner(bundle, "cpu", flavour, site.config.infer.threads)


def _seconds_per_frame(*runners: Runner) -> tuple[float, ...]:
    """Return the median seconds of each, all of them timed in turns on frames of noise."""
    seconds: list[list[float]] = [[] for _ in runners]
    sizes = [(1, run.bundle.manifest.height, run.bundle.manifest.width, 3) for run in runners]
    frames = [np.random.default_rng(0).integers(0, 256, size, np.uint8) for size in sizes]
    for _ in range(TIMED_FRAMES):
        for run, frame, times in zip(runners, frames, seconds):
            began = time.perf_counter()
            run(frame)
            times.append(time.perf_counter() - began)
    return tuple(statistics.median(times) for times in seconds)
