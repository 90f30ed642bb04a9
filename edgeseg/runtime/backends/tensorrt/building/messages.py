"""The messages of TensorRT's logger: a failed call gives no reason anywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeseg.runtime.backends.tensorrt.version_differences import TensorRTModule

MAX_KEPT = 20  # errors, and as many warnings
SHOWN_ERRORS = 3  # in a sentence
_LOGGERS: list[Any] = []  # of this process; see `TensorRTMessages.logger`


class TensorRTMessages:
    """The messages of one TensorRT logger.

    Attributes:
        errors: The last messages that were errors.
        warnings: The last messages that were warnings.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Args:
        tell: Gets every message at once, so that the last one outlives a crash.
        """
        self._tell = tell
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def add(self, text: str, is_error: bool, is_warning: bool = False) -> None:
        """Take in one message."""
        text = " ".join(text.split())
        if is_error:
            self.errors = [*self.errors, text][-MAX_KEPT:]
        if is_warning:
            self.warnings = [*self.warnings, text][-MAX_KEPT:]
        self._tell(text)

    def forget(self) -> None:
        """Begin anew: what was said so far belongs to another graph or build."""
        self.errors, self.warnings = [], []

    def reason(self) -> str:
        """Return the errors as part of a sentence."""
        return "; ".join(self.errors[-SHOWN_ERRORS:]) or "TensorRT gave no reason"

    def logger(self, trt: TensorRTModule) -> Any:  # Any: an ILogger of `trt`
        """Return the logger for TensorRT, which lives as long as the process.

        A library takes the first one for all that is made while anything of it is there, and calls
        it also when its Python object is gone: a second engine that outlived the first stood still.
        """
        messages = self

        class Logger(trt.ILogger):  # type: ignore[misc]  # the bindings bring no types
            def log(self, severity: Any, msg: str) -> None:  # Any: an enum of `trt`
                if severity != trt.ILogger.VERBOSE:
                    errors = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)
                    messages.add(msg, severity in errors, severity == trt.ILogger.WARNING)

        logger = Logger()
        _LOGGERS.append(logger)
        return logger
