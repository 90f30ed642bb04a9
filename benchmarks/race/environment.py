"""The peer's own environment, made when asked for."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.race.speed import RaceError

VERSIONS = ("ultralytics==8.4.190", "openvino==2026.4.1", "nncf==3.4.0")
BESIDE = ("onnx", "onnxruntime", "onnxslim")  # what its exports need, which it would fetch itself


def make_environment(folder: Path) -> str:
    """Make the environment once, and return its interpreter.

    It takes several GB, most of it torch; an index of CPU wheels in `PIP_EXTRA_INDEX_URL` makes it
    small. Ultralytics is under the AGPL-3.0; nothing of it comes into edgeseg.

    Raises:
        RaceError: The packages could not be installed.
    """
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return str(python)
    print(f"making {folder} with Ultralytics (AGPL-3.0)", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *VERSIONS, *BESIDE]
    if subprocess.run(command, stdout=sys.stderr).returncode:
        raise RaceError(
            f"pip could not install {', '.join(VERSIONS)} into {folder}; make an environment with "
            "them yourself and give its interpreter with --peer-python"
        )
    done.touch()
    return str(python)
