"""The TensorRT checklist: a real bundle passes, and a file that fails is left out of a bundle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from edgeseg.bundle import Bundle
from edgeseg.export.exporter import export
from edgeseg.export.tensorrt import checklist
from edgeseg.export.tensorrt.checklist import TITLES, CheckedFiles, checklist_summary, run_checklist
from edgeseg.site import Site
from tests.helpers.checklist import CONFIG, Plant, findings, set_metadata


def without(key: str) -> Callable[[ModelProto], None]:
    return lambda model: set_metadata(model, key, None)


def wrong_flavour(model: ModelProto) -> None:
    set_metadata(model, "edgeseg.flavour", "int8-cpu")


def other_source(model: ModelProto) -> None:
    set_metadata(model, "edgeseg.source", "0" * 64)


PLANTED: list[tuple[int, Plant, str]] = [
    (13, wrong_flavour, "its own runtime refuses it"),
    (13, other_source, "digest of the model.onnx"),
    (13, without("edgeseg.flavour"), "instead of int8-trt"),
    (13, without("edgeseg.calibration"), "how it was calibrated"),
    (13, without("edgeseg.calibration_frames"), "how many frames"),
    (13, without("edgeseg.islands"), "tensors that it leaves float"),
    (13, without("edgeseg.float_convolutions"), "convolutions that it leaves float"),
]


@pytest.mark.parametrize(
    ("number", "plant", "words"),
    PLANTED,
    ids=[f"{number}-{plant.__name__}-{words}" for number, plant, words in PLANTED],
)
def test_a_planted_fault_is_found_by_its_point(
    trt: ModelProto, files: CheckedFiles, number: int, plant: Plant, words: str
) -> None:
    plant(trt)
    found = findings(trt, files, number)
    assert any(words in sentence for sentence in found), found


def test_an_exported_bundle_passes_every_point_and_its_manifest_says_so(
    bundle: Bundle, files: CheckedFiles
) -> None:
    points = run_checklist(files)
    assert [point.number for point in points] == list(range(1, 14)) and len(TITLES) == 13
    assert [point for point in points if point.findings != ()] == []
    assert bundle.manifest.figures["int8-trt"]["checklist"] == {
        "passed": [*range(1, 11), 13],
        "findings": {},
    }


def test_both_files_name_their_float_convolutions(files: CheckedFiles) -> None:
    for data, most in ((files.trt, 3), (files.cpu, 0)):
        assert data is not None
        model = onnx.load_model_from_string(data)
        said = {entry.key: entry.value for entry in model.metadata_props}
        names = {node.name for node in model.graph.node if node.op_type == "Conv"}
        found = json.loads(said["edgeseg.float_convolutions"])
        assert set(found) <= names and len(found) <= most


def test_files_in_each_others_place_are_found_by_the_last_point(files: CheckedFiles) -> None:
    found = run_checklist(dataclasses.replace(files, trt=files.cpu, cpu=files.trt))[12].findings
    assert found and any(
        "a runtime that wants int8-cpu would take model.int8-trt.onnx" in one for one in found
    )


def test_a_file_that_fails_is_refused_and_the_float_bundle_still_ships(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.open(bundle.path.parent.parent)  # where the calibration is stored
    faulty = [
        checklist.ChecklistPoint(9, ("Q/DQ nodes stand between Conv a and its activation Clip b",))
    ]
    monkeypatch.setattr("edgeseg.export.int8_files.run_static_checks", lambda trt, fp32: faulty)
    result = export(site, CONFIG, site.root / "runs" / "distill" / "exp1", tmp_path / "out")
    assert len(result.refused) == 1 and "model.int8-trt.onnx was refused" in result.refused[0]
    assert (
        "fails point 9 of the TensorRT checklist (Q/DQ nodes stand between Conv a"
        in result.refused[0]
    )
    made = Bundle.open(result.bundle)
    assert "model.onnx" in made.manifest.files and "model.int8-trt.onnx" not in made.manifest.files
    assert made.manifest.figures["int8-trt"]["checklist"] == checklist_summary(faulty)
