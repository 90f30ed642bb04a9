"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported, also in processes that tests start: small networks on several threads,
# beside other workers of pytest, take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As edgeseg does, for tests that import ONNX Runtime first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle with FP32 and INT8; tests that change it copy it first."""
    from tests.helpers.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


@pytest.fixture
def exact_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ONNX Runtime add up products of 8-bit integers exactly, also on CPUs without VNNI.

    There its kernels for unsigned activations and signed weights add pairs of products in 16 bits
    and cut off what is larger, so that two graphs of the same integers may differ. What a test says
    about graphs must not depend on that.
    """
    import onnxruntime

    make_options = onnxruntime.SessionOptions

    def exact_options() -> onnxruntime.SessionOptions:
        options = make_options()
        options.add_session_config_entry("session.x64quantprecision", "1")
        return options

    monkeypatch.setattr("onnxruntime.SessionOptions", exact_options)
