"""Parts of the check of a GPU: faults stay where they are, and comparisons can fail."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from benchmarks.gpu import method_steps, resume
from benchmarks.gpu.findings import Finding, Report, Row, Skip
from benchmarks.gpu.isolation import Part, StopSignals, run_part
from benchmarks.gpu.one_step_stages import Step
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.shared_random import SharedRandom


def measure(item: str, settings: Settings) -> Finding:
    """What happens to one item must not happen to the others."""
    if item == "raises":
        raise RuntimeError("no such kernel\nand a second line")
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "hangs":
        time.sleep(60)
    if item == "poisoned":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if item == "missing":
        raise Skip("no such library")
    return Finding(item != "wrong", f"seen by {os.getpid()}")


def rows_of(*items: str, seconds: float = 0, left: float = 60) -> dict[str, Row]:
    part = Part("part", lambda settings: items, measure, seconds)
    found = list(run_part(part, Settings(True, Path()), time.monotonic() + left, StopSignals()))
    assert [row.item for row in found] == list(items)
    return {row.item: row for row in found}


def test_a_measurement_that_fails_leaves_the_others_alone() -> None:
    rows = rows_of("a", "raises", "b", "dies", "c", "poisoned", "d", "missing", "wrong")
    assert {item: row.status for item, row in rows.items()} == {
        "a": "passed",
        "raises": "FAILED",
        "b": "passed",
        "dies": "FAILED",
        "c": "passed",
        "poisoned": "FAILED",
        "d": "passed",
        "missing": "skipped",
        "wrong": "FAILED",
    }
    assert rows["raises"].text == "RuntimeError: no such kernel"
    assert rows["dies"].text == "its process ended with SIGKILL"
    assert rows["missing"].text == "no such library"
    assert rows["a"].text == rows["b"].text != f"seen by {os.getpid()}"
    assert rows["d"].text != rows["c"].text != rows["b"].text  # a faulty GPU's process is left


def test_what_runs_when_the_time_is_over_is_ended_and_the_rest_skipped() -> None:
    rows = rows_of("a", "hangs", "b", left=1.5)
    assert [row.status for row in rows.values()] == ["passed", "FAILED", "skipped"]
    assert "time of the whole check is over" in rows["hangs"].text
    assert rows["hangs"].seconds < 3 and rows["b"].text == "no time left"


def test_what_does_not_fit_into_the_time_is_skipped() -> None:
    assert {row.status for row in rows_of("a", "b", seconds=100).values()} == {"skipped"}


def test_the_report_counts_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "out.json", {"rehearsal": False})
    report.add(Row.of("step", "u2pl", 1.0, Finding(True, "same", {"loss": math.inf})))
    report.add(Row.of("step", "cps", 1.0, Finding(False, "other")))
    assert report.finish() == 1
    shown = capsys.readouterr().out
    assert "1 passed, 1 FAILED" in shown and '"failures": ["step cps"]' in shown
    assert '"loss": null' in (tmp_path / "out.json").read_text()


def test_another_loss_or_gradient_or_none_fails_a_step() -> None:
    steps = [Step(1.0, 10.0), Step(2.0, 20.0)]
    assert method_steps.compare(steps, [Step(1.0005, 10.1), Step(2.0, 20.0)]).passed
    assert not method_steps.compare(steps, [Step(1.0, 10.0), Step(2.1, 20.0)]).passed
    assert not method_steps.compare(steps, [Step(1.0, 10.0), Step(2.0, 40.0)]).passed
    assert not method_steps.compare(steps, [Step(1.0, 10.0), Step(math.nan, 20.0)]).passed
    with pytest.raises(ValueError):
        method_steps.compare(steps, steps[:1])


def test_a_resumed_run_may_differ_only_where_whole_runs_do() -> None:
    def weights(value: float) -> dict[str, torch.Tensor]:
        return {"a": torch.zeros(3), "b": torch.tensor([1.0, value])}

    exact = resume.compare(weights(1), weights(1), weights(1))
    assert exact.passed and exact.figures["bit_exact"]
    forgetful = resume.compare(weights(1), weights(1), weights(1.001))
    assert not forgetful.passed and "NOT bit-exact" in forgetful.text
    loose = resume.compare(weights(1), weights(1.001), weights(0.999), ["upsample"])
    assert loose.passed and "upsample" in loose.text and not loose.figures["bit_exact"]


def test_random_numbers_are_those_of_the_cpu_whatever_kernel_asks_for_them() -> None:
    frames = torch.ones(2, 3, 8, 8).to(memory_format=torch.channels_last)

    def drawn() -> list[torch.Tensor]:
        torch.manual_seed(3)
        weight = torch.tensor([0.1, 0.2, 0.7])
        return [
            torch.rand(4),
            torch.rand_like(frames),
            torch.randint(9, (4,)),
            torch.randperm(6),
            torch.multinomial(weight, 5, replacement=True),
            torch.empty(4).uniform_(),
            torch.empty(4).bernoulli_(0.5),
            F.dropout2d(frames, 0.5),
        ]

    with SharedRandom():  # type: ignore[no-untyped-call]
        shared = drawn()
    assert all(torch.equal(one, other) for one, other in zip(shared, drawn(), strict=True))
    # Dropout is another operation on a GPU than on a CPU.
    torch.manual_seed(4)
    expected = F.dropout(frames, 0.5)
    torch.manual_seed(4)
    with SharedRandom():  # type: ignore[no-untyped-call]
        found, _ = torch.native_dropout(frames, 0.5, True)
    assert torch.equal(found, expected)
