"""Golden frames must be those of the bundle that they lie in."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgeseg.bundle.golden_frames import golden_frame_count, load_golden_frames, read_golden_frames
from edgeseg.errors import BundleError
from tests.helpers.bundles import make_bundle


def test_golden_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", int8=False, width=128)
    with pytest.raises(BundleError, match="no frames of 128x64"):
        read_golden_frames(bundle)


def npy(shape: tuple[int, ...], dtype: type = np.uint8, version: tuple[int, int] = (1, 0)) -> bytes:
    """The header of an array, without the array."""
    file = io.BytesIO()
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    if version == (1, 0):
        np.lib.format.write_array_header_1_0(file, header)
    else:
        np.lib.format.write_array_header_2_0(file, header)
    return file.getvalue()


def archive(frames: bytes, zeros: int = 0) -> bytes:
    """A golden.npz whose `frames` begin like this and go on with megabytes of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("masks.npy", npy((1, 8, 8)) + bytes(64))
        with packed.open("frames.npy", "w") as member:
            member.write(frames)
            for _ in range(zeros):
                member.write(bytes(1_000_000))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        archive(npy((1000, 1000, 1000, 3)), zeros=40),
        archive(npy((8, 8, 8, 3), np.float64), zeros=1),
        archive(npy((1, 8, 8, 3), version=(2, 0))[:8] + b"\xff\xff\xff\x7f", zeros=40),
        archive(npy((1, 8, 8, 3)) + bytes(10)),
        archive(b"no array"),
        archive(npy((1, 8, 8, 3)))[:-60],
    ],
)
def test_golden_frames_that_unpack_to_gigabytes_cost_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            load_golden_frames(data)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_large_graphs_bring_fewer_golden_frames_which_stay_readable() -> None:
    assert golden_frame_count(512, 1024) == 8
    for size in (2048, 4096, 8192):
        assert 1 <= golden_frame_count(size, size) * size * size <= 100_000_000
