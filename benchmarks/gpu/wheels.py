"""What edgeseg needs besides torch, as wheels for a machine that reaches no registry.

Knows the standard library and pip alone, as it also runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from benchmarks.gpu import wheel_loads

LOAD_BYTES = 50_000_000  # with the repository's 7 MB less than the 64 MiB that travel at once
GIVEN = {"torch"}  # what the machine has, with all that only it needs
# A source distribution, which pip does not fetch for another machine; it names these two wheels.
META, META_WHEELS = "tensorrt-rtx-cu13", ("tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings")
PLATFORMS = ("linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64")
GLIBC = range(17, 40)  # pip takes exactly the platforms that it is told
PROOF = """
import torch, edgeseg.training.train, edgeseg.export.exporter, edgeseg.runtime.inference
print("torch", torch.__version__, "of", torch.__file__)
"""


def pack(folder: Path, extras: Sequence[str], *, python: str, torch: str, has: str) -> None:
    """Fetch the wheels into loads.

    Args:
        folder: Where the loads go.
        extras: Those of edgeseg that are to be used there.
        python: The other machine's version of Python, such as "3.12".
        torch: Its version of torch.
        has: A text that names packages that it has besides; words that name none do no harm.
    """
    wanted = requirements(Path(__file__).parents[2] / "pyproject.toml", extras)
    meta = any(canonical(name) == META for name in wanted)
    wanted = [name for name in wanted if canonical(name) != META] + list(META_WHEELS) * meta
    with tempfile.TemporaryDirectory(prefix="wheels-") as name:
        place = Path(name)
        report = place / "report.json"
        _pip(
            "install",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            "--target",
            str(place / "none"),
            *_target(python),
            f"torch=={torch}",
            *wanted,
        )
        found = {
            canonical(entry["metadata"]["name"]): entry["metadata"]
            for entry in json.loads(report.read_bytes())["install"]
        }
        present = {canonical(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*\w", has)}
        needed = sorted(reached(wanted, found, GIVEN | present))
        pinned = [f"{name}=={found[name]['version']}" for name in needed]
        _pip("download", "--no-deps", "--dest", str(place / "got"), *_target(python), *pinned)
        if meta and META_WHEELS[0] in needed:
            version = found[META_WHEELS[0]]["version"]
            _pip("wheel", "--no-deps", "--wheel-dir", str(place / "got"), f"{META}=={version}")
        wheels = sorted((place / "got").glob("*.whl"), key=lambda path: -path.stat().st_size)
        loads = wheel_loads.split(wheels, folder, LOAD_BYTES)
    print(f"{len(wheels)} wheels for Python {python} and torch {torch}: {', '.join(pinned)}")
    for load in loads:
        size = sum(piece.stat().st_size for piece in load.iterdir())
        print(f"{load}  {size / 1e6:.1f} MB")


def install(folder: Path, into: Path) -> None:
    """Install the wheels of all loads, from nowhere else, beside the packages that are there.

    Args:
        folder: The folder that holds the loads.
        into: A folder for PYTHONPATH; what is in it hides the machine's own version.
    """
    with tempfile.TemporaryDirectory(prefix="wheels-") as name:
        try:
            wheels = wheel_loads.join(folder, Path(name))
        except wheel_loads.LoadError as error:
            sys.exit(f"error: {error}")
        _pip(
            "install",
            "--no-index",
            "--no-deps",
            "--no-compile",
            "--upgrade",
            "--target",
            str(into),
            *map(str, wheels),
        )
    path = os.pathsep.join([str(into), str(Path(__file__).parents[2])])
    subprocess.run([sys.executable, "-c", PROOF], env=os.environ | {"PYTHONPATH": path}, check=True)
    print(f"{len(wheels)} wheels; now PYTHONPATH={into} python benchmarks/gpu_check.py")


def requirements(pyproject: Path, extras: Sequence[str]) -> list[str]:
    """The requirements of edgeseg and of some of its extras, less torch."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads(pyproject.read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][key] for key in extras)]
    return sorted({text for some in lists for text in some if canonical(text) not in GIVEN})


def reached(
    wanted: Iterable[str],
    found: Mapping[str, Any],  # Any: numbers, texts and lists, by their names
    present: Set[str],
) -> set[str]:
    """Names of the packages that have to be brought.

    Args:
        wanted: The requirements to start from.
        found: The metadata of each package that pip would install.
        present: Names of those that are there, with what they need.
    """
    names: set[str] = set()
    waiting = [canonical(text) for text in wanted]
    while waiting:
        name = waiting.pop()
        if name in found and name not in names | present:
            names.add(name)
            waiting += map(canonical, found[name].get("requires_dist", ()))
    return names


def canonical(requirement: str) -> str:
    """The name in a requirement, in the spelling that all registries know."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def _target(python: str) -> list[str]:
    """Options of pip: wheels for that Python on x86-64 Linux."""
    platforms = (*PLATFORMS, *(f"manylinux_2_{number}_x86_64" for number in reversed(GLIBC)))
    options = ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    return options + [part for name in platforms for part in ("--platform", name)]


def _pip(*words: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([sys.executable, "-m", "pip", words[0], *quiet, *words[1:]], check=True)
