"""`edgeseg export --check` tells each point of the TensorRT checklist."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from onnx import ModelProto
from typer.testing import CliRunner

from edgeseg.bundle import Bundle, Manifest, write_bundle
from edgeseg.cli.app import app
from edgeseg.installation import install_command
from tests.helpers.checklist import CONFIG, both_inputs_of_an_addition, needs_rtx


def without_libraries(patch: pytest.MonkeyPatch) -> None:
    """As on a machine where NVIDIA's libraries are not installed."""
    for module in ("tensorrt", "tensorrt_rtx"):
        patch.setitem(sys.modules, module, None)


def test_the_command_passes_a_good_bundle_and_says_what_would_tell_more(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_libraries(monkeypatch)
    result = CliRunner().invoke(app, ["export", "--check", str(bundle.path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["findings"] for one in found["points"]] == [[]] * 13 and found["figures"] == {}
    assert result.stderr.count("passed") == 13
    assert f"`{install_command('tensorrt-rtx')}` brings the latter" in result.stderr
    site = bundle.path.parent.parent
    (site / "bundles" / "current").symlink_to(bundle.path.name)
    monkeypatch.chdir(site)
    assert CliRunner().invoke(app, ["export", "--check"]).exit_code == 0


@needs_rtx
def test_the_real_parser_and_builder_are_asked_for_every_gpu(
    bundle: Bundle, tmp_path: Path
) -> None:
    path = changed(
        bundle,
        tmp_path / "float",
        {name: bundle.read(name) for name in ("model.onnx", "golden.npz")},
    )
    result = CliRunner().invoke(app, ["export", "--check", str(path), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["figures"]
    assert list(figures) == ["fp32"]
    for of_file in figures.values():
        (verdict,) = of_file["tensorrt"]
        assert verdict["library"] == "tensorrt-rtx" and verdict["layers"] > 100
        computes = [build["compute"] for build in verdict["builds"] if build["bytes"] > 100_000]
        assert {"7.5", "8.0", "8.6", "8.9", "12.0"} <= set(computes)
    for words in ("compute 8.9", "model.onnx", "No engine was run", "not the TensorRT of a"):
        assert words in result.stderr


@needs_rtx
def test_a_file_that_the_real_parser_refuses_is_named_with_its_reason(
    bundle: Bundle, tmp_path: Path
) -> None:
    files = {"model.onnx": bundle.read("model.int8-cpu.onnx")}
    path = str(changed(bundle, tmp_path / "bad", files))
    result = CliRunner().invoke(app, ["export", "--check", path])
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "not read" in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("model.onnx is not")]
    assert "by the parser of TensorRT for RTX" in line and "Reshape 'pixels.reshape'" in line


def test_an_export_with_check_exports_and_asks_for_every_gpu(
    bundle: Bundle, tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.path.parent.parent)
    settings = [f"--set=export.{key}={value}" for key, value in CONFIG.model_dump().items()]
    settings = [one for one in settings if "None" not in one and "calibration=" not in one]
    out = str(tmp_path / "out")
    command = ["export", "--int8", "--check", "--json", "--output", out, *settings]
    result = CliRunner().invoke(app, [*command, "--set=export.half=false"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["findings"] for one in found["points"]] == [[]] * 13
    manifest = Bundle.open(Path(found["bundle"])).manifest
    for flavour in ("fp32", "int8-trt"):
        (verdict,) = manifest.figures[flavour]["tensorrt"]
        assert [build["compute"] for build in verdict["builds"]] == ["7.5", "8.6"]
        assert verdict == found["figures"][flavour]["tensorrt"][0] and verdict["version"] == "9.9"
    assert "compute 7.5" in result.stderr and "passed" in result.stderr
    *_, folder = sorted(Path("runs/export").iterdir())
    assert "NVIDIA&#x27;s own parser and builder" in (folder / "report.html").read_text()


def changed(
    bundle: Bundle, target: Path, files: dict[str, bytes], manifest: Manifest | None = None
) -> Path:
    return write_bundle(target, manifest or bundle.manifest, files).path


def test_the_command_names_the_point_that_failed(
    bundle: Bundle, trt: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_libraries(monkeypatch)
    both_inputs_of_an_addition(trt)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    path = changed(
        bundle, tmp_path / "bad", files | {"model.int8-trt.onnx": trt.SerializeToString()}
    )
    result = CliRunner().invoke(app, ["export", "--check", str(path)])
    assert result.exit_code == 1 and "does not pass point 9;" in result.stderr.replace("\n", " ")


def test_a_float_bundle_is_for_the_real_parser_alone(
    bundle: Bundle, tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest.files if "int8" not in name}
    path = str(changed(bundle, tmp_path / "float", files))
    result = CliRunner().invoke(app, ["export", "--check", path])
    assert result.exit_code == 0, result.output
    assert "the bundle holds none" in result.stderr and "compute 8.6" in result.stderr
    without_libraries(monkeypatch)
    result = CliRunner().invoke(app, ["export", "--check", path])
    assert result.exit_code == 1 and "holds no INT8 file to check" in result.stderr
    assert install_command("tensorrt-rtx") in result.stderr and "Traceback" not in result.output


def test_a_bundle_is_checked_or_a_run_exported(bundle: Bundle, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export", "--check", str(bundle.path), "--int8", "--output", str(tmp_path)]
    )
    assert result.exit_code == 1
    assert "is a bundle, which --check alone checks, but --int8, --output exports" in result.stderr


def test_a_damaged_bundle_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "copy")
    path = tmp_path / "copy" / "model.int8-trt.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["export", "--check", str(tmp_path / "copy")])
    assert result.exit_code == 1 and "is damaged" in result.stderr
