"""Pixels are those of plain Pillow, and with more than 8 bits those that were written."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture import Picture, decode_picture
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError
from tests.helpers.pictures import deep_png, encoded, tiff

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB"),
}
WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF")
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "JPEG": [{}, {"progressive": True, "subsampling": 0}],
    "WEBP": [{}, {"lossless": True}],
    "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}],
}
Array = NDArray[Any]


@st.composite
def eight_bit_files(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40)), 3
    pixels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, size, np.uint8)
    orientation = draw(st.integers(1, 8)) if kind in WITH_EXIF else 1
    options = draw(st.sampled_from(OPTIONS.get(kind, [{}])))
    image = Image.fromarray(pixels)
    image = image.convert("L").convert(mode) if mode in ("1", "LA") else image.convert(mode)
    return encoded(image, kind, orientation, **options)


@given(eight_bit_files())
@settings(max_examples=60, deadline=None)
def test_pixels_of_8_bits_are_those_of_pillow(data: bytes) -> None:
    picture = decode_picture(data)
    truth = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert picture.container is None and not picture.more
    assert np.array_equal(picture.rgb(), np.asarray(truth))
    assert picture.rgb().flags.c_contiguous and picture.rgb().flags.writeable


@st.composite
def deep_pixels(draw: st.DrawFn) -> Array:
    dtype = np.dtype(draw(st.sampled_from(["u2", "i2", "u4", "i4", "f4"])))
    bands = draw(st.sampled_from([(), (3,)])) if dtype == np.uint16 else ()
    shape = draw(st.integers(1, 20)), draw(st.integers(1, 20)), *bands
    random = np.random.default_rng(draw(st.integers(0, 9)))
    if dtype.kind == "f":
        return random.normal(20, 8, shape).astype(dtype)
    bits = random.bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(bits, dtype).reshape(shape)


@given(deep_pixels(), st.sampled_from("<>"), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_all_bits_of_a_tiff_are_kept(
    values: Array, order: Literal["<", ">"], orientation: int
) -> None:
    if order == ">" and values.dtype == np.uint32:
        order = "<"  # which Pillow does not read
    picture = decode_picture(tiff(values, order=order, t274=orientation))
    height, width = values.shape[:2]
    numbers = np.arange(height * width, dtype=np.int32).reshape(height, width)
    turned = np.asarray(decode_picture(tiff(numbers, t274=orientation)).values)
    plain = ImageOps.exif_transpose(
        Image.open(io.BytesIO(encoded(Image.fromarray(numbers), "TIFF", orientation)))
    )
    assert np.array_equal(turned, np.asarray(plain))
    flat = values.reshape(height * width, -1)[turned.ravel()]
    assert np.array_equal(picture.values.reshape(flat.shape), flat)
    assert picture.values.shape[:2] == turned.shape and picture.orientation == orientation


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bands", [(), (3,)])
def test_all_bits_of_a_png_are_kept(bands: tuple[int, ...], alpha: bool) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (17, 13, *bands), np.uint16)
    picture = decode_picture(deep_png(values, alpha=alpha))
    shown = picture.values if picture.values.ndim == values.ndim else picture.values[..., 0]
    assert picture.container == DepthRange.full(16) and np.array_equal(shown, values)
    high = (values >> 8).astype(np.uint8)
    gray = high if bands else np.repeat(high[..., None], 3, axis=2)
    assert np.array_equal(picture.rgb(), gray)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_all_bits_of_a_compressed_tiff_are_kept(compression: str) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (17, 13), np.uint16)
    data = encoded(Image.fromarray(values), "TIFF", compression=compression)
    assert np.array_equal(decode_picture(data).values, values)


@pytest.mark.parametrize("highest", [100, 1023, 65535])
@pytest.mark.parametrize("kind", ["P5", "P6"])
def test_netpbm_values_are_relative_to_the_highest(kind: str, highest: int) -> None:
    shape = (5, 7, 3)[: 3 if kind == "P6" else 2]
    values = np.random.default_rng(2).integers(0, highest, shape, np.uint16, endpoint=True)
    raw = values.astype(">u2" if highest > 255 else "u1").tobytes()
    data = f"{kind} 7 5 {highest}\n".encode() + raw
    picture = decode_picture(data)
    scale = 65535 if highest > 255 else 255
    wanted = np.rint(values / highest * scale)
    shown = picture.values if kind == "P6" or highest > 255 else picture.values[..., 0]
    assert np.array_equal(shown, wanted)
    with Image.open(io.BytesIO(data)) as plain:
        if kind == "P5" or highest <= 255:
            assert np.array_equal(np.asarray(plain), shown)
    with pytest.raises(UnreadablePictureError, match="is damaged"):
        decode_picture(data[:-1])


def test_white_is_zero_is_turned_at_16_bits_as_at_8() -> None:
    values = np.array([[0, 700, 65535]], np.uint16)
    assert decode_picture(tiff(values, t262=0)).values.tolist() == [[65535, 64835, 0]]
    assert decode_picture(tiff(values.astype(np.uint8), t262=0)).rgb()[0, 0, 0] == 255


def test_floats_need_a_range_of_their_own() -> None:
    picture = decode_picture(tiff(np.array([[20.0, 25.0, np.nan, 90.0]], np.float32)))
    assert picture.rgb(DepthRange(20, 30, floating=True))[0, :, 0].tolist() == [0, 128, 0, 255]
    for depth in (None, DepthRange(7000, 8000)):
        with pytest.raises(UnreadablePictureError, match="floating-point pixels"):
            picture.rgb(depth)
    counts = decode_picture(deep_png(np.full((2, 2), 7500, np.uint16)))
    with pytest.raises(UnreadablePictureError, match="holds integers, but the range"):
        counts.rgb(DepthRange(20, 30, floating=True))


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_the_first_of_several_pages_or_frames_is_read(kind: str) -> None:
    pages = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    data = encoded(pages[0], kind, save_all=True, append_images=pages[1:])
    picture = decode_picture(data)
    assert picture.more and np.array_equal(picture.rgb()[5, 5] > 128, [True, False, False])


def test_a_phones_second_picture_behind_the_first_is_no_page() -> None:
    pages = [Image.new("RGB", (20, 10), color) for color in ("red", "lime")]
    data = encoded(pages[0], "MPO", save_all=True, append_images=pages[1:])
    picture = decode_picture(data)
    assert not picture.more and picture.plain and picture.rgb().shape == (10, 20, 3)


def _pictures() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8))
    files = {kind: encoded(noise, kind) for kind in MODES}
    files["progressive"] = encoded(noise, "JPEG", progressive=True)
    files["LZW"] = encoded(noise, "TIFF", compression="tiff_lzw")
    return files


@pytest.mark.parametrize(("kind", "data"), _pictures().items())
def test_a_file_cut_anywhere_is_refused_or_all_there(kind: str, data: bytes) -> None:
    whole = decode_picture(data).rgb()
    for left in sorted({*range(5, len(data), 97), *range(len(data) - 25, len(data))}):
        try:
            picture: Picture | None = decode_picture(data[:left])
        except UnreadablePictureError:
            picture = None
        assert picture is None or (left > len(data) - 5 and np.array_equal(picture.rgb(), whole)), (
            f"{kind} cut at {left} of {len(data)}"
        )


def test_only_the_formats_that_are_asked_for() -> None:
    files = _pictures()
    with pytest.raises(UnreadablePictureError, match="no PNG image"):
        decode_picture(files["JPEG"], ("PNG",))
    with pytest.raises(UnreadablePictureError, match="no JPEG, PNG, BMP"):
        decode_picture(b"hello")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded(Image.new("RGB", (4, 4)), "GIF"), "is a GIF file, whatever its name"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC picture, whatever its name; save it as JPEG"),
        (encoded(Image.new("RGB", (4, 4)), "JPEG2000"), "is a JPEG 2000 file"),
        (tiff(np.zeros((4, 4)), t339=3), "a TIFF of a kind that is not read"),
        (tiff(np.zeros((4, 4, 3), np.float32)), "a TIFF of a kind that is not read"),
        (tiff(np.zeros((4, 4, 7), np.uint16)), "a TIFF of a kind that is not read"),
    ],
)
def test_a_file_of_another_kind_is_named(data: bytes, words: str) -> None:
    with pytest.raises(UnreadablePictureError, match=words):
        decode_picture(data)


def test_12_bits_packed_into_bytes() -> None:
    values = np.array([[0x123, 0x456, 0xFFF, 0]], np.uint16)
    packed = bytes.fromhex("123456fff000")
    data = tiff(np.frombuffer(packed, np.uint8)[None], t256=4, t258=12, t279=6)
    picture = decode_picture(data)
    assert picture.values.tolist() == values.tolist()
    assert picture.container == DepthRange.full(12)
    assert picture.rgb()[0, :, 0].tolist() == [0x12, 0x45, 0xFF, 0]
