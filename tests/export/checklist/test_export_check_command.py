"""`edgeseg export --check` tells each point of the TensorRT checklist."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from onnx import ModelProto
from typer.testing import CliRunner

from edgeseg.bundle import Bundle, Manifest, write_bundle
from edgeseg.cli.app import app
from tests.helpers.checklist import both_inputs_of_an_addition


def test_the_command_passes_a_good_bundle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["export", "--check", str(bundle.path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["findings"] for one in found["points"]] == [[]] * 13
    assert result.stderr.count("passed") == 13
    site = bundle.path.parent.parent
    (site / "bundles" / "current").symlink_to(bundle.path.name)
    monkeypatch.chdir(site)
    assert CliRunner().invoke(app, ["export", "--check"]).exit_code == 0


def changed(
    bundle: Bundle, target: Path, files: dict[str, bytes], manifest: Manifest | None = None
) -> Path:
    return write_bundle(target, manifest or bundle.manifest, files).path


def test_the_command_names_the_point_that_failed(
    bundle: Bundle, trt: ModelProto, tmp_path: Path
) -> None:
    both_inputs_of_an_addition(trt)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    path = changed(
        bundle, tmp_path / "bad", files | {"model.int8-trt.onnx": trt.SerializeToString()}
    )
    result = CliRunner().invoke(app, ["export", "--check", str(path)])
    assert result.exit_code == 1 and "does not pass point 9;" in result.stderr.replace("\n", " ")


def test_the_command_says_that_there_is_nothing_to_check(bundle: Bundle, tmp_path: Path) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest.files if "int8" not in name}
    result = CliRunner().invoke(
        app, ["export", "--check", str(changed(bundle, tmp_path / "float", files))]
    )
    assert result.exit_code == 1 and "holds no INT8 file to check" in result.stderr
    assert "Traceback" not in result.output


def test_the_command_disagrees_with_what_exports(bundle: Bundle, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export", "--check", str(bundle.path), "--int8", "--output", str(tmp_path)]
    )
    assert result.exit_code == 1 and "disagrees with --int8, --output" in result.stderr


def test_a_damaged_bundle_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "copy")
    path = tmp_path / "copy" / "model.int8-trt.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["export", "--check", str(tmp_path / "copy")])
    assert result.exit_code == 1 and "is damaged" in result.stderr
