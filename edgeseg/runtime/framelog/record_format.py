"""One record of the frame log: a frame with its mask, entropy and circumstances in one
self-describing file.

    ESR1 | header length, 4 bytes little-endian | header, canonical JSON | image JPEG | mask PNG |
    entropy PNG

There are no file names inside, so nothing can lead anywhere. A record's own name is
`<boot>-<seq>-<score>-<sha256 of the file, 32 digits>.esr`. Whoever reads one must expect hostile
bytes: every length is checked before it is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edgeseg.config import Section
from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.image_codec import (
    MAX_PIXELS,
    MAX_SIDE,
    decode_gray,
    decode_jpeg,
    encode_gray,
    encode_jpeg,
)

MAGIC = b"ESR1"
RECORD_SUFFIX = ".esr"
MAX_HEADER = 64 * 1024
MAX_RECORD = 64 * 1024 * 1024
RECORD_NAME = re.compile(r"(\d{6})-(\d{10})-(\d{3})-([0-9a-f]{32})\.esr", re.ASCII)

Entropy = NDArray[np.float32]
PartKind = Literal["image", "mask", "entropy"]
LogReason = Literal["score", "random", "flagged"]
PictureFault = Literal["black", "saturated", "frozen"]
Text = Annotated[str, Field(max_length=256)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class RecordMetadata(Section):
    """What is known about a frame when it is logged.

    Attributes:
        device, camera: where it comes from.
        boot, seq: its place in the order of the log; clocks play no part in it.
        monotonic_ns: the device's monotonic clock when the frame was taken.
        time: wall clock in seconds since 1970, as the device believed it.
        clock_synced: whether the device's clock was synchronized; None where it could not tell.
        model: digest of the bundle that computed score, mask and entropy.
        threshold: score from which frames were logged.
        reason: "score" (above the threshold), "random" (control stream) or "flagged" (sample of
            poor frames).
        probability: that the draw picked this frame; 1 unless the reason is "random".
        score: share of unreliable pixels.
        flags: what is wrong with the picture.
        height, width: of the frame in pixels.
    """

    device: Text
    camera: Text
    boot: int = Field(ge=0, le=999_999)
    seq: int = Field(ge=0, le=9_999_999_999)
    monotonic_ns: int = Field(ge=-(2**63), lt=2**63)
    time: float = Field(ge=-6e10, le=2.5e11)  # years 68 to 9892
    clock_synced: bool | None
    model: Text
    threshold: float = Field(ge=0, le=1)
    reason: LogReason
    probability: float = Field(gt=0, le=1)
    score: float = Field(ge=0, le=1)
    flags: tuple[PictureFault, ...] = Field((), max_length=8)
    height: Side
    width: Side

    @model_validator(mode="after")
    def _bounded(self) -> RecordMetadata:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"{self.width}x{self.height} pixels are more than {MAX_PIXELS}")
        return self


class RecordPart(Section):
    """One of the pictures behind the header."""

    kind: PartKind
    length: int = Field(ge=1, le=MAX_RECORD)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class RecordHeader(RecordMetadata):
    """`Facts` as stored, with the parts that follow."""

    version: Literal[1] = Field(1, alias="schema")
    parts: tuple[RecordPart, ...] = Field(min_length=1, max_length=3)

    @model_validator(mode="after")
    def _distinct(self) -> RecordHeader:
        kinds = [part.kind for part in self.parts]
        if kinds[0] != "image" or len(set(kinds)) < len(kinds):
            raise ValueError("parts must be one image, then at most one mask and one entropy map")
        return self

    def canonical(self) -> bytes:
        """The one JSON text of this header: sorted keys, no spaces, ASCII."""
        table = self.model_dump(mode="json", by_alias=True)
        return json.dumps(table, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True)
class Record:
    """A record whose lengths and digests were checked.

    Attributes:
        id: SHA-256 of the whole file in hex.
        name: the file name that belongs to the content.
        parts: the encoded pictures.
    """

    id: str
    header: RecordHeader
    parts: dict[PartKind, bytes]

    @property
    def name(self) -> str:
        """The only file name under which this record is valid."""
        header = self.header
        return f"{header.boot:06}-{header.seq:010}-{min(999, int(header.score * 1000)):03}-{self.id[:32]}{RECORD_SUFFIX}"

    def image(self) -> Image:
        """The frame, (H, W, 3) uint8 RGB.

        Raises:
            FrameLogError: it is no JPEG, or not of the size that the record's header gives.
        """
        try:
            return decode_jpeg(self.parts["image"], self.header.height, self.header.width)
        except ValueError as error:
            raise FrameLogError(f"the image of {self.name} {error}; delete the record") from None

    def mask(self) -> Mask | None:
        """The predicted class ids, (h, w) uint8, or None where none was logged.

        Raises:
            FrameLogError: it is no 8-bit gray PNG of a bearable size.
        """
        return self._gray("mask")

    def entropy(self) -> Entropy | None:
        """The entropy map in steps of 1/255, (h, w) float32 in 0..1, or None where none was logged.

        Raises:
            FrameLogError: it is no 8-bit gray PNG of a bearable size.
        """
        gray = self._gray("entropy")
        return None if gray is None else gray.astype(np.float32) / np.float32(255)

    def _gray(self, kind: PartKind) -> Image | None:
        if kind not in self.parts:
            return None
        try:
            return decode_gray(self.parts[kind])
        except ValueError as error:
            raise FrameLogError(f"the {kind} of {self.name} {error}; delete the record") from None


def encode_parts(
    image: Image, mask: Mask | None, entropy: Entropy | None, *, quality: int
) -> dict[PartKind, bytes]:
    """Compress the pictures of one record.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (h, w) uint8 class ids, stored without loss.
        entropy: (h, w) float in 0..1, stored in 256 steps.
        quality: of the JPEG.

    Raises:
        ValueError: one of them is no picture.
    """
    parts: dict[PartKind, bytes] = {"image": encode_jpeg(image, quality)}
    if mask is not None:
        parts["mask"] = encode_gray(mask)
    if entropy is not None:
        steps = np.rint(np.clip(np.nan_to_num(entropy), 0.0, 1.0) * 255).astype(np.uint8)
        parts["entropy"] = encode_gray(steps)
    return parts


def encode_record(facts: RecordMetadata, parts: dict[PartKind, bytes]) -> tuple[str, bytes]:
    """The file name and the bytes of a record; the same input always gives the same bytes."""
    entries = tuple(
        RecordPart(kind=kind, length=len(data), sha256=hashlib.sha256(data).hexdigest())
        for kind, data in parts.items()
    )
    header = RecordHeader(**facts.model_dump(), parts=entries)
    text = header.canonical()
    data = b"".join((MAGIC, struct.pack("<I", len(text)), text, *parts.values()))
    return Record(hashlib.sha256(data).hexdigest(), header, parts).name, data


def parse_record(data: bytes, source: str = "the record") -> Record:
    """Read a record from its bytes; nothing larger than `data` itself is allocated.

    Raises:
        FrameLogError: naming `source`; the bytes are no record, damaged, or of a newer layout.
    """
    header, start = _parse_header(data, source)
    if start + sum(part.length for part in header.parts) != len(data):
        raise _damaged(source, "its length is not what its header says")
    parts: dict[PartKind, bytes] = {}
    for part in header.parts:
        parts[part.kind] = data[start : start + part.length]
        if hashlib.sha256(parts[part.kind]).hexdigest() != part.sha256:
            raise _damaged(source, f"the digest of its {part.kind} is wrong")
        start += part.length
    return Record(hashlib.sha256(data).hexdigest(), header, parts)


def read_record(path: Path) -> Record:
    """Read one file of a frame log and check it against its name.

    Raises:
        FrameLogError: naming the file; it is gone, no regular file, too large, damaged or misnamed.
    """
    record = parse_record(_read(path, MAX_RECORD + 1), str(path))
    if record.name != path.name:
        raise _damaged(str(path), "its content does not fit its name")
    return record


def read_header(path: Path) -> RecordHeader:
    """The header of one file, without looking at the rest: quick, and no check of the digests.

    Raises:
        FrameLogError: naming the file; as for `read_record`.
    """
    return _parse_header(_read(path, 8 + MAX_HEADER), str(path))[0]


def _parse_header(data: bytes, source: str) -> tuple[RecordHeader, int]:
    """The header and where the parts begin."""
    if data[:3] == MAGIC[:3] and data[3:4] > MAGIC[3:]:
        raise FrameLogError(
            f"{source} was written by a newer edgeseg; update edgeseg here to read it"
        )
    if len(data) < 8 or data[:4] != MAGIC:
        raise _damaged(source, "it does not begin like a record")
    length = int.from_bytes(data[4:8], "little")
    if length > MAX_HEADER or 8 + length > len(data):
        raise _damaged(source, "its header is cut off or too long")
    text = data[8 : 8 + length]
    try:
        header = RecordHeader.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the JSON"
        raise _damaged(source, f"{where} of its header cannot be used") from None
    if header.canonical() != text:
        raise _damaged(source, "its header is not written the one way it can be")
    return header, 8 + length


def _read(path: Path, most: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RECORD:
                raise FrameLogError(
                    f"{path} is no record: no regular file of at most {MAX_RECORD} bytes; delete it"
                )
            return file.read(most)
    except OSError as error:
        raise FrameLogError(
            f"{path} cannot be read ({error.strerror}); see what there is: `edgeseg log ls`"
        ) from None


def _damaged(source: str, why: str) -> FrameLogError:
    return FrameLogError(f"{source} is damaged: {why}; copy it from the device again, or delete it")
