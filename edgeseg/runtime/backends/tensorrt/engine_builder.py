"""Makes a TensorRT engine of an ONNX graph: one path for TensorRT 8.6, 10 and 11, which differ in
what they offer.

No version number is compared: what a module has decides. Up to 10 a flag allows FP16 and INT8
("weak" typing), from 11 on the graph's own types are what runs ("strong"). TensorRT is handed in as
a module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edgeseg.bundle.flavours import FLAVOURS, Flavour, Precision
from edgeseg.bundle.graph_signature import INPUT, GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError

Module: TypeAlias = Any  # the bindings bring no types
PRECISIONS: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("FP16",),
    "int8": ("FP16", "INT8"),
}
MAX_ERRORS = 20  # messages


@dataclass(frozen=True)
class BuildRecipe:
    """How one file becomes an engine here.

    Attributes:
        typing: "weak" or "strong".
        network_flags, builder_flags: names that this TensorRT has.
        workspace_mb: scratch memory that a layer may use.
        level: how long TensorRT searches, 0 to 5.
        dla: core of the deep-learning accelerator, None for the GPU alone.
    """

    flavour: Flavour
    typing: str
    network_flags: tuple[str, ...]
    builder_flags: tuple[str, ...]
    workspace_mb: int
    level: int
    dla: int | None

    @classmethod
    def of(cls, trt: Module, flavour: Flavour, config: EngineConfig) -> BuildRecipe:
        """The recipe under `config`.

        Raises:
            EngineError: DLA cannot run the flavour.
        """
        weak = hasattr(trt.BuilderFlag, "INT8")
        wanted = ("EXPLICIT_BATCH",) if weak else ("STRONGLY_TYPED",)
        flags = list(PRECISIONS[FLAVOURS[flavour].precision] if weak else ())
        if config.dla is not None:
            if FLAVOURS[flavour].precision == "fp32":
                raise EngineError(
                    "DLA runs FP16 and INT8 only; choose --precision int8 or fp16, or leave out --dla"
                )
            flags.append("GPU_FALLBACK")
        present = tuple(name for name in wanted if hasattr(trt.NetworkDefinitionCreationFlag, name))
        return cls(
            flavour,
            "weak" if weak else "strong",
            present,
            tuple(flags),
            config.workspace_mb,
            config.level,
            config.dla,
        )

    @classmethod
    def load(cls, fields: dict[str, Any]) -> BuildRecipe:  # Any: what json can hold
        """From `dataclasses.asdict`, as it comes out of JSON."""
        values: Any = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)  # Any: as `fields`


class TensorRTMessages:
    """What TensorRT's logger said: a failed call gives nothing back, its reason is told here alone."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Args:
        tell: gets every message at once, so that the last one outlives a crash.
        """
        self._tell = tell
        self.errors: list[str] = []

    def add(self, text: str, grave: bool) -> None:
        text = " ".join(text.split())
        if grave:
            self.errors = [*self.errors, text][-MAX_ERRORS:]
        self._tell(text)

    def why(self) -> str:
        """The errors as part of a sentence."""
        return "; ".join(self.errors[-3:]) or "TensorRT gave no reason"

    def logger(self, trt: Module) -> Any:  # Any: an ILogger of `trt`
        """What TensorRT should be given; it must live as long as anything made with it."""
        keep = self

        class Kept(trt.ILogger):  # type: ignore[misc]  # the bindings bring no types
            def log(self, severity: Any, msg: str) -> None:  # Any: an enum of `trt`
                if severity != trt.ILogger.VERBOSE:
                    keep.add(msg, severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR))

        return Kept()


@dataclass(frozen=True)
class BuiltEngine:
    """A plan that TensorRT made, and what it learned about kernels while it did."""

    plan: bytes
    timing: bytes


def build_engine(
    trt: Module,
    data: bytes,
    recipe: BuildRecipe,
    face: GraphSignature,
    messages: TensorRTMessages,
    logger: Any,
    timing: bytes = b"",
) -> BuiltEngine:  # Any: as `Messages.logger`
    """Build an engine; takes minutes on a device.

    Args:
        data: the graph; already scanned.
        timing: what an earlier build with this TensorRT on this device left.

    Raises:
        EngineError: TensorRT refuses, and why.
    """
    name = FLAVOURS[recipe.flavour].file
    try:
        builder = trt.Builder(logger)
    except TypeError:
        raise EngineError(
            f"TensorRT {trt.__version__} cannot start on this machine ({messages.why()}); `edgeseg doctor` shows the "
            "GPU and driver, --backend cpu runs without"
        ) from None

    flags = 0
    for flag in recipe.network_flags:
        flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, flag))
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        errors = [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
        reason = "; ".join(errors) or messages.why()
        raise EngineError(
            f"TensorRT {trt.__version__} cannot read {name} ({reason}); export the bundle again, or use --backend cpu"
        )
    _check_network(network, face, name)

    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    config.profiling_verbosity = (
        trt.ProfilingVerbosity.DETAILED
    )  # or the inspector could not tell INT8 from float
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = recipe.level
    if hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 0  # one stream is simple to capture, and takes less memory
    for flag in recipe.builder_flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if recipe.dla is not None:
        if recipe.dla >= builder.num_DLA_cores:
            raise EngineError(
                f"this device has {builder.num_DLA_cores} DLA cores as TensorRT {trt.__version__} sees it, so there is "
                f"no core {recipe.dla}; leave out --dla"
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = recipe.dla
    _use_timing(config, timing)

    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(
            f"TensorRT {trt.__version__} cannot build {name} ({messages.why()}); give it more with "
            "--set engine.workspace_mb=1024, or use --backend cuda or cpu"
        )
    learned = config.get_timing_cache()
    return BuiltEngine(bytes(plan), b"" if learned is None else bytes(learned.serialize()))


def _parser_error(error: Any) -> str:  # Any: a ParserError
    where = f"node {error.node()}"
    if hasattr(error, "node_name"):
        where = f"{error.node_operator()} {error.node_name()!r}, {where}"
    return f"{' '.join(error.desc().split())} at {where}, code {int(error.code())}"


def _check_network(
    network: Any, face: GraphSignature, name: str
) -> None:  # Any: an INetworkDefinition
    """Types are looked at in the engine: before, a weakly typed network may still change them."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    found = {tensor.name: tuple(tensor.shape) for tensor in (*inputs, *outputs)}
    wanted = {tensor: shape for tensor, (shape, _) in face.tensors().items()}
    if found != wanted or len(inputs) != 1:
        odd = ", ".join(
            sorted(
                tensor for tensor in {*found, *wanted} if found.get(tensor) != wanted.get(tensor)
            )
        )
        raise EngineError(
            f"TensorRT reads {odd or INPUT} of {name} differently from its manifest; export the bundle again"
        )


def _use_timing(config: Any, timing: bytes) -> None:  # Any: an IBuilderConfig
    """Start from an earlier build's timings; those of another device or version are refused by
    TensorRT, not by us.
    """
    cache = config.create_timing_cache(timing)
    if timing and (cache is None or not config.set_timing_cache(cache, False)):
        cache, timing = config.create_timing_cache(b""), b""
    if not timing and cache is not None:
        config.set_timing_cache(cache, False)
