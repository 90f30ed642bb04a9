"""A site of the classes of the samples, and no waiting for disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.site import Site
from tests.data.label_formats.scenes import CLASSES
from tests.helpers.footage import new_site


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site", CLASSES)
