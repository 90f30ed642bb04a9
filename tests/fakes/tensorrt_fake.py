"""Stand-ins for the `tensorrt` module of nine versions and for `tensorrt_rtx` of four, of which
only the latter can build, and none can run, where there is no GPU.

Names, argument lists and enum integers come from `trt_api.json` and `rtx_api.json` (see record.py
and derive.py), and anything else is refused: an attribute that a version lacks, an unknown keyword,
a wrong number or type of arguments, an enum of another type. What a fake engine computes is real:
ONNX Runtime runs the graph on the "device" memory of `FakeCuda`. Which kernels TensorRT would
choose, how fast they are and how it rounds cannot be learned from it.
"""

from __future__ import annotations

import functools
import types
import weakref
from typing import Any, TypeVar

from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.objects.builder import Builder, Network, Tensor
from tests.fakes.objects.builder_config import Config, HostMemory, TimingCache
from tests.fakes.objects.engine import Context, Engine, Runtime
from tests.fakes.objects.inspector import Inspector
from tests.fakes.objects.logger import ILogger, Severity, log_message, loggers
from tests.fakes.objects.parser import OnnxParser, ParserError
from tests.fakes.objects.pybind_values import PybindEnum, fits, make_enum
from tests.fakes.objects.runtime_cache import RuntimeCache, RuntimeConfig
from tests.fakes.objects.strict import Strict, StrictType
from tests.fakes.objects.uses import Use, tag
from tests.fakes.recorded_api import RTX_VERSIONS, VERSIONS, RecordedApi

__all__ = ["FAULTS", "RTX_VERSIONS", "VERSIONS", "FakeTensorRT"]

FAULTS = {
    "builder",
    "builder-silent",
    "parse",
    "build",
    "build-silent",
    "timing",
    "no-timing",
    "deserialize",
    "context",
    "address",
    "infer_shapes",
    "execute",
    "inspector",
    "float",
    "types",
    "extra",
    "wrong-mask",
    "abort",
    "exit",
    "hang",
    "dla",
    "no-driver",
}
KINDS: dict[str, type[Strict]] = {
    kind._kind: kind
    for kind in (
        Builder,
        Config,
        Context,
        Engine,
        HostMemory,
        Inspector,
        Network,
        OnnxParser,
        ParserError,
        Runtime,
        RuntimeCache,
        RuntimeConfig,
        Tensor,
        TimingCache,
    )
}
NO_DRIVER = "(cudaError 35: CUDA driver version is insufficient for CUDA runtime version)"
SECOND_LOGGER = (
    "The logger passed into createInferBuilder differs from one already registered for an existing "
    "builder, runtime, or refitter."
)
T = TypeVar("T", bound=Strict)


class _NoObjects:
    """A class that the stand-in does not have."""


