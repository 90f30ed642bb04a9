"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported, also in processes that tests start: small networks on several threads,
# beside other workers of pytest, take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle with FP32 and INT8; tests that change it copy it first."""
    from tests.helpers.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path
