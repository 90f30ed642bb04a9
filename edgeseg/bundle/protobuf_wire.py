"""Reading protobuf's wire format without protobuf: the fields of one message at a time.

https://protobuf.dev/programming-guides/encoding describes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

FieldValue: TypeAlias = "int | memoryview"
VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5  # wire types


class MalformedMessage(Exception):
    """The bytes are no protobuf message, or not of the expected kind."""


def fields(message: memoryview) -> Iterator[tuple[int, FieldValue]]:
    """Yield field number and value of each field, in the order of the bytes.

    Nested messages, strings and packed numbers come as bytes. A key holds the field number above
    the three bits of the wire type: the byte 0x3a is 7 << 3 | 2, field 7 with a length in front.

    Raises:
        MalformedMessage: A field is cut off, or of no known wire type.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        value: FieldValue
        if wire_type == VARINT:
            value, position = _varint(message, position)
        elif wire_type in (FIXED_64, FIXED_32):
            size = 8 if wire_type == FIXED_64 else 4
            value, position = message[position : position + size], position + size
        elif wire_type == LENGTH_DELIMITED:
            size, position = _varint(message, position)
            value, position = message[position : position + size], position + size
        else:
            raise MalformedMessage("is no ONNX file")
        if position > end or number == 0:
            raise MalformedMessage("is no ONNX file, or a truncated one")
        yield number, value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number that begins at `position`, and the position behind it.

    Each byte brings seven bits, the lowest first, and its top bit says whether more follow:
    0xac 0x02 is 0x2c + (2 << 7) = 300.
    """
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise MalformedMessage("is no ONNX file, or a truncated one")
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def as_bytes(value: FieldValue) -> memoryview:
    """Return the bytes of a length-delimited field.

    Raises:
        MalformedMessage: It is a number.
    """
    if isinstance(value, int):
        raise MalformedMessage("is no ONNX file")
    return value


def as_text(value: FieldValue) -> str:
    """Return the text of a string field.

    Raises:
        MalformedMessage: It is a number, or no UTF-8.
    """
    try:
        return bytes(as_bytes(value)).decode()
    except UnicodeDecodeError:
        raise MalformedMessage("is no ONNX file") from None


def nested(value: FieldValue, number: int) -> list[memoryview]:
    """Return the messages in field `number` of a nested message."""
    return [
        as_bytes(item) for item_number, item in fields(as_bytes(value)) if item_number == number
    ]


def first_int(message: memoryview, number: int) -> int:
    """Return the first integer in field `number`, 0 if there is none."""
    for field_number, value in fields(message):
        if field_number == number and isinstance(value, int):
            return value
    return 0
