"""The demo's site, rendered once for all tests of a file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeseg.demo.demo_site import QUICK, DemoSize, make_site
from edgeseg.site import Site

TINY = replace(QUICK, footage=8, labelled=2, val=2, gate=2, gate_autumn=2, video=6, truth=2)


@pytest.fixture(scope="module")
def tiny() -> DemoSize:
    """The smallest demo."""
    return TINY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of a few frames; tests leave it as it is."""
    return make_site(tmp_path_factory.mktemp("demo") / "site", TINY)
