"""Whatever `add` takes, `infer` sees with the same pixels, bit for bit."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.frame_reader import read_site_frame
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.site_depth import load_site_depth
from edgeseg.errors import DataError
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.footage import new_site, save_image, scene
from tests.helpers.pictures import deep_png, encoded, save_bytes, thermal, tiff

PHOTO = Image.fromarray(scene(1))
FILES = {
    "plain.jpg": encoded(PHOTO, "JPEG"),
    "turned.jpg": encoded(PHOTO, "JPEG", 6),
    "progressive.JPG": encoded(PHOTO, "JPEG", progressive=True),
    "cmyk.jpg": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "gray.jpg": encoded(PHOTO.convert("L"), "JPEG"),
    "alpha.png": encoded(PHOTO.convert("RGBA"), "PNG"),
    "gray alpha.png": encoded(PHOTO.convert("L").convert("LA"), "PNG"),
    "palette.png": encoded(PHOTO.convert("P"), "PNG", 3),
    "bits.png": encoded(PHOTO.convert("1"), "PNG"),
    "lossy.webp": encoded(PHOTO, "WEBP", 8),
    "lzw.tif": encoded(PHOTO, "TIFF", 5, compression="tiff_lzw"),
    "jpeg.tiff": encoded(PHOTO, "TIFF", compression="jpeg"),
    "old.bmp": encoded(PHOTO, "BMP"),
    "portable.ppm": encoded(PHOTO, "PPM"),
}
DEEP = {
    "gray.png": deep_png(thermal(1)),
    "color.png": deep_png(np.stack([thermal(seed) for seed in range(3)], axis=2)),
    "turned.tif": tiff(thermal(1), t274=6),
    "big endian.tif": tiff(np.stack([thermal(seed) for seed in range(3)], axis=2), order=">"),
    "degrees.tiff": tiff((thermal(1) / 100).astype(np.float32)),
    "signed.tif": tiff(thermal(1).astype(np.int16) - np.int16(8000)),
}

TURNED = ("turned.jpg", "lossy.webp", "lzw.tif", "turned.tif")  # by a quarter


@pytest.mark.parametrize(("name", "data"), [*FILES.items(), *DEEP.items()])
def test_site_and_device_see_the_same(tmp_path: Path, name: str, data: bytes) -> None:
    site = new_site(tmp_path / "site")
    path = save_bytes(tmp_path / "in" / name, data)
    size = (128, 96) if name in TURNED else (96, 128)
    mask = save_image(tmp_path / "mask.png", np.zeros(size, np.uint8))
    add_labels(site, path, mask, "val")  # which stores pixels without loss
    at_site, _ = read_site_frame(site, site.frames("val")[0])
    depth = load_site_depth(site)
    assert (depth is not None) == (name in DEEP)
    source = open_source(str(path), depth=depth.range if depth else None)
    [frame] = source.frames(threading.Event())
    assert np.array_equal(frame.image, at_site) and not source.statistics.notes
    few = name in ("bits.png", "palette.png")
    assert len(np.unique(at_site)) > (1 if few else 60)


def test_truncated_frames_of_a_site_are_refused(tmp_path: Path) -> None:
    site = new_site(tmp_path / "site")
    add_footage(site, [save_image(tmp_path / "a.jpg", scene(0))])
    [frame] = site.frames()
    stored = site.path(frame.image)
    stored.write_bytes(stored.read_bytes()[:-300])
    with pytest.raises(DataError, match="is missing or damaged; add the footage again"):
        read_site_frame(site, frame)
