"""The base of every table of `edgeseg.toml`, and the kinds of values that several tables share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """One table of the file: frozen, unknown keys refused.

    The description of a field is the one text about its key: the template of `edgeseg init`, the
    help of the command line and docs/configuration.md are made from it.

    Attributes:
        BEFORE: What was done before there was a key, where that is not its default: the value that
            it has in the saved configuration of a run of those days.
        WATCHING: Keys that say how a run is watched and change nothing in it: one that goes on may
            have other values than it was begun with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    BEFORE: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # Any: TOML values
    WATCHING: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def complete_saved(cls, table: dict[str, Any]) -> None:  # Any: TOML values
        """Add to the table of a saved configuration the keys that came later."""
        for key, value in cls.BEFORE.items():
            table.setdefault(key, value)
        for key, field in cls.model_fields.items():
            inner, own = field.annotation, table.get(key)
            if isinstance(inner, type) and issubclass(inner, Section) and isinstance(own, dict):
                inner.complete_saved(own)


@dataclass(frozen=True)
class Unit:
    """The unit in which a number is given, an annotation of its field: `Annotated[int, Unit("s")]`.

    Attributes:
        name: The unit in words, such as "pixels" or "frames".
    """

    name: str


def one_of(
    names: tuple[str, ...], aliases: Mapping[str, str] = MappingProxyType({})
) -> AfterValidator:
    """Return a validator that accepts one of `names`, or an alias, which it replaces."""

    def check_name(value: str) -> str:
        value = aliases.get(value, value)
        if value not in names:
            raise ValueError(f"there is no {value!r}; take one of {', '.join(names)}")
        return value

    return AfterValidator(check_name)


def _square(value: Any) -> Any:  # Any: still unvalidated input
    return [value, value] if isinstance(value, int) else value


def _check_stride(size: tuple[int, int]) -> tuple[int, int]:
    # Multiples of 14 suit DINOv2 and multiples of 8 some decoders; the network itself knows which.
    divisible = any(all(side % stride == 0 for side in size) for stride in (8, 14))
    if min(size) < 32 or not divisible:
        raise ValueError(
            "height and width must be multiples of 32 (of 14 or 16 for some encoders), at least 32"
        )
    return size


# (height, width) in pixels; one number stands for a square.
Size = Annotated[
    tuple[int, int], BeforeValidator(_square), AfterValidator(_check_stride), Unit("pixels")
]
