"""The site that comparisons are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.site import Site
from tests.helpers.sites import make_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A tiny site, and the shell inside it."""
    site = make_site(tmp_path / "site")
    monkeypatch.chdir(site.root)
    return site
