"""A command whose extra is not installed names it, in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.doctor import EXTRAS, extra_with


def without(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Let a module be missing, and all of edgeseg that may have loaded it be loaded anew."""
    for name in list(sys.modules):
        if name.startswith((f"{missing}.", "edgeseg.export")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)


def test_a_check_on_a_device_without_onnx(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnx")
    result = CliRunner().invoke(app, ["export", "--check", str(bundle_path)])
    assert result.exit_code == 1 and result.stderr.splitlines() == [
        "error: `edgeseg export` needs onnx, which is not installed here; run "
        "`pip install 'edgeseg[export]'`"
    ]


def test_a_module_of_nobody_is_a_fault_of_ours(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "edgeseg.export.tensorrt.checklist")
    result = CliRunner().invoke(app, ["export", "--check", str(bundle_path)])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_every_package_is_found_by_its_module() -> None:
    modules = {"cv2", "PIL", "av", "onnxruntime", "torch", "segmentation_models_pytorch", "onnx"}
    assert all(extra_with(module) is not None for module in modules)
    assert extra_with("lightning_fabric.plugins") == ("lightning-fabric", "train")
    assert extra_with("no_such_module") is None and "tensorrt-rtx" in EXTRAS
