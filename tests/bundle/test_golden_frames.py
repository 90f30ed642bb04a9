"""Golden frames must be those of the bundle that they lie in."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.errors import BundleError
from tests.helpers.bundles import make_bundle


def test_golden_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", int8=False, width=128)
    with pytest.raises(BundleError, match="no frames of 128x64"):
        read_golden_frames(bundle)
