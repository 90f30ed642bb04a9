"""The latency of graphs on this machine, side by side.

They run in turns, in random order, so that whatever else the machine does slows all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.progress import ProgressReporter

Name = TypeVar("Name", bound=str)
MAX_ROUNDS = 30
MIN_ROUNDS = 10
MAX_SECONDS = 30.0  # after this no new round begins, once there were MIN_ROUNDS


@dataclass(frozen=True)
class Latency:
    """Milliseconds a frame.

    Attributes:
        minimum: The fastest run.
        median: The median of all runs.
    """

    minimum: float
    median: float

    def ratio(self, other: Latency) -> float:
        """Return how many times as long this takes as `other`.

        By minima or by medians, whichever claims less.

        On an idle machine they agree. On a busy one a long run seldom finds a quiet moment, which
        flatters the shorter one's minimum, while bursts of load blur the medians.
        """
        return min(self.minimum / other.minimum, self.median / other.median)


def compare_latency(
    graphs: Mapping[Name, bytes],
    image: NDArray[np.uint8] | Mapping[Name, NDArray[np.uint8]],
    threads: int,
    seed: int,
    report: ProgressReporter,
) -> dict[Name, Latency]:
    """Time each graph on one frame.

    Each timed run follows one of the same graph that warms the caches.

    Args:
        graphs: ONNX files by name.
        image: (H, W, 3) uint8; one for each graph by name where their sizes differ.
        threads: 0 for as many as there are cores.
        seed: Of the order.
        report: Advances by one for each round.
    """
    sessions = {name: open_session(data, threads) for name, data in graphs.items()}
    images = image if isinstance(image, Mapping) else dict.fromkeys(graphs, image)
    feeds = {name: {"image": images[name][None]} for name in graphs}
    random = np.random.default_rng(seed)
    milliseconds: dict[Name, list[float]] = {name: [] for name in graphs}
    begin = time.perf_counter()
    for number in range(MAX_ROUNDS):
        if number >= MIN_ROUNDS and time.perf_counter() - begin > MAX_SECONDS:
            break
        for name in random.permutation(list(graphs)):
            sessions[name].run(None, feeds[name])
            start = time.perf_counter()
            sessions[name].run(None, feeds[name])
            milliseconds[name].append(1000 * (time.perf_counter() - start))
        report.advance()
    return {
        name: Latency(min(values), float(np.median(values)))
        for name, values in milliseconds.items()
    }
