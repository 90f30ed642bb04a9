"""Seconds to read one epoch of frames at training size, decoded or from the site's cache.

    python benchmarks/frame_cache.py --images DATA/camvid/images/train [--number 200] [--rounds 5]

One thread. Every row reads all frames in the same shuffled order and stacks them in fours, as a
loader does. "filling" is the first epoch of all, which decodes and stores; "cached" a later run,
its file still in memory; "cold" the same after the kernel was asked to forget the file. Frames come
in their own size and 1280 wide, as wide as `edgeseg add` stores them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.site import Frame, Site

SIZES = ((128, 160), (352, 480))
ROWS = ("decoded", "filling", "cached", "cold")


def make_site(root: Path, images: list[Path], suffix: str, width: int) -> Site:
    """Make a site whose unlabelled frames are the images.

    They are written anew as `suffix` files, `width` pixels wide (0: as they are).
    """
    root.mkdir()
    (root / "edgeseg.toml").write_text(
        'classes = [{name = "a", color = "#000000"}, {name = "b", color = "#ffffff"}]\n'
    )
    frames = []
    for number, path in enumerate(images):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image is not None, path
        if width:
            image = cv2.resize(
                image,
                (width, image.shape[0] * width // image.shape[1]),
                interpolation=cv2.INTER_CUBIC,
            )
        cv2.imwrite(str(root / f"{number}{suffix}"), image)
        frames.append(
            Frame(
                id=f"f{number}",
                camera="c",
                time=float(number),
                source="s",
                split="unlabelled",
                image=f"{number}{suffix}",
                mask=None,
                height=image.shape[0],
                width=image.shape[1],
                hash="0" * 16,
                origin="footage",
            )
        )
    site = Site.open(root)
    site.save_frames(frames)
    return site


def epoch(site: Site, size: tuple[int, int]) -> float:
    """Seconds to read every frame once."""
    store = SiteFrameReader(site, site.frames(), size, memory=0)
    order = np.random.default_rng(0).permutation(len(store))
    began = time.perf_counter()
    for place in range(0, len(order), 4):
        images, masks = zip(*(store[int(index)] for index in order[place : place + 4]))
        np.stack(images), np.stack(masks)
    return time.perf_counter() - began


def forget(site: Site) -> None:
    """Have the kernel drop the cache files from memory."""
    for path in (site.root / "cache").glob("*.u8"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(site: Site, size: tuple[int, int], rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of every row in turns, over all rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in ROWS}
    plain = Site.open(site.root, ["data.cache_bytes=0"])
    epoch(plain, size)  # warm-up: the image files themselves come into memory
    for _ in range(rounds):
        seconds["decoded"].append(epoch(plain, size))
        shutil.rmtree(site.root / "cache", ignore_errors=True)
        seconds["filling"].append(epoch(site, size))
        seconds["cached"].append(epoch(site, size))
        forget(site)
        seconds["cold"].append(epoch(site, size))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--number", type=int, default=200, help="images taken of it")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    images = sorted(given.images.iterdir())[: given.number]
    load = os.getloadavg()[0]
    report: dict[str, object] = {
        "frames": len(images),
        "opencv": cv2.__version__,
        "machine": platform.machine(),
        "load": round(load, 1),
    }
    print(", ".join(f"{key} {value}" for key, value in report.items()))
    print(
        f"{'ms a frame':24} "
        + " ".join(f"{name:>16}" for name in ROWS)
        + f" {'decoded/cached':>15}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for suffix, width in ((".jpg", 0), (".png", 0), (".jpg", 1280)):
            site = make_site(Path(folder) / f"{suffix[1:]}{width}", images, suffix, width)
            for size in SIZES:
                seconds = measure(site, size, given.rounds)
                times = {
                    name: [1000 * value / len(images) for value in values]
                    for name, values in seconds.items()
                }
                medians = {name: statistics.median(values) for name, values in times.items()}
                cells = [
                    f"{medians[name]:.2f} ({min(v):.2f}..{max(v):.2f})" for name, v in times.items()
                ]
                label = f"{suffix[1:]} {width or 'own'} wide to {size[0]}x{size[1]}"
                print(
                    f"{label:24} "
                    + " ".join(f"{cell:>16}" for cell in cells)
                    + f" {medians['decoded'] / medians['cached']:15.1f}"
                )
                report[label] = {name: round(value, 3) for name, value in medians.items()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
