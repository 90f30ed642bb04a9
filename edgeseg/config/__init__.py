"""The configuration of a site: one model for each table of `edgeseg.toml`, their reading and
writing, the template of a new site, and the catalogue of training methods.
"""

from edgeseg.config.adapt import AdaptConfig
from edgeseg.config.data import ClassSpec, DataConfig, FitMode
from edgeseg.config.device import EngineConfig, InferConfig, LogConfig
from edgeseg.config.export import ExportConfig
from edgeseg.config.loading import (
    apply_overrides,
    load_config,
    load_saved_config,
    parse_setting,
    saved_differences,
    to_toml,
    validate_config,
)
from edgeseg.config.method_settings import U2PLConfig
from edgeseg.config.schema import CONFIG_NAME, SiteConfig
from edgeseg.config.section import Section
from edgeseg.config.training import (
    ALIASES,
    METHOD_NAMES,
    PLUGIN_NAMES,
    TRACKER_NAMES,
    DistillConfig,
    LoopConfig,
    TrainConfig,
)

__all__ = [
    "ALIASES",
    "CONFIG_NAME",
    "METHOD_NAMES",
    "PLUGIN_NAMES",
    "TRACKER_NAMES",
    "AdaptConfig",
    "ClassSpec",
    "DataConfig",
    "DistillConfig",
    "EngineConfig",
    "ExportConfig",
    "FitMode",
    "InferConfig",
    "LogConfig",
    "LoopConfig",
    "Section",
    "SiteConfig",
    "TrainConfig",
    "U2PLConfig",
    "apply_overrides",
    "load_config",
    "load_saved_config",
    "method_catalogue",
    "named_students",
    "parse_setting",
    "presets",
    "reference",
    "saved_differences",
    "template",
    "to_toml",
    "validate_config",
]
