"""Settings that fit a machine: what `--preset` sets where nobody has set anything else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from edgeseg.config.section import Section

PresetName = Literal["cpu", "gpu"]
Settings = Mapping[str, Any]  # Any: values of settings

# About 1.5 and 2 hours at 384x512 on two slow cores (benchmarks/RESULTS.md).
PRESETS: Mapping[PresetName, Mapping[str, Settings]] = MappingProxyType(
    {
        "cpu": {"train": {"encoder": "mobilenetv2_100", "steps": 2000}, "distill": {"steps": 1500}},
        "gpu": {},  # the defaults are made for one
    }
)


def preset_settings(name: PresetName, table: str, config: Section) -> dict[str, Any]:
    """Return the settings of a preset that neither edgeseg.toml nor the command line sets.

    Args:
        name: The preset.
        table: "train" or "distill".
        config: That table, as read.
    """
    settings = PRESETS[name].get(table, {})
    return {key: value for key, value in settings.items() if key not in config.model_fields_set}
