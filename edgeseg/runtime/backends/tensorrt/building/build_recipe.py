"""The recipe by which a file of a bundle becomes an engine with the installed TensorRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.tensorrt.version_differences import (
    TensorRTModule,
    Typing,
    network_flags,
    precision_flags,
    typing_of,
)


@dataclass(frozen=True)
class BuildRecipe:
    """The settings of one build; with the file and the device they decide what comes out.

    Attributes:
        flavour: The file that is built.
        typing: Whether flags ("weak") or the graph ("strong") decide about types.
        network_flags: Names that this TensorRT has.
        builder_flags: Names that this TensorRT has.
        workspace_mb: The scratch memory that a layer may use.
        level: How long TensorRT searches, 0 to 5.
        dla: The core of the deep-learning accelerator, None for the GPU alone.
        compute: The compute capability that the engine is for, such as "8.6", where the library
            builds for other GPUs as well; None for the GPU at hand.
    """

    flavour: Flavour
    typing: Typing
    network_flags: tuple[str, ...]
    builder_flags: tuple[str, ...]
    workspace_mb: int
    level: int
    dla: int | None
    compute: str | None = None

    @classmethod
    def of(
        cls, trt: TensorRTModule, flavour: Flavour, config: EngineConfig, compute: str | None = None
    ) -> BuildRecipe:
        """Return the recipe under `config`.

        Raises:
            EngineError: DLA cannot run the flavour.
        """
        precision = FLAVOURS[flavour].precision
        builder_flags = precision_flags(trt, precision)
        if config.dla is not None:
            if precision == "fp32":
                raise EngineError(
                    "DLA runs FP16 and INT8 only; choose --precision int8 or fp16, or leave out "
                    "--dla"
                )
            builder_flags = (*builder_flags, "GPU_FALLBACK")
        return cls(
            flavour,
            typing_of(trt),
            network_flags(trt),
            builder_flags,
            config.workspace_mb,
            config.level,
            config.dla,
            compute,
        )

    @classmethod
    def load(cls, fields: dict[str, Any]) -> BuildRecipe:  # Any: what json can hold
        """Return the recipe from `dataclasses.asdict`, as it comes out of JSON."""
        values: Any = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)  # Any: as `fields`
