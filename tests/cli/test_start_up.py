"""What starting edgeseg loads: nothing foreign for `import edgeseg`, no engine and no arrays for
`edgeseg --help`.

Speed itself is measured by benchmarks/start_up.py.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


PAUSE = """
import importlib.abc, sys, time

class Pause(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname == NAME:
            print("loading", flush=True)
            time.sleep(30)

sys.meta_path.insert(0, Pause())
sys.argv = ["edgeseg", *COMMAND]
from edgeseg.cli.start import main
main()
"""


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("typer", ["status"]),  # while the commands load
        ("edgeseg.cli.site.status", ["status"]),
        ("torch", ["eval", "run"]),  # while a command loads what it needs
    ],
)
def test_ctrl_c_while_modules_load_is_quiet(
    module: str, command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    card = {"arch": "fpn", "encoder": "x", "height": 32, "width": 32}
    card["classes"] = [{"name": str(n), "color": f"#00000{n}"} for n in range(2)]
    (tmp_path / "run" / "model.json").write_text(json.dumps(card))
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    if command[0] == "eval":
        command = [*command, "--images", "images", "--masks", "masks"]
    program = f"NAME, COMMAND = {module!r}, {command!r}\n{PAUSE}"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # who starts tests in the background of a script has them ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None and process.stdout.readline() == "loading\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130, said
    lines = [line for line in said.splitlines() if line]
    assert lines[-1].startswith("interrupted: ") and "Traceback" not in said
    assert len(lines) <= 2  # and a title of the work that had begun


def test_ctrl_c_stays_ignored_where_a_shell_ignores_it() -> None:
    """As `nohup` and scripts do for what they start in the background."""
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = ["edgeseg", "--help"]
from edgeseg.cli.start import main
try:
    main()
except SystemExit as stop:
    assert stop.code == 0
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
