"""The demo's site, rendered once for all tests of a file."""

from __future__ import annotations

import pytest

from edgeseg.demo.demo_site import make_site
from edgeseg.site import Site
from tests.helpers.demo import TINY_DEMO


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of a few frames; tests leave it as it is."""
    return make_site(tmp_path_factory.mktemp("demo") / "site", TINY_DEMO)
