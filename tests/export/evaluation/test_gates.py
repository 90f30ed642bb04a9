"""A file that lost too much is refused in one sentence, with its figures and the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.gates import refusal
from edgeseg.export.evaluation.library_verdicts import BuildVerdict, FileVerdict, problem_sentences
from edgeseg.export.reporting.library_table import library_remarks, library_tables
from edgeseg.runtime.backends.tensorrt.version_differences import ParserFault


def figures(**changes: Any) -> dict[str, Any]:
    whole = {
        "miou": 60.0,
        "drop": 0.2,
        "speedup": 2.0,
        "convolutions": 66,
        "integer": 66,
        "quantised": 66,
    }
    return whole | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"drop": 0.7},
            ["0.70 mIoU", "60.70 to 60.00", "--max-drop 0.3", "with --qat, or raise --max-drop"],
        ),
        (
            {"worst_class": {"name": "pole", "drop": 1.5}},
            ["1.50 IoU points of pole", "--max-class-drop 1"],
        ),
        ({"integer": 0, "quantised": 0}, ["0 of its 66"]),
        ({"speedup": 0.9}, ["0.90x", "--min-speedup 1"]),
        ({"quantised": 40}, ["40 of its 66"]),
        (
            {"drop": 5.0, "speedup": 0.5},
            ["5.00 mIoU", "0.50x", "; raise --max-drop and lower --min-speedup"],
        ),
        (
            {"drop": 0.4, "worst_class": {"name": "pole", "drop": 1.5}},
            ["; train its codes with --qat, or raise --max-drop and raise --max-class-drop"],
        ),
    ],
)
def test_a_bad_file_is_refused_by_name_with_its_figures(
    changes: dict[str, Any], words: list[str]
) -> None:
    why = refusal("int8-cpu", figures(**changes), ExportConfig())
    assert (
        why is not None
        and why.startswith("model.int8-cpu.onnx was refused")
        and all(word in why for word in words)
    )


def test_training_codes_is_not_advised_twice_nor_for_a_float_file() -> None:
    lost = figures(drop=1.0)
    halves = {key: lost[key] for key in ("miou", "drop")}
    for why in (
        refusal("int8-cpu", lost, ExportConfig(qat=True)),
        refusal("fp16", halves, ExportConfig()),
    ):
        assert why is not None and why.endswith("; raise --max-drop")


def test_a_good_file_passes_and_one_without_speed_is_not_judged_by_it() -> None:
    assert refusal("int8-cpu", figures(), ExportConfig()) is None
    assert refusal("int8-cpu", figures(drop=-1.0), ExportConfig(max_drop=0)) is None
    assert refusal("fp16", {"miou": 60.0, "drop": 0.0}, ExportConfig(min_speedup=2)) is None


def asked(**changes: Any) -> dict[str, Any]:
    """Figures of a file of 7 layers that a library was asked about."""
    verdict = FileVerdict("tensorrt-rtx", "1.7", parsed=True, layers=7)
    return figures(tensorrt=[replace(verdict, **changes).to_figures()])


BUILT, UNBUILT = BuildVerdict("8.6", 0.5, 1000), BuildVerdict("7.5", 0.5, None, "no kernel")
FAULT = ParserFault("no importer", 3, "Frobnicate", "layer3", 8)


def test_what_a_library_of_nvidia_refuses_is_left_out() -> None:
    for found, words in (
        (
            asked(parsed=False, errors=(FAULT,)),
            "is not read by the parser of TensorRT for RTX 1.7 ",
        ),
        (asked(builds=(UNBUILT,)), "for compute capability 7.5 (no kernel)"),
    ):
        why = refusal("int8-trt", found, ExportConfig())
        assert why is not None and words in why and "export.ask_tensorrt=false" in why
        assert refusal("int8-trt", found, ExportConfig(ask_tensorrt=False)) is None
        assert refusal("fp16", found, ExportConfig()) is None  # CUDA runs it too


def test_what_a_library_takes_for_some_gpus_or_never_judged_ships_and_is_told() -> None:
    for changes, words in (
        ({"builds": (BUILT,)}, None),
        ({"builds": (BUILT, UNBUILT)}, "model.int8-trt.onnx is not built by"),
        ({"builds": (), "unfinished": "building it was killed by SIGABRT"}, "killed by SIGABRT"),
        ({"parsed": False, "unfinished": "reading it took longer"}, "not tried to the end with"),
    ):
        found = asked(**changes)
        assert refusal("int8-trt", found, ExportConfig()) is None
        told = problem_sentences({"int8-trt": found})
        assert told == [] if words is None else words in told[0] and len(told) == 1


def test_tables_show_what_was_not_read_or_built() -> None:
    no = asked(parsed=False, layers=0, errors=(FAULT,))
    half = asked(builds=(BUILT, UNBUILT), warnings=("weights were clamped",))
    both = {"fp32": no, "int8-trt": half, "fp16": asked(parsed=False, layers=0, unfinished="no")}
    assert library_tables(both) == {
        "TensorRT for RTX 1.7": (
            ["", "model.onnx", "model.int8-trt.onnx", "model.fp16.onnx"],
            [
                ["layers", "not read", "7", "no verdict"],
                ["compute 8.6", "-", "0.0 MB, 0.5 s", "-"],
                ["compute 7.5", "-", "not built", "-"],
            ],
        )
    }
    warning, proof = library_remarks(both)
    assert warning == "TensorRT for RTX 1.7 warns about model.int8-trt.onnx: weights were clamped"
    assert proof.startswith("No engine was run") and "no proof" in proof
    assert library_tables({"fp32": figures()}) == {} and library_remarks({}) == []