class FakeTensorRT(types.ModuleType):
    """`tensorrt` or `tensorrt_rtx` of one version.

    Attributes:
        api: What the version has.
        log: Every call, in order, together with those of `cuda`.
        faults: Which of `FAULTS` to show.
        uses: What was used of the module, by its users alone.
    """

    def __init__(self, version: str, cuda: FakeCuda, faults: set[str] | None = None) -> None:
        self.api = RecordedApi(version)
        super().__init__(self.api.module)
        assert (faults or set()) <= FAULTS, faults
        self.__version__ = version
        self.cuda, self.log, self.faults = cuda, cuda.log, set(faults or ())
        self.uses: set[Use] = set()
        self.ILogger, self.Logger = loggers(self._saw)
        self._members = {kind: self.api.members(kind) for kind in self.api.kinds()}
        self._registered: Any = None  # Any: the logger of the builders and runtimes that there are
        self._users: weakref.WeakSet[Strict] = weakref.WeakSet()
        # TensorRT's listing has no integers of ErrorCode
        codes = {"ErrorCode": RecordedApi(RTX_VERSIONS[-1]).enums["ErrorCode"]}
        for name, values in {**codes, **self.api.enums}.items():
            setattr(self, name, make_enum(name, values, self._saw))
        self._types = {
            kind: StrictType(kind, (KINDS[kind],), {"_trt": self, "__module__": self.__name__})
            for kind in self._members
            if kind in KINDS
        }
        for kind, made in self._types.items():
            setattr(self, kind, made)
        for name in vars(self):
            assert not name[0].isupper() or name in self.api.names, f"{name} is not in {version}"

    def __getattr__(self, name: str) -> Any:  # Any: never returns
        if name in self.api.names:
            raise NotImplementedError(f"the stand-in has no {self.__name__}.{name}; give it one")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT for RTX."""
        return self.__name__ == "tensorrt_rtx"

    @property
    def driver_error(self) -> str:
        """How the library says that there is no driver: in words, from 11 and RTX 1.6 on."""
        tells = (
            self.api.index >= 2 if self.is_rtx else int(self.__version__.partition(".")[0]) >= 11
        )
        return f"Error Code 1: Cuda Runtime {NO_DRIVER if tells else ''}"

    @property
    def dla_cores(self) -> int:
        return 2 if "dla" in self.faults else 0

    @property
    def has_driver(self) -> bool:
        return "no-driver" not in self.faults

    def _member(self, kind: str, name: str) -> Any:  # Any: as `RecordedApi.members`
        if name not in self._members[kind]:
            raise AttributeError(f"'{self.__name__}.{kind}' object has no attribute {name!r}")
        return self._members[kind][name]

    def _type(self, kind: str) -> type:
        """The class or enum of that name, as arguments have it; one that nothing is an object of
        where the stand-in has none.
        """
        found: type = vars(self).get(kind, _NoObjects)
        return found

    def _new(self, kind: type[T], *arguments: object, **named: object) -> T:
        """An object that the module itself makes."""
        cls: Any = self._types[kind._kind]  # Any: mypy cannot see its constructor
        found: T = cls.__new__(cls)
        cls.__init__(found, *arguments, **named)
        return found

    def _enum(self, kind: str, member: str) -> Any:  # Any: mypy knows no member
        return vars(self)[kind].__members__[member]

    def _saw(self, place: str) -> None:
        self.uses.add(Use(place, "get"))

    def _construct(self, cls: type[T], *arguments: object, **named: object) -> T:
        """An object that a user of the module makes."""
        calls = self._members[cls._kind]["__init__"]
        if not calls:
            raise TypeError(f"{self.__name__}.{cls._kind}: No constructor defined!")
        found: T = self._call(
            cls._kind, calls, functools.partial(self._new, cls), *arguments, **named
        )
        return found

    def _call(  # Any: any function and what it returns
        self,
        name: str,
        calls: list[list[str]],
        function: Any,
        /,
        *arguments: object,
        **named: object,
    ) -> Any:
        if not any(fits(overload, arguments, named, self._type) for overload in calls):
            raise TypeError(f"{name}(): incompatible function arguments {arguments} {named}")
        values = [value for value in (*arguments, *named.values()) if _short(value)]
        shown = ", ".join(str(getattr(value, "name", value)) for value in values)
        self.log.append(f"{name}({shown})")
        place = name if "." in name else f"{name}.__init__"
        by_name = tuple(sorted((key, tag(value)) for key, value in named.items()))
        self.uses.add(Use(place, "call", tuple(map(tag, arguments)), by_name))
        return function(*arguments, **named)

    def _register(self, user: Strict, given: ILogger) -> None:
        """Note a builder or runtime; all at one time should have one logger."""
        if not self._users:
            self._registered = given
        elif given is not self._registered:
            log_message(given, Severity.WARNING, SECOND_LOGGER)
        self._users.add(user)


def _short(value: object) -> bool:
    return isinstance(value, (PybindEnum, bool, int)) or (
        isinstance(value, str) and len(value) < 40
    )
