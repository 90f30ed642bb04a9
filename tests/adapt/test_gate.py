"""The gate lets better and equal bundles pass, and stops every planted regression with a sentence
that names it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.adapt.gate import GateDecision, GateMeasurement, judge_challenger
from edgeseg.config import AdaptConfig
from edgeseg.metrics import miou

NAMES = ("sky", "water", "pole")
LIMITS = {"max_drop": 0.2, "max_class_drop": 3.0, "draws": 500}
INT8, FP32 = "model.int8-cpu.onnx", "model.onnx"


def frames(
    recall: tuple[float, ...],
    *,
    number: int = 20,
    noise: float = 0.0,
    seed: int = 0,
    pixels: tuple[int, ...] = (),
) -> Any:
    """(number, C, C) counts in which a share `recall` of each class is found; the rest is taken for
    the first.
    """
    random = np.random.default_rng(seed)
    sizes = np.array(pixels or (4000, 5000, 1000))
    counts = np.zeros((number, len(sizes), len(sizes)), np.int64)
    for index, size in enumerate(sizes):
        hits = np.round(
            size * np.clip(recall[index] + noise * random.standard_normal(number), 0, 1)
        ).astype(np.int64)
        counts[:, index, index] += hits
        counts[:, index, 0 if index else 1] += size - hits
    return counts


def judge(
    new: Any,
    old: Any,
    *,
    new_file: str = INT8,
    old_file: str = INT8,
    fps: float = 20.0,
    **limits: Any,
) -> GateDecision:
    challenger = GateMeasurement(name="new", artefact=new_file, counts=new, fps=fps)
    champion = GateMeasurement(name="old", artefact=old_file, counts=old, fps=10.0)
    return judge_challenger(
        challenger, champion, NAMES, AdaptConfig.model_validate(LIMITS | limits)
    )


def failed(judgement: GateDecision) -> list[str]:
    return [check.name for check in judgement.checks if not check.passed]


def test_a_better_challenger_is_promoted() -> None:
    decision = judge(frames((0.95, 0.95, 0.9)), frames((0.9, 0.9, 0.8)))
    assert decision.promoted
    assert decision.difference.low > 0
    assert decision.reason.endswith("every check passed")


def test_an_equal_challenger_is_promoted() -> None:
    same = frames((0.9, 0.9, 0.8), noise=0.05)
    assert judge(same, same).promoted


def test_the_figures_are_those_of_one_confusion_matrix() -> None:
    new, old = (
        frames((0.95, 0.9, 0.7), noise=0.1, seed=1),
        frames((0.9, 0.9, 0.8), noise=0.1, seed=2),
    )
    decision = judge(new, old)
    assert decision.challenger["miou"] == pytest.approx(miou(new.sum(0)), abs=1e-3)
    assert decision.difference.mean == pytest.approx(miou(new.sum(0)) - miou(old.sum(0)))


def test_a_loss_beyond_max_drop_is_rejected_even_when_it_may_be_chance() -> None:
    old = frames((0.9, 0.9, 0.8))
    new = np.concatenate(
        [frames((0.98, 0.98, 0.9), number=10), frames((0.8, 0.8, 0.68), number=10)]
    )
    decision = judge(new, old, max_class_drop=100)
    assert decision.difference.mean < -0.2 < 0 < decision.difference.high
    assert failed(decision) == ["mean"]
    assert "20 gate frames cannot tell the challenger from the champion" in decision.reason


def test_a_small_loss_is_forgiven_only_while_it_may_be_chance() -> None:
    old = frames((0.9, 0.9, 0.8), number=40)
    steady = frames((0.899, 0.899, 0.799), number=40)
    assert -0.3 < judge(steady, old, max_drop=0.3).difference.mean < 0
    assert failed(judge(steady, old, max_drop=0.3)) == ["chance"]
    shaky = (
        old.copy()
    )  # the same loss in all, but from few frames: half of them gain, half lose a little more
    shaky[::2] = frames((0.910, 0.910, 0.81), number=20)
    shaky[1::2] = frames((0.8885, 0.8885, 0.789), number=20)
    decision = judge(shaky, old, max_drop=0.3)
    assert -0.3 < decision.difference.mean < 0 < decision.difference.high
    assert decision.promoted


def test_a_class_that_falls_is_named() -> None:
    decision = judge(frames((0.99, 0.99, 0.72)), frames((0.9, 0.9, 0.8)))
    assert decision.difference.mean > 0
    assert failed(decision) == ["classes"]
    assert "pole" in decision.reason
    assert "sky" not in decision.reason.split(";")[1]


def test_a_class_of_a_few_pixels_may_move() -> None:
    tiny = (4000, 5000, 4)
    decision = judge(
        frames((0.99, 0.99, 0.5), pixels=tiny), frames((0.9, 0.9, 1.0), pixels=tiny), max_drop=100
    )
    assert "classes" not in failed(decision)


def test_a_class_that_is_lost_is_named_however_few_its_pixels() -> None:
    tiny = (4000, 5000, 4)
    decision = judge(
        frames((0.99, 0.99, 0.0), pixels=tiny), frames((0.99, 0.95, 1.0), pixels=tiny), max_drop=100
    )
    assert "lost" in failed(decision)
    assert "pole is no longer found" in decision.reason


def test_a_class_that_the_champion_never_found_cannot_be_lost() -> None:
    nothing = frames((0.95, 0.95, 0.0))
    assert judge(nothing, frames((0.9, 0.9, 0.0))).promoted


def test_a_class_that_the_gate_frames_do_not_show_is_no_reason() -> None:
    empty = (4000, 5000, 0)
    decision = judge(frames((0.95, 0.95, 0), pixels=empty), frames((0.9, 0.9, 0), pixels=empty))
    assert decision.promoted


def test_a_missing_int8_file_is_rejected() -> None:
    better = frames((0.99, 0.99, 0.9)), frames((0.9, 0.9, 0.8))
    assert failed(judge(*better, new_file=FP32)) == ["artefact"]
    assert judge(*better, new_file=FP32, old_file=FP32).promoted
    assert judge(*better, old_file=FP32).promoted


def test_a_slow_challenger_is_rejected() -> None:
    better = frames((0.99, 0.99, 0.9)), frames((0.9, 0.9, 0.8))
    assert failed(judge(*better, fps=11.9, min_fps=12)) == ["speed"]
    assert judge(*better, fps=12.1, min_fps=12).promoted


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_gate_frames_without_any_label_promote_nobody() -> None:
    nothing = np.zeros((3, 3, 3), np.int64)
    decision = judge(nothing, nothing)
    assert not decision.promoted
    assert json.loads(json.dumps(decision.as_json(), allow_nan=False))["difference"]["mean"] is None


def test_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="same frames"):
        judge(frames((0.9, 0.9, 0.9), number=3), frames((0.9, 0.9, 0.9), number=4))


def test_the_judgement_is_plain_json() -> None:
    table = judge(frames((0.95, 0.9, 0.7)), frames((0.9, 0.9, 0.8))).as_json()
    assert json.loads(json.dumps(table, allow_nan=False))["classes"]["sky"][0] == pytest.approx(
        table["classes"]["sky"][0]
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 20.0), st.integers(0, 2))
def test_a_planted_regression_never_passes(seed: int, loss: float, place: int) -> None:
    """L1: whatever the noise of the champion, the same frames with one class or all of them worse
    are blocked.
    """
    recall = [0.9, 0.9, 0.8]
    old = frames((recall[0], recall[1], recall[2]), noise=0.05, seed=seed)
    new = old.copy()
    moved = (new[:, place, place] * loss / 100).astype(np.int64)
    new[:, place, place] -= moved
    new[:, place, (place + 1) % 3] += moved
    assert not judge(new, old, max_drop=0.0).promoted
