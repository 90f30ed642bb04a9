"""All that differs between the TensorRT versions that are supported: 8.6, 10, 11, and for RTX.

No version number is compared. What the installed module has decides, so that a version between
them works too. TensorRT is handed in as a module.

| subject | up to 10 | from 11 on |
| --- | --- | --- |
| precision | flags allow FP16 and INT8 ("weak" typing) | the graph's own types ("strong") |
| a network's flags | EXPLICIT_BATCH (only 8.6 needs it) | STRONGLY_TYPED |
| errors of the parser | 8.6 tells no name of the node | operator and name too |
| inspector, type of a tensor | one text for format and type | two keys |
| trtexec, polygraphy | --int8, --fp16, --useCudaGraph | --strongly-typed |

The lines of the last row are in `equivalent_commands`, which runs without TensorRT.

TensorRT for RTX is as 11 is, and differs in this:

| subject | TensorRT | TensorRT for RTX |
| --- | --- | --- |
| GPUs an engine is for | the one at hand | those that are named; the one at hand is "CURRENT" |
| kernels | timed and chosen at the build | compiled at the first run, and kept in a cache |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edgeseg.bundle.flavours import Precision

TensorRTModule: TypeAlias = Any  # the bindings bring no types
Typing = Literal["weak", "strong"]
# Flags that allow the types of a precision where typing is weak. INT8 files need FP16 for what
# stays float in them.
PRECISION_FLAGS: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("FP16",),
    "int8": ("FP16", "INT8"),
}
# Where the engine inspector writes a tensor's type. Older versions have one text for format and
# type, as "Row major Int8 format".
TENSOR_TYPE_KEYS = ("Format/Datatype", "Datatype", "DataType", "Format")


@dataclass(frozen=True)
class ParserFault:
    """One thing that a parser did not like.

    Attributes:
        reason: The parser's words.
        node: The index of the node in the graph; -1 where it names none.
        operator: The operator of the node; empty where the parser does not tell (8.6).
        name: The name of the node; empty where the parser does not tell (8.6).
        code: The number of the parser's error code.
    """

    reason: str
    node: int
    operator: str
    name: str
    code: int

    @classmethod
    def of(cls, error: Any) -> ParserFault:  # Any: a ParserError
        """Return what an error of the parser says."""
        named = hasattr(error, "node_name")
        return cls(
            reason=" ".join(error.desc().split()),
            node=int(error.node()),
            operator=str(error.node_operator()) if named else "",
            name=str(error.node_name()) if named else "",
            code=int(error.code()),
        )

    def __str__(self) -> str:
        place = f"node {self.node}"
        if self.operator or self.name:
            place = f"{self.operator} {self.name!r}, {place}"
        return f"{self.reason} at {place}, code {self.code}"


def typing_of(trt: TensorRTModule) -> Typing:
    """Return whether flags ("weak") or the graph ("strong") decide about the types of layers."""
    # TensorRT for RTX 1.4 has the flags, and builds nothing where one is set
    weak = hasattr(trt.BuilderFlag, "INT8") and not compiles_at_first_run(trt)
    return "weak" if weak else "strong"


def network_flags(trt: TensorRTModule) -> tuple[str, ...]:
    """Return the names of the flags that a network is made with."""
    flag = "EXPLICIT_BATCH" if typing_of(trt) == "weak" else "STRONGLY_TYPED"
    return (flag,) if hasattr(trt.NetworkDefinitionCreationFlag, flag) else ()


def precision_flags(trt: TensorRTModule, precision: Precision) -> tuple[str, ...]:
    """Return the names of the builder flags that allow `precision`; none with strong typing."""
    return PRECISION_FLAGS[precision] if typing_of(trt) == "weak" else ()


def compute_capabilities(trt: TensorRTModule) -> tuple[str, ...]:
    """Return the compute capabilities that engines can be built for, such as ("7.5", "8.6").

    Empty where a build is always for the GPU at hand.
    """
    offered = getattr(trt, "ComputeCapability", None)
    names = offered.__members__ if offered is not None else ()
    return tuple(f"{name[2:-1]}.{name[-1]}" for name in names if name.startswith("SM"))


def set_target(trt: TensorRTModule, config: Any, compute: str | None) -> bool:  # Any: as below
    """Choose the GPUs that an engine is for, where this module offers a choice.

    Args:
        config: An IBuilderConfig.
        compute: A compute capability, such as "8.6"; None for the GPU at hand.

    Returns:
        Whether the library takes it.
    """
    if not hasattr(trt, "ComputeCapability"):
        return compute is None
    name = "CURRENT" if compute is None else f"SM{compute.replace('.', '')}"
    target = getattr(trt.ComputeCapability, name, None)
    config.num_compute_capabilities = 1
    return target is not None and bool(config.set_compute_capability(target, 0))


def compiles_at_first_run(trt: TensorRTModule) -> bool:
    """Return whether kernels are compiled when an engine first runs, and can be kept.

    Its builds time none, so there is no timing cache.
    """
    return hasattr(trt, "IRuntimeCache")


def set_where_known(config: Any, **settings: int) -> None:  # Any: an IBuilderConfig
    """Set those attributes of a builder's configuration that this version has."""
    for name, value in settings.items():
        if hasattr(config, name):
            setattr(config, name, value)


def tensor_type_texts(tensor: dict[str, Any]) -> Iterator[str]:  # Any: what the inspector writes
    """Yield the texts in which the inspector may have written the type of a tensor."""
    for key in TENSOR_TYPE_KEYS:
        yield str(tensor.get(key, ""))
