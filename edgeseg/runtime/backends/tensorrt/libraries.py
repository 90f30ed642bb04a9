"""The two libraries of NVIDIA that build and run engines: TensorRT, and TensorRT for RTX.

TensorRT times kernels while it builds, for the one GPU at hand; Jetsons have it. TensorRT for RTX
(https://docs.nvidia.com/deeplearning/tensorrt-rtx) builds without a GPU and compiles kernels when
an engine first runs; it serves workstations and industrial boxes. Their Python modules have all but
the same names, so one code uses either; `version_differences` holds what differs.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from edgeseg.installation import install_command
from edgeseg.runtime.backends.tensorrt.version_differences import TensorRTModule

NativeBackend: TypeAlias = Literal["tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True, kw_only=True)
class TensorRTLibrary:
    """One of the libraries.

    Attributes:
        backend: The back end that runs its engines; also its name in the key of an engine, and the
            extra that brings the module.
        module: The name of its Python module.
        title: Its name in sentences.
        on_jetson: The part of a sentence that says how a Jetson gets it; empty where none does.
    """

    backend: NativeBackend
    module: str
    title: str
    on_jetson: str = ""

    @property
    def install(self) -> str:
        """The part of a sentence that says how to get it."""
        return f"{self.on_jetson}run `{install_command(self.backend)}`"

    def is_installed(self) -> bool:
        """Return whether the module is there: quick, and nothing is loaded."""
        return importlib.util.find_spec(self.module) is not None


LIBRARIES: Final[dict[NativeBackend, TensorRTLibrary]] = {
    library.backend: library
    for library in (
        TensorRTLibrary(
            backend="tensorrt",
            module="tensorrt",
            title="TensorRT",
            on_jetson="on a Jetson run `sudo apt install python3-libnvinfer` and make the venv "
            "with --system-site-packages, elsewhere ",
        ),
        TensorRTLibrary(backend="tensorrt-rtx", module="tensorrt_rtx", title="TensorRT for RTX"),
    )
}


def installed_backends() -> tuple[NativeBackend, ...]:
    """Return the libraries whose module is there."""
    return tuple(library.backend for library in LIBRARIES.values() if library.is_installed())


def import_library(library: TensorRTLibrary) -> TensorRTModule:
    """Return the module of a library.

    Raises:
        ImportError: It is not installed, or cannot load its libraries.
        OSError: A shared library of it is broken.
    """
    # optional, large, and on a device it comes from the system
    return importlib.import_module(library.module)


def full_name(trt: TensorRTModule) -> str:
    """Return name and version of a loaded module, such as "TensorRT 10.3.0"."""
    titles = {library.module: library.title for library in LIBRARIES.values()}
    return f"{titles.get(trt.__name__, 'TensorRT')} {trt.__version__}"
