"""All that differs between the TensorRT versions that are supported: 8.6, 10 and 11.

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
"""

from __future__ import annotations

from collections.abc import Iterator
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


def typing_of(trt: TensorRTModule) -> Typing:
    """Return whether flags ("weak") or the graph ("strong") decide about the types of layers."""
    return "weak" if hasattr(trt.BuilderFlag, "INT8") else "strong"


def network_flags(trt: TensorRTModule) -> tuple[str, ...]:
    """Return the names of the flags that a network is made with."""
    flag = "EXPLICIT_BATCH" if typing_of(trt) == "weak" else "STRONGLY_TYPED"
    return (flag,) if hasattr(trt.NetworkDefinitionCreationFlag, flag) else ()


def precision_flags(trt: TensorRTModule, precision: Precision) -> tuple[str, ...]:
    """Return the names of the builder flags that allow `precision`; none with strong typing."""
    return PRECISION_FLAGS[precision] if typing_of(trt) == "weak" else ()


def set_where_known(config: Any, **settings: int) -> None:  # Any: an IBuilderConfig
    """Set those attributes of a builder's configuration that this version has."""
    for name, value in settings.items():
        if hasattr(config, name):
            setattr(config, name, value)


def parser_error_text(error: Any) -> str:  # Any: a ParserError
    """Return what the parser did not like, and at which node."""
    place = f"node {error.node()}"
    if hasattr(error, "node_name"):
        place = f"{error.node_operator()} {error.node_name()!r}, {place}"
    return f"{' '.join(error.desc().split())} at {place}, code {int(error.code())}"


def tensor_type_texts(tensor: dict[str, Any]) -> Iterator[str]:  # Any: what the inspector writes
    """Yield the texts in which the inspector may have written the type of a tensor."""
    for key in TENSOR_TYPE_KEYS:
        yield str(tensor.get(key, ""))
