"""Objects that have the members that their class has in one version, and no others."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, TypeVar

from tests.fakes.objects.pybind_values import Argument
from tests.fakes.objects.uses import Use, tag

T = TypeVar("T")


class StrictType(type):
    """The class of such objects; `trt.IBuilderConfig` and its like."""

    _trt: Any  # Any: a FakeTensorRT
    _kind: str

    def __call__(cls, *arguments: object, **named: object) -> Any:  # Any: an object of `cls`
        return cls._trt._construct(cls, *arguments, **named)

    def __getattribute__(cls, name: str) -> Any:  # Any: whatever it holds
        if name.startswith("_") or name == "mro":
            return super().__getattribute__(name)
        cls._trt._member(cls._kind, name)
        try:
            return super().__getattribute__(name)
        except AttributeError:
            raise _missing(cls._kind, name) from None


class Strict(metaclass=StrictType):
    """An object of one version of TensorRT."""

    _trt: Any  # Any: a FakeTensorRT
    _kind: ClassVar[str] = ""

    def __getattribute__(self, name: str) -> Any:  # Any: whatever it holds
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        facts = self._trt._member(self._kind, name)
        try:
            value = object.__getattribute__(self, name)
        except AttributeError:
            raise _missing(self._kind, name) from None
        if isinstance(facts, dict):
            self._trt._saw(f"{self._kind}.{name}")
            return value
        return functools.partial(self._trt._call, f"{self._kind}.{name}", facts, value)

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        facts = self._trt._member(self._kind, name)
        kind = self._trt.api.setter(self._kind, name) if isinstance(facts, dict) else None
        if kind is None:
            raise AttributeError(f"can't set attribute {name!r} of {self._kind}")
        if not Argument(f"value:{kind}").takes(value, self._trt._type):
            raise TypeError(f"{self._kind}.{name}: incompatible function arguments {value!r}")
        self._trt.uses.add(Use(f"{self._kind}.{name}", "set", (tag(value),)))
        if kind == "int":
            value = int(value)  # type: ignore[call-overload]  # `takes` looked at it
        self._trt.log.append(f"{self._kind}.{name} = {getattr(value, 'name', value)}")
        object.__setattr__(self, name, self._accepted(name, value))

    def _accepted(self, name: str, value: Any) -> Any:  # Any: whatever the property takes
        """What a property becomes when it is set."""
        return value

    def _value(self, name: str) -> Any:  # Any: whatever it holds
        """A property as the stand-in itself reads it."""
        return object.__getattribute__(self, name)

    def _make(self, kind: type[T], *arguments: object) -> T:
        """An object that this one gives to its user."""
        found: T = self._trt._new(kind, *arguments)
        return found

    def _have(self, **values: object) -> None:
        """Put in what the object has from the beginning, and what the caller cannot set."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _missing(kind: str, name: str) -> NotImplementedError:
    return NotImplementedError(f"the stand-in has no {kind}.{name}; give it one")
