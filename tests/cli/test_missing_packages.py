"""A command whose extra is not installed names it, in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgeseg.doctor import EXTRAS, extra_with
from edgeseg.installation import install_command


def check_without(missing: str, bundle: Path) -> subprocess.CompletedProcess[str]:
    """What `edgeseg export --check` does in a process that cannot import a module."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['edgeseg', *sys.argv[1:]]; "
        "from edgeseg.cli.start import main; main()"
    )
    command = [sys.executable, "-c", code, "export", "--check", str(bundle)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_check_on_a_device_without_onnx(bundle_path: Path) -> None:
    done = check_without("onnx", bundle_path)
    assert done.returncode == 1 and done.stderr.splitlines() == [
        "error: `edgeseg export` needs onnx, which is not installed here; run "
        f"`{install_command('export')}`"
    ]


def test_a_module_of_nobody_is_a_fault_of_ours(bundle_path: Path) -> None:
    done = check_without("edgeseg.export.tensorrt.checklist", bundle_path)
    assert "Traceback" in done.stderr and "ModuleNotFoundError" in done.stderr


def test_every_package_is_found_by_its_module() -> None:
    modules = {"cv2", "PIL", "av", "onnxruntime", "torch", "segmentation_models_pytorch", "onnx"}
    assert all(extra_with(module) is not None for module in modules)
    assert extra_with("lightning_fabric.plugins") == ("lightning-fabric", "train")
    assert extra_with("no_such_module") is None and "tensorrt-rtx" in EXTRAS
