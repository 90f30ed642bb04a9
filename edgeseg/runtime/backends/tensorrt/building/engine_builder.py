"""Makes a TensorRT engine of an ONNX graph, by one path for TensorRT 8.6, 10, 11, and for RTX.

What these versions offer differently is in `version_differences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.bundle.flavours import FLAVOURS
from edgeseg.bundle.graph_signature import INPUT, GraphSignature
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.libraries import full_name
from edgeseg.runtime.backends.tensorrt.version_differences import (
    ParserFault,
    TensorRTModule,
    compiles_at_first_run,
    set_target,
    set_where_known,
)


@dataclass(frozen=True)
class BuiltEngine:
    """A serialized engine, and what TensorRT learned about kernels while it was built.

    Attributes:
        plan: The engine.
        timing: The timing cache; empty where the library keeps none.
    """

    plan: bytes
    timing: bytes


def build_engine(
    trt: TensorRTModule,
    data: bytes,
    recipe: BuildRecipe,
    signature: GraphSignature,
    messages: TensorRTMessages,
    logger: Any,  # Any: an ILogger of `trt`
    timing: bytes = b"",
) -> BuiltEngine:
    """Build an engine; takes minutes on a device.

    Args:
        data: The graph, already verified.
        messages: What `logger` writes to.
        timing: The timing cache that an earlier build with this TensorRT on this device left.

    Raises:
        EngineError: TensorRT refuses; the error says why.
    """
    file = FLAVOURS[recipe.flavour].file
    builder = start_builder(trt, messages, logger)
    network = create_network(trt, builder, recipe)
    parser = trt.OnnxParser(network, logger)  # it owns the weights until the engine is built
    faults = parse_graph(parser, data)
    if faults is not None:
        reason = "; ".join(map(str, faults)) or messages.reason()
        raise EngineError(
            f"{full_name(trt)} cannot read {file} ({reason}); export the bundle again, "
            "or use --backend cpu"
        )
    _check_network(network, signature, file)

    built = build_network(trt, builder, network, recipe, timing)
    if built is None:
        raise EngineError(
            f"{full_name(trt)} cannot build {file} ({messages.reason()}); give it more "
            "with --set engine.workspace_mb=1024, or use --backend cuda or cpu"
        )
    return built


def start_builder(
    trt: TensorRTModule,
    messages: TensorRTMessages,
    logger: Any,  # Any: an ILogger of `trt`
) -> Any:  # Any: a Builder
    """Return a builder.

    Args:
        messages: What `logger` writes to.

    Raises:
        EngineError: The library needs a GPU or a driver that is not there.
    """
    try:
        return trt.Builder(logger)
    except TypeError:  # the factory returned nothing
        raise EngineError(
            f"{full_name(trt)} cannot start on this machine ({messages.reason()}); "
            "`edgeseg doctor` shows the GPU and driver, --backend cpu runs without"
        ) from None


def create_network(
    trt: TensorRTModule,
    builder: Any,  # Any: a Builder
    recipe: BuildRecipe,
) -> Any:  # Any: an INetworkDefinition
    """Return an empty network for `parse_graph`."""
    flags = 0
    for flag in recipe.network_flags:
        flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, flag))
    return builder.create_network(flags)


def parse_graph(parser: Any, data: bytes) -> list[ParserFault] | None:  # Any: an OnnxParser
    """Read a graph into the parser's network.

    Returns:
        None if it was read; else what the parser named, which may be nothing.
    """
    if parser.parse(data):
        return None
    return [ParserFault.of(parser.get_error(index)) for index in range(parser.num_errors)]


def build_network(
    trt: TensorRTModule,
    builder: Any,  # Any: a Builder
    network: Any,  # Any: an INetworkDefinition that a graph was read into
    recipe: BuildRecipe,
    timing: bytes = b"",
) -> BuiltEngine | None:
    """Build an engine of a network; None if TensorRT refuses, which its messages explain.

    Raises:
        EngineError: The device lacks what the recipe asks for.
    """
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    # with less the inspector could not tell INT8 from float
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # one stream is simple to capture, and takes less memory
    set_where_known(config, builder_optimization_level=recipe.level, max_aux_streams=0)
    for flag in recipe.builder_flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if recipe.dla is not None:
        if recipe.dla >= builder.num_DLA_cores:
            raise EngineError(
                f"this device has {builder.num_DLA_cores} DLA cores as "
                f"{full_name(trt)} sees it, so there is no core {recipe.dla}; leave out --dla"
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = recipe.dla
    if not set_target(trt, config, recipe.compute):
        raise EngineError(
            f"{full_name(trt)} builds no engine for {recipe.compute or 'the GPU at hand'}; use "
            "--backend cuda or cpu"
        )
    keeps_timings = not compiles_at_first_run(trt)
    if keeps_timings:
        _use_timing_cache(config, timing)

    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return None
    learned = config.get_timing_cache() if keeps_timings else None
    return BuiltEngine(bytes(plan), b"" if learned is None else bytes(learned.serialize()))


def _check_network(
    network: Any,  # Any: an INetworkDefinition
    signature: GraphSignature,
    file: str,
) -> None:
    """Compare names and shapes with the manifest's before minutes are spent on a build.

    Types are compared in the engine: a weakly typed network may still change them.

    Raises:
        EngineError: TensorRT reads them differently.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    shapes = {tensor.name: tuple(tensor.shape) for tensor in (*inputs, *outputs)}
    expected = {name: shape for name, (shape, _) in signature.tensors().items()}
    if shapes != expected or len(inputs) != 1:
        names = sorted({*shapes, *expected})
        different = [name for name in names if shapes.get(name) != expected.get(name)]
        raise EngineError(
            f"TensorRT reads {', '.join(different) or INPUT} of {file} differently from its "
            "manifest; export the bundle again"
        )


def _use_timing_cache(config: Any, timing: bytes) -> None:  # Any: an IBuilderConfig
    """Start from an earlier build's timings.

    Those of another device or version are refused by TensorRT, not by us.
    """
    cache = config.create_timing_cache(timing)
    if timing and (cache is None or not config.set_timing_cache(cache, False)):
        cache, timing = config.create_timing_cache(b""), b""
    if not timing and cache is not None:
        config.set_timing_cache(cache, False)
