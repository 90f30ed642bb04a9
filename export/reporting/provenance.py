"""The origin of a model, as the manifest records it, and the terms of its weights and data."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeseg.disk.stored_paths import find_stored_path
from edgeseg.models.model_files import ModelCard
from edgeseg.models.pretrained.weights_terms import weights_origin
from edgeseg.site import Site
from edgeseg.version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGES = ("torch", "onnx", "onnxruntime")


def provenance(
    site: Site, run: Path, card: ModelCard
) -> dict[str, Any]:  # Any: names, digests and versions
    """Return what the manifest says of the model's origin.

    Run, network, method, digests of configuration and data, and versions.
    """
    config = run / "config.toml"
    return {
        "run": run_name(site, run),
        "arch": card.arch,
        "encoder": card.encoder,
        "method": _method(run),
        "config_sha256": _digest(config),
        "data_sha256": _digest(site.index),
        "edgeseg": __version__,
        **{name: _version(name) for name in PACKAGES},
        "machine": platform.machine(),
    }


def run_name(site: Site, run: Path) -> str:
    """Return how the bundle names a run: inside the site by its path, outside by two names.

    The last two, that is; a path of this machine is never written into a bundle.
    """
    try:
        name = run.resolve().relative_to(site.root.resolve()).as_posix()
    except ValueError:
        name = "/".join(run.resolve().parts[-2:])
    return name.encode(errors="replace").decode()  # a manifest holds UTF-8 alone


def license_terms(site: Site, run: Path, card: ModelCard) -> list[str]:
    """Return one sentence for each thing the model was made from, as far as the run says."""
    teacher = _read_json(run / "origin.json").get("teacher")
    subjects = [(run, "The edge model's encoder" if teacher else "The encoder")]
    if isinstance(teacher, str):
        teacher_run = find_stored_path(site.root, teacher)
        subjects.append((teacher_run, "The site model's encoder" if teacher else "The encoder"))
    sentences = []
    for path, subject in subjects:
        config = _read_config(path)
        encoder = str(config.get("encoder", card.encoder))
        sentences.append(f"{subject} {encoder} started from {_origin(path, encoder, config)}.")
    return [
        *sentences,
        "The frames and masks are the site's own; edgeseg does not know on what terms they may be "
        "used, so settle that with whoever recorded and labelled them before the model is passed "
        "on.",
    ]


def _origin(run: Path, encoder: str, config: dict[str, Any]) -> str:  # Any: TOML values
    """What a run's encoder started from: as its card says, or as far as its configuration does."""
    said = _read_json(run / "model.json").get("weights_origin")
    if said:
        return str(said)
    if "weights" not in config:
        return "weights that the run does not name"
    return weights_origin(encoder, str(config["weights"]))


def _method(run: Path) -> str:
    method = _read_config(run).get("method")
    if method:
        return str(method)
    return "distill" if _read_json(run / "origin.json").get("teacher") else "unknown"


def _read_config(run: Path) -> dict[str, Any]:  # Any: TOML values
    try:
        return tomllib.loads((run / "config.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _read_json(path: Path) -> dict[str, Any]:  # Any: JSON values
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
