"""What some code used of a module, as its stand-in saw it, to be looked up in a real module."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.fakes.derive import Facts
from tests.fakes.objects.logger import ILogger
from tests.fakes.objects.pybind_values import Argument, is_buffer, is_integer


class Use(NamedTuple):
    """One use.

    Attributes:
        place: "DataType.UINT8", "ICudaEngine.num_io_tensors", or "" before the dot for the module.
        how: "get", "set" or "call".
        positional: What was given by position, each by its `tag`.
        named: What was given by name.
    """

    place: str
    how: str
    positional: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        given = [*self.positional, *(f"{name}: {kind}" for name, kind in self.named)]
        return {"get": self.place, "set": f"{self.place} = {given and given[0]}"}.get(
            self.how, f"{self.place}({', '.join(given)})"
        )


def tag(value: object) -> str:
    """The name of a value's type, as signatures have it."""
    if value is None or isinstance(value, (bool, str)):
        return type(value).__name__
    if hasattr(type(value), "_kind") or hasattr(type(value), "__members__"):
        return str(getattr(type(value), "_kind", type(value).__name__))
    if isinstance(value, ILogger):
        return "ILogger"
    if is_buffer(value):
        return "Buffer"
    return "int" if is_integer(value) else type(value).__name__


def missing(uses: set[Use], facts: Facts) -> list[str]:
    """The uses that a module refuses, as text.

    Args:
        facts: What the module has, as `derive.versions_of` yields it.
    """
    return sorted(str(use) for use in uses if not _is_there(use, facts))


def _is_there(use: Use, facts: Facts) -> bool:
    owner, _, name = use.place.rpartition(".")
    if not owner:
        return name in facts["names"]
    if owner in facts["enums"]:
        return name in facts["enums"][owner]
    member = facts["classes"].get(owner, {}).get(name)
    if member is None:
        return False
    if use.how == "get":
        return True
    if use.how == "set":
        return isinstance(member, dict) and member.get("set") in ("", *use.positional)
    return isinstance(member, list) and any(_takes(overload, use) for overload in member)


def _takes(overload: list[str], use: Use) -> bool:
    arguments = [Argument(text) for text in overload]
    given: dict[str, Any] = dict(zip((argument.name for argument in arguments), use.positional))
    if len(use.positional) > len(arguments) or given.keys() & dict(use.named).keys():
        return False
    given |= dict(use.named)
    known = {argument.name: argument for argument in arguments}
    return given.keys() <= known.keys() and all(
        argument.optional
        if name not in given
        else given[name] in (argument.kind or given[name],)
        or (given[name] == "NoneType" and argument.none)
        for name, argument in known.items()
    )
