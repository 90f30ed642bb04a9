"""The example in docs/methods.md, put into a copy of the project, is a method that trains."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers.sites import TINY, make_site

ROOT = Path(__file__).parents[2]


def test_the_documented_method_trains_after_the_documented_steps(tmp_path: Path) -> None:
    source, entry, test = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "methods.md").read_text(), re.DOTALL
    )
    project = tmp_path / "project"
    shutil.copytree(
        ROOT / "edgeseg", project / "edgeseg", ignore=shutil.ignore_patterns("__pycache__")
    )
    for copied in ("helpers/methods.py", "helpers/sites.py", "methods/test_methods.py"):
        (project / "tests" / copied).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / copied, project / "tests" / copied)
    (project / "edgeseg" / "methods" / "online" / "cutout_mt.py").write_text(source)
    catalogue = project / "edgeseg" / "config" / "method_catalogue" / "catalogue.py"
    opening = "CATALOGUE: dict[str, MethodInfo] = {\n"
    assert opening in catalogue.read_text()
    catalogue.write_text(catalogue.read_text().replace(opening, opening + entry))
    (project / "tests" / "methods" / "test_cutout_mt.py").write_text(test)
    site = tmp_path / "site"
    site.mkdir()
    make_site(site)

    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    settings = {**TINY, "method": "cutout_mt"}
    train = [sys.executable, "-m", "edgeseg.cli.app", "train"]
    for key, value in settings.items():
        train += ["--set", f"train.{key}={value!r}".replace("'", '"')]
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "tests",
        "-k",
        "cutout_mt",
    ]
    for command, folder in ((tests, project), (train, site)):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Next: edgeseg distill" in done.stderr
    assert (site / "runs" / "train" / "exp1" / "metrics.json").exists()


def test_every_file_of_a_method_is_short() -> None:
    for path in (ROOT / "edgeseg" / "methods").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 180, path.name
