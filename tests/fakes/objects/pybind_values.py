"""Enums and calls as pybind11 makes them, with what it takes for which type.

Each rule was seen with the real module: `tests/runtime/backends/stand_ins/test_calls.py` holds
both against one table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

UNSIGNED = {"flags": 32, "pool_size": 64, "stream_handle": 64, "memory": 64}  # bits, by argument


class _EnumType(type):
    """Tells which members are used."""

    def __getattribute__(cls, name: str) -> Any:  # Any: a member, mostly
        found = super().__getattribute__(name)
        if name[0].isupper():
            cls._seen(f"{cls.__name__}.{name}")
        return found


class PybindEnum(metaclass=_EnumType):
    """An enum that is an integer only when asked, and neither a sequence nor a mapping."""

    __members__: ClassVar[dict[str, PybindEnum]] = {}
    _seen: ClassVar[Callable[[str], object]] = str

    def __init__(self, value: int) -> None:
        if not is_integer(value):
            raise TypeError("__init__(): incompatible constructor arguments")
        self._value = int(value)

    @property
    def name(self) -> str:
        """Its name, or ??? where the integer has none."""
        found = (name for name, member in self.__members__.items() if member == self)
        return next(found, "???")

    @property
    def value(self) -> int:
        return self._value

    def __int__(self) -> int:
        return self._value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and int(other) == self._value

    def __lt__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._value < int(other)

    def __hash__(self) -> int:
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self._value}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def make_enum(
    name: str, values: dict[str, int], seen: Callable[[str], object] = str
) -> Any:  # Any: mypy knows none of its members
    """The enum of that name, whose members are attributes of it.

    Args:
        seen: Told of every use of a member, as "DataType.UINT8".
    """
    made: Any = _EnumType(name, (PybindEnum,), {"_seen": staticmethod(seen)})  # Any: as above
    made.__members__ = {member: made(value) for member, value in values.items()}
    for member, value in made.__members__.items():
        setattr(made, member, value)
    return made


def is_integer(value: object) -> bool:
    """Whether pybind11 takes it for an integer: NumPy's too, and floats of NumPy, but no float."""
    return not isinstance(value, float) and (
        hasattr(value, "__index__") or hasattr(value, "__int__")
    )


def is_buffer(value: object) -> bool:
    try:
        memoryview(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return False
    return True


def fits(
    overload: list[str],
    arguments: tuple[object, ...],
    named: dict[str, object],
    types: Callable[[str], type],
) -> bool:
    """Whether a call is one of an overload.

    Args:
        overload: As `derive.arguments` writes them.
        types: The class or enum of a name.
    """
    wanted = [Argument(text) for text in overload]
    parameters = [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if argument.optional else inspect.Parameter.empty,
        )
        for argument in wanted
    ]
    try:
        bound = inspect.Signature(parameters).bind(*arguments, **named).arguments
    except TypeError:
        return False
    return all(
        argument.takes(bound[argument.name], types) for argument in wanted if argument.name in bound
    )


class Argument:
    """One argument of a signature, as `derive.arguments` writes it."""

    def __init__(self, text: str) -> None:
        head, _, self.kind = text.partition(":")
        self.name, mark, default = head.partition("?")
        self.optional, self.none = bool(mark), default == "None"

    def takes(self, value: object, types: Callable[[str], type]) -> bool:
        """Whether pybind11 takes that value for the argument."""
        if value is None and self.none:
            return True
        if self.kind == "int":
            bits = UNSIGNED.get(self.name, 0)
            low, high = (0, 1 << bits) if bits else (-(1 << 31), 1 << 31)
            return is_integer(value) and low <= int(value) < high  # type: ignore[call-overload]
        if self.kind == "bool":
            return value is None or hasattr(value, "__bool__")
        if self.kind == "str":
            return isinstance(value, (str, bytes, bytearray))
        if self.kind == "Buffer":
            return is_buffer(value)
        return not self.kind or isinstance(value, types(self.kind))
