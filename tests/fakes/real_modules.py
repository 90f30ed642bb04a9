"""NVIDIA's own modules, asked in processes of their own, since native code may crash."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RTX, LEAN = "tensorrt_rtx", "tensorrt_lean_bindings"
TIMEOUT = 200  # seconds, after which a tool says where it stands
WATCHED = """
import faulthandler, runpy, sys
faulthandler.dump_traceback_later({seconds}, exit=True)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
INSTALL = {
    RTX: "pip install -e '.[tensorrt-rtx]'",
    LEAN: "pip install tensorrt-lean-cu13-libs tensorrt-lean-cu13-bindings",
}


def needed(module: str) -> None:
    """Skip the test where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: {INSTALL[module]}")


def run_tool(tool: str, folder: Path, *arguments: str | Path) -> Any:  # Any: what json holds
    """What `python -m tests.fakes.TOOL` writes; its second argument is the file to write.

    Args:
        arguments: The first, then those after the second.
    """
    target = folder / "answer.json"
    first, *rest = arguments
    module = f"tests.fakes.{tool}"
    command = [sys.executable, "-c", WATCHED.format(seconds=TIMEOUT), module, first, target, *rest]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    return json.loads(target.read_text())
