"""The edge networks that have a name of their own, `distill.student`, and what each stands for.

They lie on the frontier of accuracy and INT8 time that benchmarks/RESULTS.md has. Which network a
name means may change with a later version, so a configuration that was read has no name any more:
a run keeps the network that it was begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

StudentName = Literal["fast", "balanced", "accurate"]
# What decides which network is trained: given beside a name, it must be what the name says.
NETWORK_KEYS = ("arch", "encoder")
# A network without published weights learns all of itself at the decoder's rate.
FROM_RANDOM_WEIGHTS = {"weights": "none", "encoder_lr": 2e-3}
FROM_IMAGENET = {"weights": "imagenet", "encoder_lr": 4e-4}

NAMED_STUDENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(  # Any: values of settings
    {
        "fast": {"arch": "edgenet", "encoder": "edgenet_050", **FROM_RANDOM_WEIGHTS},
        "balanced": {"arch": "lightfpn", "encoder": "mobilenetv2_100", **FROM_IMAGENET},
        "accurate": {"arch": "deeplabv3plus", "encoder": "mobilenetv2_100", **FROM_IMAGENET},
    }
)
assert set(NAMED_STUDENTS) == set(get_args(StudentName))


def name_of(arch: str, encoder: str) -> str:
    """Return the name of a pair, empty for one that has none."""
    return next(
        (
            name
            for name, values in NAMED_STUDENTS.items()
            if (values["arch"], values["encoder"]) == (arch, encoder)
        ),
        "",
    )


def fill_in(values: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of settings
    """Return the values of `[distill]` with what its named student adds in place of the name.

    Raises:
        ValueError: The network that is given beside the name is another one.
    """
    filled = dict(values)
    named = NAMED_STUDENTS.get(str(values.get("student") or ""), {})
    if named:
        filled["student"] = ""
    for key, value in named.items():
        if key in NETWORK_KEYS and filled.get(key, value) != value:
            raise ValueError(
                f"student {values['student']!r} has {key} {value!r} and {filled[key]!r} is given; "
                f"leave {key} or student out"
            )
        filled.setdefault(key, value)
    return filled
