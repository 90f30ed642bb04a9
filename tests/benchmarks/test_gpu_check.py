"""The check of a GPU is rehearsed on a CPU, and keeps what it measured whatever stops it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# The script with one quick part and one that does not end, so that the others' imports are spared.
ENDLESS = """
import sys, time, types
sys.path.insert(0, {root!r})
from benchmarks import gpu_check
from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part

def measure(item, settings):
    time.sleep(60 if item == "slow" else 0)
    return Finding(True, "seen", {{"value": 7}})

parts = (Part("one", lambda settings: ["quick"], measure, 0),
         Part("two", lambda settings: ["slow", "never"], measure, 0))
sys.modules["benchmarks.gpu.parts"] = types.SimpleNamespace(PARTS=parts)
sys.argv = ["gpu_check.py", "--rehearse", "--output", sys.argv[1], *sys.argv[2:]]
gpu_check.main()
"""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "OUT"} | {
        "OMP_NUM_THREADS": "1"
    }


def endless(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENDLESS.format(root=str(ROOT)), *words],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_rehearsal_passes_in_every_part(tmp_path: Path) -> None:
    stored = tmp_path / "gpu.json"
    finished = subprocess.run(
        [sys.executable, "benchmarks/gpu_check.py", "--rehearse", "--output", str(stored)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "its figures mean nothing" in finished.stdout
    line = finished.stdout.splitlines()[-1]
    result: dict[str, Any] = json.loads(line)  # Any: numbers, texts, lists
    assert json.loads(stored.read_bytes()) == result
    assert result["rehearsal"] and not result["stopped"] and not result["failures"]
    engines = "passed" if importlib.util.find_spec("tensorrt_rtx") else "skipped"
    assert {(row["part"], row["item"]): row["status"] for row in result["rows"]} == {
        ("machine", "gpu"): "passed",
        ("step", "cutmix_mt"): "passed",
        ("step", "u2pl"): "passed",
        ("step", "st"): "passed",
        ("throughput", "cutmix_mt resnet50 bf16"): "passed",
        ("throughput", "cutmix_mt vit_small 32"): "passed",
        ("resume", "u2pl deterministic"): "passed",
        ("ddp", "cutmix_mt"): "passed",
        ("evaluate", "mobilenetv2_035"): "passed",
        ("tensorrt-rtx", "export"): "passed",
        ("tensorrt-rtx", "fp32"): engines,
    }
    for row in result["rows"]:
        if row["part"] == "step":
            assert row["figures"]["loss_difference"] == 0 and min(row["figures"]["losses"]) > 0


def test_a_stopped_check_keeps_its_rows_and_prints_its_line(tmp_path: Path) -> None:
    stored = tmp_path / "gpu.json"
    process = endless(str(stored))
    assert process.stdout is not None
    assert "part" in process.stdout.readline() and "quick" in process.stdout.readline()
    assert [row["item"] for row in json.loads(stored.read_bytes())["rows"]] == ["quick"]
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    result = json.loads(text.splitlines()[-1])
    assert result["stopped"] == "stopped by SIGTERM"
    assert [row["figures"] for row in result["rows"]] == [{"value": 7}]


def test_a_signal_amid_a_fork_stops_the_check_too(tmp_path: Path) -> None:
    """Python drops what a handler raises there."""
    hook = "import os, signal; os.register_at_fork(before=lambda: os.kill(os.getpid(), 15))"
    process = subprocess.run(
        [sys.executable, "-c", hook + ENDLESS.format(root=str(ROOT)), str(tmp_path / "gpu.json")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert process.returncode == 130, process.stderr
    assert json.loads(process.stdout.splitlines()[-1])["stopped"] == "stopped by SIGTERM"
