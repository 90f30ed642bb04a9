"""Measures champion and challenger on the gate frames: the very files that devices run, in one
process.
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

TIMED_FRAMES = 30  # frames timed for each bundle, turn by turn so that both see the same machine


def measure_bundles(
    site: Site, challenger: Path, champion: Path, report: ProgressReporter
) -> tuple[GateMeasurement, GateMeasurement]:
    """What both bundles do on the gate frames, on the CPU.

    Raises:
        BundleError: one of them is damaged or does not run.
        DataError: a gate frame is missing or damaged.
    """
    frames = site.require("gate")
    pairs = [
        (site.path(frame.image), site.path(frame.mask))
        for frame in frames
        if frame.mask is not None
    ]
    bundles = [Bundle.open(challenger), Bundle.open(champion)]
    report.start("gate", 2 * len(pairs))
    with _open(bundles[0], site) as one, _open(bundles[1], site) as other:
        counts = [
            evaluate_runner(run, pairs, len(site.config.classes), report=report)
            for run in (one, other)
        ]
        seconds = _seconds(one, other)
    report.stop()
    first, second = (
        GateMeasurement(
            name=bundle.path.name, artefact=shipped_file(bundle), counts=count, fps=1 / second
        )
        for bundle, count, second in zip(bundles, counts, seconds)
    )
    return first, second


def _open(bundle: Bundle, site: Site) -> AbstractContextManager[Runner]:
    flavour: Flavour = INT8_CPU if shipped_file(bundle) == INT8_FILE else FP32
    return open_runner(bundle, "cpu", flavour, site.config.infer.threads)


def _seconds(*runs: Runner) -> tuple[float, ...]:
    """Median seconds a frame."""
    spent: list[list[float]] = [[] for _ in runs]
    sizes = [(1, run.bundle.manifest.height, run.bundle.manifest.width, 3) for run in runs]
    frames = [np.random.default_rng(0).integers(0, 256, size, np.uint8) for size in sizes]
    for _ in range(TIMED_FRAMES):
        for run, frame, times in zip(runs, frames, spent):
            began = time.perf_counter()
            run(frame)
            times.append(time.perf_counter() - began)
    return tuple(statistics.median(times) for times in spent)
