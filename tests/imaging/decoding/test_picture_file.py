"""Sizes are refused before memory is taken: none of these files reaches a decoder."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from edgeseg.errors import DataError
from edgeseg.imaging.decoding.declared_size import jpeg_size, webp_size
from edgeseg.imaging.decoding.picture import decode_picture
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError, read_picture_file
from edgeseg.imaging.image_codec import decode_gray, decode_jpeg
from edgeseg.imaging.mask_png import read_mask
from tests.helpers.footage import png_chunk, scene
from tests.helpers.pictures import encoded, png, save_bytes, tiff, webp_canvas

PLAIN = encoded(Image.fromarray(scene(0, 32, 32)), "JPEG")
FRAME_HEADER = PLAIN.index(b"\xff\xc0")
GRAY = np.zeros((8, 8), np.uint8)


def resized_jpeg(side: int) -> bytes:
    """The JPEG with another size in its frame header."""
    at = FRAME_HEADER + 5
    return PLAIN[:at] + struct.pack(">HH", side, side) + PLAIN[at + 4 :]


@cache
def packed_zeros() -> bytes:
    """A compressed stream of 80 MB of zeros, a thousandth as long."""
    packer, block = zlib.compressobj(1), bytes(1_000_000)
    return b"".join([*(packer.compress(block) for _ in range(80)), packer.flush()])


HUGE_JPEG = resized_jpeg(24_000)
BOMBS = {
    "jpeg": HUGE_JPEG,
    "fill bytes": resized_jpeg(24_000)[:FRAME_HEADER]
    + b"\xff"
    + resized_jpeg(24_000)[FRAME_HEADER:],
    "png": png(24_000, 24_000, 0, 8, bytes(1000)),
    "deep png": png(24_000, 24_000, 2, 16, bytes(1000)),
    "one row": png(200_000, 2, 0, 8, bytes(1000)),
    "bmp": b"BM"
    + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 24000, 24000, 1, 24, 0, *[0] * 5),
    "webp": webp_canvas(16_000, 16_000),
    "tiff": tiff(GRAY, t256=24_000, t257=24_000),
    "tiff strips": tiff(GRAY, t256=24_000, t257=24_000, t278=1),
    "tiff tile": tiff(GRAY, t322=30_000, t323=30_000, t259=8),
    "ppm": b"P6 24000 24000 255\n" + bytes(100),
    "pfm": b"Pf 24000 24000 -1.0\n" + bytes(100),
}


@pytest.mark.parametrize(("kind", "data"), BOMBS.items())
def test_a_size_beyond_the_limit_is_never_decoded(
    kind: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(UnreadablePictureError, match="declares"):
        decode_picture(data)


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iCCP"])
def test_megabytes_of_text_in_a_png_cost_no_memory(kind: str) -> None:
    packed = packed_zeros()
    bodies = {
        "tEXt": b"Comment\0" + bytes(3_000_000),
        "zTXt": b"Comment\0\0" + packed,
        "iTXt": b"Comment\0\1\0\0\0" + packed,
        "iCCP": b"profile\0\0" + packed,
    }
    data = png(8, 8, 0, 8, bytes(72), png_chunk(kind.encode(), bodies[kind]))
    tracemalloc.start()
    try:
        decode_picture(data)
    except UnreadablePictureError as error:
        assert "too large" in str(error).lower()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20_000_000


def test_a_tiff_may_list_samples_that_it_does_not_have() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (8, 8), np.uint16)
    whole = tiff(values)
    entry = struct.pack("<HHII", 258, 4, 1, 16)
    listed = whole.replace(entry, struct.pack("<HHII", 258, 4, 2, len(whole)))
    data = listed + struct.pack("<II", 16, 2**31)  # bits of two samples, of which there is one
    assert entry in whole and np.array_equal(decode_picture(data).values, values)


def test_headers_that_tell_two_sizes_are_refused() -> None:
    small = resized_jpeg(8)[FRAME_HEADER : FRAME_HEADER + 19]
    after = FRAME_HEADER + 19
    for data in (
        PLAIN[:FRAME_HEADER] + small + PLAIN[FRAME_HEADER:],
        PLAIN[:after] + small + PLAIN[after:],
        PLAIN[:FRAME_HEADER] + small + b"\xff\xd9\xff\xd8" + PLAIN[2:],
        PLAIN[:after] + b"\xff\xc8\0\x15" + small + PLAIN[after:],
    ):
        with pytest.raises(UnreadablePictureError, match="is damaged"):
            decode_picture(data)


def test_the_size_of_a_jpeg_is_read_as_libjpeg_does() -> None:
    assert jpeg_size(PLAIN) == (32, 32)
    for between in (b"\xff", b"\xff\xff\xff", b"junk", b"\xff\xe5\0\4ab"):
        data = PLAIN[:FRAME_HEADER] + between + PLAIN[FRAME_HEADER:]
        assert jpeg_size(data) == (32, 32)
        assert decode_picture(data).rgb().shape == (32, 32, 3)
    assert jpeg_size(PLAIN[:FRAME_HEADER] + b"\xff\x01" + PLAIN[FRAME_HEADER:]) == (32, 32)
    for data in (b"", b"\xff\xd8", PLAIN[: FRAME_HEADER + 6], PLAIN[:2] + PLAIN[-2:], b"x" * 99):
        assert jpeg_size(data) is None


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_the_size_of_a_webp(options: dict[str, bool]) -> None:
    data = encoded(Image.fromarray(scene(0, 33, 47)), "WEBP", **options)
    assert webp_size(data) == (33, 47)
    assert webp_size(PLAIN) is None and webp_size(data[:20]) is None


def test_records_and_masks_have_the_same_guard(tmp_path: Path) -> None:
    bomb = BOMBS["fill bytes"]
    for height, width in ((32, 32), (24_000, 24_000)):
        with pytest.raises(ValueError, match="declares more than 100000000 pixels"):
            decode_jpeg(bomb, height, width)
    with pytest.raises(ValueError, match="declares more than 100000000 pixels"):
        decode_gray(BOMBS["png"])
    with pytest.raises(DataError, match="is missing, damaged or no"):
        read_mask(save_bytes(tmp_path / "mask.png", BOMBS["png"]))


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for name, reason in (
        ("missing.png", "is no file"),
        (".", "is no file"),
        ("empty.png", "empty"),
    ):
        with pytest.raises(UnreadablePictureError, match=reason):
            read_picture_file(tmp_path / name)
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(1_000_000_001)
    with pytest.raises(UnreadablePictureError, match="is larger than"):
        read_picture_file(large)
