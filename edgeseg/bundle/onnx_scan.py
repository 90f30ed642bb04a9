"""Looks through the bytes of an ONNX file before an engine sees them, with neither onnx nor torch.

An ONNX file may name other files to read weights from, carry operators of foreign libraries, or be
one that this device runs wrongly. This walk over the protobuf wire format refuses all of that.
Field numbers are those of `onnx.proto`; a repeated occurrence of a field is always looked at too,
since parsers merge or replace earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.bundle.graph_metadata import FLAVOUR_KEY
from edgeseg.errors import BundleError

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
MAX_BYTES = 512 * 2**20
MAX_NODES = 20_000
MAX_DEPTH = 32
ORT_FORMAT_MARK = (
    b"ORTM"  # ONNX Runtime's own format, told by bytes 4 to 8; it would skip every check made here
)

Value: TypeAlias = "int | memoryview"
Declared: TypeAlias = "tuple[int, tuple[int, ...]]"


@dataclass
class ScannedGraph:
    """What the walk found in one file.

    Attributes:
        inputs, outputs: number of the element type and shape by name, 0 for a side that is left
        open.
    """

    opset: int = 0
    ir_version: int = 0
    nodes: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, Declared] = field(default_factory=dict)


class _Refused(Exception):
    """Why the file must not be run."""


def scan_onnx(
    data: bytes, *, name: str, flavour: Flavour | None = None, limit: int = MAX_BYTES
) -> ScannedGraph:
    """Look through one ONNX file.

    Args:
        data: the bytes that the engine will be given, not a path to them.
        name: of the file, for the error.
        flavour: what the file must be. Those that must be marked have to say so in their metadata,
            others must not say anything else.
        limit: bytes.

    Raises:
        BundleError: it is oversize, no ONNX, refers to other files, uses foreign operators, or is
            of the wrong flavour.
    """
    if len(data) > limit:
        raise BundleError(
            f"{name} has {len(data)} bytes, more than the {limit} that a graph may have; export a smaller model"
        )
    found = ScannedGraph()
    try:
        if data[4:8] == ORT_FORMAT_MARK:
            raise _Refused("is in ONNX Runtime's own format, which cannot be checked")
        _model(memoryview(data), found)
        if not found.nodes:
            raise _Refused("holds no graph")
    except _Refused as why:
        raise BundleError(
            f"{name} {why}, so it is not run; export the bundle again with `edgeseg export`"
        ) from None
    if flavour is not None:
        _check_flavour(found.metadata.get(FLAVOUR_KEY), flavour, name)
    return found


def _check_flavour(found: str | None, wanted: Flavour, name: str) -> None:
    if found == wanted or (found is None and not FLAVOURS[wanted].must_be_marked):
        return
    made = f"was made as {found}" if found else "does not say which engine it was made for"
    raise BundleError(
        f"{name} {made}, but {wanted} is needed here; export the bundle again with `edgeseg export --int8`"
    )


def _fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """The (number, value) pairs of one message; nested messages, strings and packed numbers come as
    bytes.
    """
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == 0:
            value, position = _varint(view, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, position = view[position : position + size], position + size
        elif kind == 2:
            size, position = _varint(view, position)
            value, position = view[position : position + size], position + size
        else:
            raise _Refused("is no ONNX file")
        if position > end or number == 0:
            raise _Refused("is no ONNX file, or a truncated one")
        yield number, value


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(view) or shift > 63:
            raise _Refused("is no ONNX file, or a truncated one")
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise _Refused("is no ONNX file")
    return value


def _text(value: Value) -> str:
    try:
        return bytes(_bytes(value)).decode()
    except UnicodeDecodeError:
        raise _Refused("is no ONNX file") from None


def _model(view: memoryview, found: ScannedGraph) -> None:
    for number, value in _fields(view):
        if number == 1 and isinstance(value, int):
            found.ir_version = value
        elif number == 7:
            _graph(_bytes(value), found, 0)
        elif number == 8:
            _opset(_bytes(value), found)
        elif number == 14:
            key, text = _pair(_bytes(value))
            if found.metadata.setdefault(key, text) != text:
                raise _Refused(f"says two things about {key}")
        elif number == 20:
            raise _Refused("carries training graphs")
        elif number == 25:
            _function(_bytes(value), found)


def _opset(view: memoryview, found: ScannedGraph) -> None:
    domain, version = "", 0
    for number, value in _fields(view):
        if number == 1:
            domain = _text(value)
        elif number == 2 and isinstance(value, int):
            version = value
    _check_domain(domain)
    found.opset = max(found.opset, version)


def _check_domain(domain: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise _Refused(f"uses operators of the foreign domain {domain!r}")


def _pair(view: memoryview) -> tuple[str, str]:
    key = text = ""
    for number, value in _fields(view):
        if number == 1:
            key = _text(value)
        elif number == 2:
            text = _text(value)
    return key, text


def _graph(view: memoryview, found: ScannedGraph, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Refused("nests graphs too deeply")
    for number, value in _fields(view):
        if number == 1:
            _node(_bytes(value), found, depth)
        elif number == 5:
            _tensor(_bytes(value))
        elif number in (11, 12) and depth == 0:
            name, declared = _declaration(_bytes(value))
            (found.inputs if number == 11 else found.outputs)[name] = declared
        elif number == 15:
            _sparse(_bytes(value))


def _declaration(view: memoryview) -> tuple[str, Declared]:
    """Name, type and shape of an input or output."""
    name, kind, sides = "", 0, []
    for number, value in _fields(view):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for tensor in _nested(value, 1):
                kind = _number(tensor) or kind
                sides += [
                    _number(side) for shape in _nested(tensor, 2) for side in _nested(shape, 1)
                ]
    return name, (kind, tuple(sides))


def _nested(value: Value, wanted: int) -> list[memoryview]:
    return [_bytes(item) for number, item in _fields(_bytes(value)) if number == wanted]


def _number(view: memoryview) -> int:
    return next(
        (value for number, value in _fields(view) if number == 1 and isinstance(value, int)), 0
    )


def _function(view: memoryview, found: ScannedGraph) -> None:
    for number, value in _fields(view):
        if number == 7:
            _node(_bytes(value), found, 0)
        elif number == 11:
            _attribute(_bytes(value), found, 0)
    raise _Refused("defines functions of its own")


def _node(view: memoryview, found: ScannedGraph, depth: int) -> None:
    found.nodes += 1
    if found.nodes > MAX_NODES:
        raise _Refused(f"has more than {MAX_NODES} nodes")
    for number, value in _fields(view):
        if number == 5:
            _attribute(_bytes(value), found, depth)
        elif number == 7:
            _check_domain(_text(value))


def _attribute(view: memoryview, found: ScannedGraph, depth: int) -> None:
    for number, value in _fields(view):
        if number in (5, 10):
            _tensor(_bytes(value))
        elif number in (6, 11):
            _graph(
                _bytes(value), found, depth + 1
            )  # what lies inside is the graver fault, so it is told first
            raise _Refused("branches or loops, which a segmentation graph has no need of")
        elif number in (22, 23):
            _sparse(_bytes(value))


def _sparse(view: memoryview) -> None:
    for number, value in _fields(view):
        if number in (1, 2):
            _tensor(_bytes(value))


def _tensor(view: memoryview) -> None:
    for number, value in _fields(view):
        if number == 13 or (number == 14 and value != 0):
            raise _Refused("refers to weights in another file")
