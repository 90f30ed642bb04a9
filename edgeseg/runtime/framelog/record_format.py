r"""The `.esr` record: a frame with its mask, its entropy and what is known about it, in one file.

A record can be read with nothing but this description, a JSON parser, SHA-256, and a JPEG and a
PNG decoder.

Bytes
    offset      size    content
    0           4       ASCII "ESR1"; a last byte above "1" is a newer layout
    4           4       n, the length of the header: unsigned, little-endian, at most 65,536
    8           n       the header, JSON
    8 + n       rest    the parts named by the header, in its order, one right behind the other

The last part ends where the file ends, which has at most 64 MiB. No part is padded, and there are
no file names inside, so nothing can lead anywhere.

Header
    A JSON object with exactly these keys:

    boot            integer, 0 to 999999: how often the log had been opened for writing
    seq             integer, 0 to 9999999999: counts the records since then, with a gap where the
                    disk refused one; the order of records is (boot, seq), whatever clocks say
    device          string, at most 256 characters
    camera          string, at most 256 characters
    monotonic_ns    integer, signed 64 bits: when the frame was taken, in nanoseconds of the
                    device's monotonic clock, which begins anew with every boot of the machine
    time            float: wall clock in seconds since 1970-01-01 UTC, as the device had it
    clock_synced    true or false: was the wall clock synchronized; null if the device cannot tell
    model           string, at most 256 characters: digest of the bundle that predicted
    threshold       float, 0.0 to 1.0: score from which frames were logged
    reason          "score" (at or above the threshold), "random" (drawn for the control stream) or
                    "flagged" (one of the poor pictures)
    probability     float, above 0.0 to 1.0: the chance of the draw; 1.0 unless the reason is
                    "random"
    score           float, 0.0 to 1.0: share of unreliable pixels
    flags           list of at most 8 of "black", "saturated", "frozen": faults of the picture
    height, width   integers, 1 to 16384, at most 50,000,000 pixels: size of the frame
    schema          1
    parts           list of objects with exactly the keys
        kind        "image", "mask" or "entropy"; an image comes first, of the others at most one
        length      integer: bytes of the part
        sha256      string: SHA-256 of these bytes, 64 lower-case hex digits

    Only one text is valid for given values, that of Python's
    json.dumps(header, sort_keys=True, separators=(",", ":")): keys sorted at both levels, no
    whitespace, characters beyond ASCII as \uXXXX with lower-case digits (a surrogate pair beyond
    U+FFFF), floats in the shortest digits that give the same double, always with a fraction or an
    exponent (1.0, 0.013, 1e-05). Other readers need not check this; edgeseg refuses other texts.

Parts
    image           JPEG, of the header's height and width; EXIF orientation is to be ignored
    mask            PNG, 8-bit gray: the predicted class id of each pixel, at the model's input size
    entropy         PNG, 8-bit gray: value / 255 is the entropy of a cell in 0..1, divided by that
                    of a uniform distribution; at the size of the model's last layer

File name
    <boot>-<seq>-<score>-<digest>.esr, such as 000003-0000000041-421-5f1d...a07c.esr: boot with 6
    digits, seq with 10, min(999, floor(1000 * score)) with 3, and the first 32 hex digits of the
    SHA-256 of the whole file. A record is valid under this name only; the header is covered by
    this digest alone.

Whoever reads a record must expect hostile bytes: every length is checked before it is believed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.image_codec import (
    check_jpeg,
    decode_gray,
    decode_jpeg,
    encode_jpeg,
    encode_png,
)
from edgeseg.runtime.framelog.record_header import (
    MAX_RECORD_BYTES,
    PartKind,
    RecordHeader,
    RecordMetadata,
    RecordPart,
)

MAGIC = b"ESR1"
RECORD_SUFFIX = ".esr"
PREFIX_BYTES = 8  # the magic and the length of the header
MAX_HEADER_BYTES = 64 * 1024
RECORD_NAME = re.compile(r"(\d{6})-(\d{10})-(\d{3})-([0-9a-f]{32})\.esr", re.ASCII)

EntropyMap = NDArray[np.float32]


@dataclass(frozen=True)
class Record:
    """A record whose lengths and digests were checked.

    Attributes:
        id: SHA-256 of the whole file in hex.
        header: What is known about the frame.
        parts: The compressed pictures.
    """

    id: str
    header: RecordHeader
    parts: dict[PartKind, bytes]

    @property
    def name(self) -> str:
        """The only file name under which this record is valid."""
        header = self.header
        score = min(999, int(header.score * 1000))
        place = f"{header.boot:06}-{header.seq:010}"
        return f"{place}-{score:03}-{self.id[:32]}{RECORD_SUFFIX}"

    def image(self) -> Image:
        """Return the frame, (H, W, 3) uint8 RGB.

        Raises:
            FrameLogError: It is no JPEG, or not of the size that the record's header gives.
        """
        try:
            return decode_jpeg(self.parts["image"], self.header.height, self.header.width)
        except ValueError as error:
            raise self._unusable("image", error) from None

    def check_image(self) -> None:
        """See that the frame declares the size that the record's header gives; decode nothing.

        Raises:
            FrameLogError: It does not, or is no JPEG.
        """
        try:
            check_jpeg(self.parts["image"], self.header.height, self.header.width)
        except ValueError as error:
            raise self._unusable("image", error) from None

    def mask(self) -> Mask | None:
        """Return the predicted class ids, (h, w) uint8, or None where none were logged.

        Raises:
            FrameLogError: It is no 8-bit gray PNG, or too large to be decoded safely.
        """
        return self._gray("mask")

    def entropy(self) -> EntropyMap | None:
        """Return the entropy map, (h, w) float32 in 0..1 in steps of 1/255, or None without one.

        Raises:
            FrameLogError: It is no 8-bit gray PNG, or too large to be decoded safely.
        """
        gray = self._gray("entropy")
        return None if gray is None else gray.astype(np.float32) / np.float32(255)

    def _gray(self, kind: PartKind) -> Image | None:
        if kind not in self.parts:
            return None
        try:
            return decode_gray(self.parts[kind])
        except ValueError as error:
            raise self._unusable(kind, error) from None

    def _unusable(self, kind: PartKind, error: ValueError) -> FrameLogError:
        return FrameLogError(f"the {kind} of {self.name} {error}; delete the record")


def encode_parts(
    image: Image, mask: Mask | None, entropy: EntropyMap | None, *, quality: int
) -> dict[PartKind, bytes]:
    """Compress the pictures of one record.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (h, w) uint8 class ids, stored without loss.
        entropy: (h, w) float in 0..1, stored in 256 steps.
        quality: Of the JPEG, 0..100.

    Raises:
        ValueError: One of them is no picture.
    """
    parts: dict[PartKind, bytes] = {"image": encode_jpeg(image, quality)}
    if mask is not None:
        parts["mask"] = encode_png(mask)
    if entropy is not None:
        steps = np.rint(np.clip(np.nan_to_num(entropy), 0.0, 1.0) * 255).astype(np.uint8)
        parts["entropy"] = encode_png(steps)
    return parts


def encode_record(metadata: RecordMetadata, parts: dict[PartKind, bytes]) -> tuple[str, bytes]:
    """Return a record's file name and its bytes; the same input always gives the same bytes.

    Args:
        metadata: What is known about the frame.
        parts: Its pictures, from `encode_parts`; they are stored in this order.
    """
    entries = tuple(
        RecordPart(kind=kind, length=len(data), sha256=hashlib.sha256(data).hexdigest())
        for kind, data in parts.items()
    )
    header = RecordHeader(**metadata.model_dump(), parts=entries)
    text = header.canonical()
    data = b"".join((MAGIC, struct.pack("<I", len(text)), text, *parts.values()))
    return Record(hashlib.sha256(data).hexdigest(), header, parts).name, data


def parse_record(data: bytes, source: str = "the record") -> Record:
    """Read a record from its bytes; nothing larger than `data` itself is allocated.

    Args:
        data: The bytes of the whole file.
        source: What error messages call it.

    Raises:
        FrameLogError: The bytes are no record, damaged, or of a newer layout.
    """
    header, offset = _parse_header(data, source)
    if offset + sum(part.length for part in header.parts) != len(data):
        raise _damaged(source, "its length is not what its header says")
    parts: dict[PartKind, bytes] = {}
    for part in header.parts:
        parts[part.kind] = data[offset : offset + part.length]
        if hashlib.sha256(parts[part.kind]).hexdigest() != part.sha256:
            raise _damaged(source, f"the digest of its {part.kind} is wrong")
        offset += part.length
    return Record(hashlib.sha256(data).hexdigest(), header, parts)


def read_record(path: Path) -> Record:
    """Read one file of a frame log and check it against its name.

    Raises:
        FrameLogError: It is gone, no regular file, too large, damaged or misnamed; the message
            names the file.
    """
    record = parse_record(_read_bytes(path, MAX_RECORD_BYTES + 1), str(path))
    if record.name != path.name:
        raise _damaged(str(path), "its content does not fit its name")
    return record


def read_header(path: Path) -> RecordHeader:
    """Read the header of one file and no more: quick, but digests and name are not checked.

    Raises:
        FrameLogError: As for `read_record`.
    """
    return _parse_header(_read_bytes(path, PREFIX_BYTES + MAX_HEADER_BYTES), str(path))[0]


def _parse_header(data: bytes, source: str) -> tuple[RecordHeader, int]:
    """Return the header and the offset at which the parts begin."""
    if data[:3] == MAGIC[:3] and data[3:4] > MAGIC[3:]:
        raise FrameLogError(
            f"{source} was written by a newer edgeseg; update edgeseg here to read it"
        )
    if len(data) < PREFIX_BYTES or data[:4] != MAGIC:
        raise _damaged(source, "it does not begin like a record")
    length = int.from_bytes(data[4:8], "little")
    end = PREFIX_BYTES + length
    if length > MAX_HEADER_BYTES or end > len(data):
        raise _damaged(source, "its header is cut off or too long")
    text = data[PREFIX_BYTES:end]
    try:
        header = RecordHeader.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the JSON"
        raise _damaged(source, f"{where} of its header cannot be used") from None
    # A record has one name: a second way to write its header would give it another digest.
    if header.canonical() != text:
        raise _damaged(source, "its header is not written the one way it can be")
    return header, end


def _read_bytes(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a regular file."""
    try:
        # Neither follow a link out of the log, nor wait for the writer of a named pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RECORD_BYTES:
                raise FrameLogError(
                    f"{path} is no record: no regular file of at most {MAX_RECORD_BYTES} bytes; "
                    "delete it"
                )
            return file.read(limit)
    except OSError as error:
        raise FrameLogError(
            f"{path} cannot be read ({error.strerror}); see what there is: `edgeseg log ls`"
        ) from None


def _damaged(source: str, why: str) -> FrameLogError:
    return FrameLogError(f"{source} is damaged: {why}; copy it from the device again, or delete it")
