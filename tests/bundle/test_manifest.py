"""Keys that came after the first version: left out where they say nothing, checked where not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.bundle import Bundle
from edgeseg.bundle.manifest import ManifestDepth
from edgeseg.errors import BundleError
from edgeseg.imaging.decoding.depth_range import DepthRange
from tests.helpers.bundles import make_bundle


def test_a_device_gets_the_range_of_the_site(tmp_path: Path) -> None:
    depth = ManifestDepth(low=6625, high=8875)
    make_bundle(tmp_path / "b", int8=False, depth=depth)
    assert Bundle.open(tmp_path / "b").manifest.depth_range == DepthRange(6625, 8875)
    text = json.loads((tmp_path / "b" / "manifest.json").read_bytes())
    assert text["depth"] == {"low": 6625.0, "high": 8875.0, "floating": False}


def test_older_devices_read_bundles_that_need_no_range(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", int8=False)
    text = json.loads((tmp_path / "b" / "manifest.json").read_bytes())
    assert "depth" not in text and bundle.manifest.depth_range is None


@pytest.mark.parametrize("depth", [{"low": 5, "high": 5}, {"low": 5}, {"low": "x", "high": 9}, 7])
def test_a_range_that_is_none_is_refused(tmp_path: Path, depth: object) -> None:
    make_bundle(tmp_path / "b", int8=False)
    path = tmp_path / "b" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "depth": depth}))
    with pytest.raises(BundleError, match=r"manifest\.json cannot be used"):
        Bundle.open(tmp_path / "b")
