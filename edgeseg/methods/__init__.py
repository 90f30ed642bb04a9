"""Training methods by name; the function of that name in its module makes the method."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from edgeseg.config import TrainConfig
from edgeseg.config.method_catalogue import CATALOGUE
from edgeseg.config.method_catalogue import STAGED as STAGED_FAMILY
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import StagedMethod

__all__ = [
    "METHODS",
    "STAGED",
    "Batch",
    "Method",
    "MethodContext",
    "StepResult",
    "framework",
    "needs_representation",
]


def _load_factory(name: str) -> Any:  # Any: mypy cannot know which of the two kinds it is
    return getattr(import_module(f"edgeseg.methods.{CATALOGUE[name].file}"), name)


METHODS: dict[str, Callable[[MethodContext], Method]] = {
    name: _load_factory(name) for name, info in CATALOGUE.items() if info.family != STAGED_FAMILY
}
STAGED: dict[str, StagedMethod] = {
    name: _load_factory(name) for name, info in CATALOGUE.items() if info.family == STAGED_FAMILY
}


def needs_representation(config: TrainConfig) -> bool:
    """Tell whether the network needs a representation head."""
    return CATALOGUE[config.method].representation or "u2pl_contrast" in config.plugins
