"""Fixtures of the tests of adaptation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.site import Site
from tests.helpers.rounds import make_champion, make_log, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a champion, and beside it a log of five frames."""
    site = make_site(tmp_path / "site")
    make_champion(site)
    make_log(tmp_path / "log", range(100, 105))
    return site


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # nobody cuts the power in these tests
