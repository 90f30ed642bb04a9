"""What an encoder started from and on what terms, in words for model cards and for the user."""

from __future__ import annotations

import re
from pathlib import Path

from timm.models import get_pretrained_cfg

from edgeseg.models.pretrained.weight_packages import WeightPackage

DISPUTED = (
    "ImageNet's images were released for non-commercial research, and whether that binds weights "
    "learned from them is disputed"
)


def weights_origin(encoder: str, weights: str, package: WeightPackage | None = None) -> str:
    """Say what an encoder started from, such as "random weights".

    Args:
        encoder: A name of timm or of this project.
        weights: As `edgeseg.models.build_network` takes them.
        package: Where ImageNet weights were taken from; timm's download if left out.
    """
    if weights == "none":
        return "random weights"
    if weights != "imagenet":
        return f"the weights file {Path(weights).name}, whose terms edgeseg does not know"
    if package:
        return (
            f"the ImageNet weights of the package {package.name} {package.version} "
            f"({package.terms}); {DISPUTED}"
        )
    tag, license = _timm_terms(encoder)
    if tag and not re.search(r"in\d+k", tag):  # such as DINOv2's: other images
        return f"timm's weights {tag} ({license})"
    return f"timm's ImageNet weights ({license}); {DISPUTED}"


def _timm_terms(encoder: str) -> tuple[str, str]:
    """Return the tag of timm's default weights of an encoder, and what timm says of their terms."""
    config = get_pretrained_cfg(encoder, allow_unregistered=True)
    license = getattr(config, "license", None)
    terms = "timm itself is Apache-2.0 and names no other license for them"
    if license:
        terms = f"license according to timm: {license}"
    return str(getattr(config, "tag", None) or ""), terms
