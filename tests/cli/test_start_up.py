"""What starting edgeseg loads: nothing foreign for `import edgeseg`, no engine and no arrays for
`edgeseg --help`.

Speed itself is measured by benchmarks/start_up.py.
"""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "cv2",
    "onnxruntime",
    "onnx",
    "tensorrt",
    "PIL",
    "pandas",
}


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that `statement` adds to a fresh interpreter."""
    program = f"""
import json, sys
before = set(sys.modules)
{statement}
print("\\n" + json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_no_third_party_module() -> None:
    names = loaded_by("import edgeseg")
    assert "edgeseg" in names
    assert names - {"edgeseg"} <= sys.stdlib_module_names


def test_help_loads_neither_engines_nor_arrays() -> None:
    names = loaded_by("""
from edgeseg.cli.app import app
try:
    app(["--help"])
except SystemExit as stop:
    assert stop.code == 0, stop.code
""")
    assert "typer" in names
    assert not names & HEAVY
