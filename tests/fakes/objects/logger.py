"""The loggers of a stand-in for TensorRT."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.fakes.objects.pybind_values import PybindEnum, make_enum

Severity = make_enum(
    "Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4}
)


class _LoggerType(type):
    """Tells which names are used, and that a logger was not initialized."""

    _seen: Callable[[str], object]

    def __getattribute__(cls, name: str) -> Any:  # Any: whatever it is
        found = super().__getattribute__(name)
        if name[0].isupper():
            cls._seen(f"ILogger.{name}")
        return found

    def __call__(cls, *arguments: object, **named: object) -> Any:  # Any: the logger
        made = super().__call__(*arguments, **named)
        if not hasattr(made, "_ready"):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        return made


class ILogger(metaclass=_LoggerType):
    """To be derived from; pybind11 demands that its `__init__` is called."""

    _seen = staticmethod(str)
    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity.__members__.values()

    def __init__(self) -> None:
        self._ready = True

    def log(self, severity: PybindEnum, msg: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "ILogger::log"')


class Logger(ILogger):
    """TensorRT's own, which writes to the terminal."""

    def __init__(self, min_severity: PybindEnum = Severity.WARNING) -> None:
        if not isinstance(min_severity, Severity):
            raise TypeError("__init__(): incompatible constructor arguments")
        super().__init__()
        self.min_severity = min_severity

    def log(self, severity: PybindEnum, msg: str) -> None:
        if int(severity) <= int(self.min_severity):
            print(f"[TRT] {msg}", file=sys.stderr)


def loggers(seen: Callable[[str], object]) -> tuple[type[ILogger], type[Logger]]:
    """`ILogger` and `Logger` of one module.

    Args:
        seen: Told of every use of a name of them.
    """
    own: Any = _LoggerType("ILogger", (ILogger,), {"_seen": staticmethod(seen)})  # Any: made here
    return own, _LoggerType("Logger", (Logger, own), {})  # type: ignore[return-value]  # made here


def log_message(logger: ILogger, severity: PybindEnum, text: str) -> None:
    """Log as native code does, which no exception of a logger stops."""
    try:
        logger.log(severity, text)
    except Exception as error:  # noqa: BLE001  # whatever the logger raises
        print(f"[ERROR] Exception caught in log(): {error}", file=sys.stderr)


def log_error(logger: ILogger, text: str) -> None:
    log_message(logger, Severity.ERROR, text)
