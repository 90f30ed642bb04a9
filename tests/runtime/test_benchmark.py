"""Every file of a bundle is timed stage by stage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.bundle import Bundle
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.runtime.benchmark import STAGES, TimedFile, benchmark_bundle, timing_statistics

FP32, INT8 = TimedFile("cpu", "fp32"), TimedFile("cpu", "int8-cpu")


def test_the_benchmark_times_every_file_of_the_back_end(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    golden = read_golden_frames(bundle)
    assert golden is not None and len(golden.images) == 4 and golden.images[0].shape == (64, 96, 3)
    images = [*golden.images, np.asarray(cv2.resize(golden.images[0], (200, 100)), np.uint8)]
    timings = benchmark_bundle(bundle, images, frames=6, threads=1, golden=golden)
    assert all(
        timing.agreement is not None and 97 < timing.agreement <= 100 for timing in timings.values()
    )
    assert benchmark_bundle(bundle, images, frames=2, threads=1)[FP32].agreement is None
    assert list(timings) == [FP32, INT8]
    for timing in timings.values():
        assert all(
            len(timing.seconds[stage]) == 6 and min(timing.seconds[stage]) > 0 for stage in STAGES
        )
        parts = np.sum([timing.seconds[stage] for stage in STAGES[:-1]], axis=0)
        assert timing.seconds["total"] == pytest.approx(parts)
    table = timing_statistics(timings[INT8], timings[FP32])
    assert table["infer"]["fps"] == pytest.approx(1000 / table["infer"]["median_ms"])
    assert timing_statistics(timings[FP32], timings[FP32])["infer"]["ratio"] == 1
