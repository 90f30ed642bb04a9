"""The catalogue of training methods, with what each does, needs and costs.

It is torch-free, so that `edgeseg methods` is instant.
"""

from edgeseg.config.method_catalogue.catalogue import (
    CATALOGUE,
    PASTING,
    PLUGINS,
    STAGED,
    MethodInfo,
    parts_of,
)
from edgeseg.config.method_catalogue.keys import (
    METHOD_KEYS,
    PLUGIN_KEYS,
    keys_read,
    refuse_idle_keys,
)
from edgeseg.config.method_catalogue.requirements import check_method

__all__ = [
    "CATALOGUE",
    "METHOD_KEYS",
    "PASTING",
    "PLUGINS",
    "PLUGIN_KEYS",
    "STAGED",
    "MethodInfo",
    "check_method",
    "keys_read",
    "parts_of",
    "refuse_idle_keys",
]
