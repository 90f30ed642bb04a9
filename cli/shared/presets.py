"""`--preset`: settings that fit this machine, told before anything starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, get_args

import typer

if TYPE_CHECKING:
    from edgeseg.config.presets import PresetName
    from edgeseg.site import Site

Preset = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|gpu",
        help="Settings that fit the machine, for all that nobody has set: on a CPU a smaller "
        "encoder and fewer steps, so that two cores are done overnight.",
    ),
]


def fit_machine(
    site: Site, table: str, overrides: list[str], preset: str | None, *, resume: bool = False
) -> tuple[Site, list[str]]:
    """Return the site under the settings of a preset, and all overrides; tell what they are.

    Without a preset nothing changes, and one that would fit better is named.

    Args:
        site: The site under the overrides.
        table: "train" or "distill".
        overrides: What the command line sets, which counts more than a preset.
        preset: Its name, or "auto".
        resume: Whether a run goes on with the settings that it was begun with.

    Raises:
        ConfigError: There is no such preset.
    """
    from edgeseg.cli.shared.options import merge_overrides
    from edgeseg.config.presets import preset_settings
    from edgeseg.site import Site

    name = _known(preset)
    if resume:
        if preset is not None:
            _tell("note: --preset does nothing here: a run that is resumed keeps its settings")
        return site, overrides
    config = site.config.train if table == "train" else site.config.distill
    fitting: PresetName = "gpu" if config.device != "cpu" and _has_gpu() else "cpu"
    if preset is None:
        missed = preset_settings(fitting, table, config)
        if missed:
            _tell(f"note: the defaults are made for a GPU; `--preset cpu` takes {_list(missed)}")
        return site, overrides
    settings = preset_settings(name or fitting, table, config)
    if not settings:
        return site, overrides
    _tell(f"preset {name or fitting}: {_list(settings)}")
    overrides = [*merge_overrides(table, None, **settings), *overrides]
    return Site.open(site.root, overrides), overrides


def _known(preset: str | None) -> PresetName | None:
    from edgeseg.config.presets import PresetName
    from edgeseg.errors import ConfigError

    for name in get_args(PresetName):
        if name == preset:
            known: PresetName = name
            return known
    if preset not in (None, "auto"):
        names = ", ".join(get_args(PresetName))
        raise ConfigError(f"there is no preset {preset!r}; take one of auto, {names}")
    return None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _tell(text: str) -> None:
    """Say it once, not in every process of --devices."""
    from edgeseg.cli.shared.console import say

    if os.environ.get("LOCAL_RANK", "0") == "0":
        say(text)


def _list(settings: dict[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in settings.items())
