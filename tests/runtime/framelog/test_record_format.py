"""A record says what it holds, notices every change to its bytes, and survives hostile ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFile
from pydantic import ValidationError

from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog import record_format
from edgeseg.runtime.framelog.record_format import (
    MAGIC,
    Record,
    encode_parts,
    encode_record,
    parse_record,
    read_header,
    read_record,
)
from edgeseg.runtime.framelog.record_header import PartKind
from tests.helpers.frame_logs import record_metadata

HEIGHT, WIDTH = 48, 64


def pictures() -> tuple[Any, Any, Any]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x * 4 % 256, y * 5 % 256, (x + y) * 2 % 256], -1).astype(np.uint8)
    mask = (x // 16 + 4 * (y // 16)).astype(np.uint8)
    entropy = np.linspace(0, 1, 12 * 16, dtype=np.float32).reshape(12, 16)
    return image, mask, entropy


FILE_NAME, DATA = encode_record(record_metadata(), encode_parts(*pictures(), quality=95))
PARTS = parse_record(DATA).parts


def forge(header: bytes, body: bytes = b"") -> bytes:
    return MAGIC + struct.pack("<I", len(header)) + header + body


def with_part(kind: PartKind, data: bytes) -> Record:
    return parse_record(encode_record(record_metadata(), {**PARTS, kind: data})[1])


def test_what_goes_in_comes_out() -> None:
    image, mask, entropy = pictures()
    record = parse_record(DATA)
    assert record.header.model_dump(exclude={"parts", "version"}) == record_metadata().model_dump()
    assert record.id == hashlib.sha256(DATA).hexdigest()
    assert np.abs(record.image().astype(int) - image).mean() < 4  # JPEG, and red is not blue
    found_mask, found_entropy = record.mask(), record.entropy()
    assert found_mask is not None and found_entropy is not None
    np.testing.assert_array_equal(found_mask, mask)
    np.testing.assert_allclose(found_entropy, entropy, atol=0.5 / 255 + 1e-6)


def test_a_reader_written_from_the_description_alone_reads_a_record() -> None:
    assert DATA[:4] == b"ESR1"
    (length,) = struct.unpack_from("<I", DATA, 4)
    header = json.loads(DATA[8 : 8 + length])
    offset, parts = 8 + length, {}
    for part in header["parts"]:
        content = DATA[offset : offset + part["length"]]
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        parts[part["kind"]] = np.asarray(decoded)
        offset += part["length"]
    assert offset == len(DATA)
    image, mask, entropy = pictures()
    assert parts["image"].shape == (header["height"], header["width"], 3) == image.shape
    np.testing.assert_array_equal(parts["mask"], mask)
    np.testing.assert_allclose(parts["entropy"] / 255, entropy, atol=0.5 / 255 + 1e-6)
    described = (
        "boot camera clock_synced device flags height model monotonic_ns parts probability reason "
        "schema score seq threshold time width"
    )
    assert list(header) == described.split()
    assert all(re.search(rf"^    .*\b{key}\b", str(record_format.__doc__), re.M) for key in header)
    place = f"{header['boot']:06}-{header['seq']:010}-{min(999, int(1000 * header['score'])):03}"
    assert f"{place}-{hashlib.sha256(DATA).hexdigest()[:32]}.esr" == FILE_NAME


def test_mask_and_entropy_may_be_missing() -> None:
    record = parse_record(
        encode_record(record_metadata(), encode_parts(pictures()[0], None, None, quality=80))[1]
    )
    assert record.mask() is None
    assert record.entropy() is None


def test_the_same_input_gives_the_same_bytes_and_name() -> None:
    assert encode_record(record_metadata(), encode_parts(*pictures(), quality=95)) == (
        FILE_NAME,
        DATA,
    )
    assert f"000003-0000000041-421-{hashlib.sha256(DATA).hexdigest()[:32]}.esr" == FILE_NAME


def test_values_outside_the_entropy_range_are_clipped() -> None:
    entropy = np.array([[np.nan, -1.0], [2.0, 0.5]], np.float32)
    record = parse_record(
        encode_record(record_metadata(), encode_parts(pictures()[0], None, entropy, quality=80))[1]
    )
    found = record.entropy()
    assert found is not None
    np.testing.assert_allclose(found, np.array([[0, 0], [1, 0.5]]), atol=0.003)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_change_of_the_bytes_is_noticed(data: st.DataObject) -> None:
    changed = bytearray(DATA)
    match data.draw(st.sampled_from(["flip", "cut", "insert", "remove"])):
        case "flip":
            for at in data.draw(
                st.lists(st.integers(0, len(DATA) - 1), min_size=1, max_size=5, unique=True)
            ):
                changed[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del changed[data.draw(st.integers(0, len(DATA) - 1)) :]
        case "insert":
            at = data.draw(st.integers(0, len(DATA)))
            changed[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        case "remove":
            at = data.draw(st.integers(0, len(DATA) - 1))
            del changed[at : at + data.draw(st.integers(1, 40))]
    if bytes(changed) == DATA:
        return
    try:
        assert parse_record(bytes(changed)).name != FILE_NAME
    except FrameLogError as error:
        assert "the record" in str(error)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(json.loads(parse_record(DATA).header.canonical()))), JSON
    ),
    st.booleans(),
)
def test_hostile_headers_raise_nothing_else(changes: dict[str, Any], keep: bool) -> None:
    header = json.loads(parse_record(DATA).header.canonical()) if keep else {}
    header.update(changes)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    try:
        record = parse_record(forge(text, b"".join(PARTS.values())))
    except FrameLogError:
        return
    assert record.header.canonical() == text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    for data in (noise, MAGIC + noise, forge(noise)):
        with pytest.raises(FrameLogError):
            parse_record(data)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 60_000,
        b'{"boot":' + b"9" * 60_000 + b"}",
        b'{"camera":"\\ud800"}',
        b"\xff\xfe",
        b"",
        b"null",
        b"NaN",
    ],
    ids=["deep", "huge number", "lone surrogate", "no UTF-8", "empty", "null", "NaN"],
)
def test_odd_json_is_refused(header: bytes) -> None:
    with pytest.raises(FrameLogError, match="damaged"):
        parse_record(forge(header))


def test_a_header_that_could_be_written_differently_is_refused() -> None:
    text = json.dumps(
        json.loads(parse_record(DATA).header.canonical())
    ).encode()  # the same values, with spaces
    with pytest.raises(FrameLogError, match="one way"):
        parse_record(forge(text, b"".join(PARTS.values())))


def test_claimed_sizes_are_not_allocated() -> None:
    header = json.loads(parse_record(DATA).header.canonical())
    header["parts"] = [{**part, "length": 60_000_000} for part in header["parts"]]
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    tracemalloc.start()
    for data in (forge(text), MAGIC + b"\xff\xff\xff\xff" + text, MAGIC + b"\xff\xff\0\0" + text):
        with pytest.raises(FrameLogError):
            parse_record(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_newer_layout_asks_for_an_update() -> None:
    with pytest.raises(FrameLogError, match="update edgeseg"):
        parse_record(b"ESR2" + DATA[4:])


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": 16000, "width": 16000},
        {"score": 1.5},
        {"score": float("nan")},
        {"probability": 0.0},
        {"boot": 10**6},
        {"seq": -1},
        {"camera": "x" * 300},
        {"time": float("inf")},
        {"reason": "mood"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_metadata_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        record_metadata(**change)


def patched_jpeg(height: int, width: int) -> bytes:
    data = PARTS["image"]
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def patched_png(height: int, width: int) -> bytes:
    return PARTS["mask"][:16] + struct.pack(">II", width, height) + PARTS["mask"][24:]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image", patched_jpeg(20_000, 20_000)),
        ("image", patched_jpeg(HEIGHT, WIDTH + 1)),
        ("image", PARTS["mask"]),
        ("image", b"\xff\xd8\xff"),
        ("image", b"\xff\xd8" + b"\xff\xe0\0\2" * 9),
        ("mask", patched_png(16_000, 16_000)),
        ("mask", patched_png(0, 5)),
        ("mask", patched_png(2**31, 1)),
        ("mask", PARTS["image"]),
        ("entropy", b"x"),
    ],
)
def test_pictures_of_a_wrong_size_are_never_decoded(
    kind: PartKind, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = with_part(kind, data)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(FrameLogError, match=f"{kind} of 000003-0000000041"):
        getattr(record, kind)()


def test_a_picture_that_cannot_be_decoded_is_named() -> None:
    with pytest.raises(FrameLogError, match="is damaged"):
        with_part("mask", PARTS["mask"][:40]).mask()


def test_a_color_mask_is_refused() -> None:
    color = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with pytest.raises(FrameLogError, match="8-bit gray"):
        with_part("mask", color).mask()


def test_files_are_checked_against_their_names(tmp_path: Path) -> None:
    good = tmp_path / FILE_NAME
    good.write_bytes(DATA)
    assert read_record(good) == parse_record(DATA)
    assert read_header(good) == parse_record(DATA).header
    for wrong in (
        FILE_NAME.replace("421", "999"),
        FILE_NAME.replace("000003-", "000004-"),
        "a.esr",
    ):
        (tmp_path / wrong).write_bytes(DATA)
        with pytest.raises(FrameLogError, match="does not fit its name") as caught:
            read_record(tmp_path / wrong)
        assert str(tmp_path / wrong) in str(caught.value)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "missing", "huge", "empty"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE_NAME
    if kind == "link":
        (tmp_path / "real").write_bytes(DATA)
        path.symlink_to("real")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(3 * 2**30)
    elif kind == "empty":
        path.touch()
    for read in (read_record, read_header):
        with pytest.raises(FrameLogError) as caught:
            read(path)
        assert str(path) in str(caught.value)
