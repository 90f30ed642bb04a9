"""The decoder of pictures: its time beside OpenCV's, and what it does with damaged files.

    python benchmarks/pictures.py PHOTO.jpg [--seconds 60] [--seed 1]

The photo is enlarged to 1920x1080 and stored in several kinds; the least processor time of 25 is
printed for each, in turns with OpenCV, and whether all pixels agree. Then small files of all kinds
are damaged at random for so many seconds: anything but pixels or a reason is a fault, and printed.
The largest memory of the process comes last.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.imaging.decoding.picture import decode_picture
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError

Pixels = NDArray[np.uint8]
ROUNDS = 25
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG 4:2:0 quality 90": ("JPEG", {"quality": 90}),
    "JPEG 4:4:4 quality 95": ("JPEG", {"quality": 95, "subsampling": 0}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "TIFF": ("TIFF", {}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg"}),
    "BMP": ("BMP", {}),
    "PPM": ("PPM", {}),
}
PATCHES = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xc0\0\x11")


def by_pillow(data: bytes) -> Pixels:
    return decode_picture(data).rgb()


def by_opencv(data: bytes) -> Pixels:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(bgr), cv2.COLOR_BGR2RGB), np.uint8)


def encoded(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def least_milliseconds(data: bytes) -> dict[str, float]:
    decoders: dict[str, Callable[[bytes], Pixels]] = {"pillow": by_pillow, "opencv": by_opencv}
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(ROUNDS):
        for name, decode in decoders.items():
            start = time.process_time()
            decode(data)
            times[name].append(time.process_time() - start)
    return {name: round(1000 * min(values), 1) for name, values in times.items()}


def damaged(data: bytes, random_number: random.Random) -> bytes:
    """Bytes replaced, bits flipped, sizes patched and pieces cut out, one to sixteen times."""
    changed = bytearray(data)
    for _ in range(random_number.choice((1, 1, 2, 4, 16))):
        place = random_number.randrange(min(len(changed), random_number.choice((60, 400, 10**9))))
        way = random_number.randrange(4)
        if way == 0:
            changed[place] = random_number.randrange(256)
        elif way == 1:
            changed[place] ^= 1 << random_number.randrange(8)
        elif way == 2:
            changed[place : place + 4] = random_number.choice(PATCHES)
        elif len(changed) > 100:
            del changed[place : place + random_number.randrange(1, 40)]
    return bytes(changed)


def small_files() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), np.uint16)
    image = Image.fromarray(pixels)
    files = [encoded(image, kind, options) for kind, options in KINDS.values()]
    files += [bytes(cv2.imencode(suffix, deep)[1]) for suffix in (".png", ".tif")]
    files += [
        encoded(Image.fromarray(deep[..., 0]), "TIFF", {}),
        b"P6 50 40 999\n" + deep.tobytes(),
    ]
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    return files + [encoded(image, kind, frames) for kind in ("TIFF", "WEBP", "PNG")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photo = Image.open(options.photo).convert("RGB").resize((1920, 1080), Image.Resampling.BICUBIC)
    times = {}
    for name, (kind, settings) in KINDS.items():
        data = encoded(photo, kind, settings)
        times[name] = least_milliseconds(data)
        same = np.array_equal(by_pillow(data), by_opencv(data))
        print(f"{name:24} {times[name]} {'equal' if same else 'pixels differ'}", flush=True)

    numbers, files = random.Random(options.seed), small_files()
    tried = faults = read = 0
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        data = damaged(numbers.choice(files), numbers)
        tried += 1
        try:
            read += decode_picture(data).values.size > 0
        except UnreadablePictureError:
            pass
        except Exception as error:  # noqa: BLE001  # which is what is looked for
            faults += 1
            print(f"fault: {error!r} of {data[:60]!r}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result = {"ms": times, "damaged": tried, "read": read, "faults": faults, "peak_mb": peak}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
