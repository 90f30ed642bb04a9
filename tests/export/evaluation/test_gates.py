"""A file that lost too much is refused in one sentence, with its figures and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.gates import refusal


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
