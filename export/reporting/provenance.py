"""Where a model comes from: what the manifest records of it, and what is known of the terms of its
weights and data.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeseg.models.model_files import ModelCard
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
    """What the manifest says: run, network, method, digests of configuration and data, versions."""
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
    """A run as the bundle may name it: inside the site by its path, outside by its last two names,
    never in full.
    """
    try:
        return run.resolve().relative_to(site.root.resolve()).as_posix()
    except ValueError:
        return "/".join(run.resolve().parts[-2:])


def license_terms(run: Path, card: ModelCard) -> list[str]:
    """One sentence for each thing the model was made from, as far as the run says."""
    found = []
    teacher = _table(run / "origin.json").get("teacher")
    for path in (run, *([Path(teacher)] if isinstance(teacher, str) else [])):
        config = _config(path)
        encoder, weights = (
            str(config.get("encoder", card.encoder)),
            str(config.get("weights", "unknown")),
        )
        who = (
            "The edge model's encoder"
            if path == run and teacher
            else "The site model's encoder"
            if teacher
            else "The encoder"
        )
        found.append(f"{who} {encoder} {_weights(encoder, weights)}")
    found.append(
        "The frames and masks are the site's own; edgeseg does not know on what terms they may be used, so settle "
        "that with whoever recorded and labelled them before the model is passed on."
    )
    return found


def _weights(encoder: str, weights: str) -> str:
    if weights == "none":
        return "started from random weights."
    if weights == "unknown":
        return "started from weights that the run does not name."
    if weights != "imagenet":
        return f"started from the weights file {Path(weights).name}, whose terms edgeseg does not know."
    tag, license = _timm_terms(encoder)
    if tag and not re.search(r"in\d+k", tag):  # such as DINOv2's: other images
        return f"started from timm's weights {tag} ({license})."
    return (
        f"started from timm's ImageNet weights ({license}); ImageNet's images were released for "
        "non-commercial research, and whether that binds weights learned from them is disputed."
    )


def _timm_terms(encoder: str) -> tuple[str, str]:
    import timm  # noqa: PLC0415  # only a run that started from its weights needs it

    config = timm.models.get_pretrained_cfg(encoder, allow_unregistered=True)
    license = getattr(config, "license", None)
    return str(getattr(config, "tag", None) or ""), (
        f"license according to timm: {license}"
        if license
        else "timm itself is Apache-2.0 and names no other license for them"
    )


def _method(run: Path) -> str:
    method = _config(run).get("method")
    return (
        str(method)
        if method
        else "distill"
        if _table(run / "origin.json").get("teacher")
        else "unknown"
    )


def _config(run: Path) -> dict[str, Any]:  # Any: TOML values
    try:
        return tomllib.loads((run / "config.toml").read_text())
    except (OSError, ValueError):
        return {}


def _table(path: Path) -> dict[str, Any]:  # Any: JSON values
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
