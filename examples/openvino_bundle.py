"""Run a bundle in OpenVINO alone: the masks that `edgeseg infer --masks` writes, without edgeseg.

    python examples/openvino_bundle.py BUNDLE PICTURE [PICTURE ...] --output FOLDER

Needs openvino, numpy, opencv-python-headless and pillow; nothing of edgeseg is imported. It is what
docs/other-engines.md says in words, so that it can be carried over to another engine or language.
Pictures of 8 bits; masks are palette PNGs of class ids at the size of the pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
Manifest = dict[str, Any]  # Any: JSON, see docs/formats/schemas/manifest.json
Box = tuple[slice, slice]  # rows and columns
INT8, FLOAT, GOLDEN = "model.int8-cpu.onnx", "model.onnx", "golden.npz"
PADDING, NOT_SEEN = 115, 255
MAX_MANIFEST = 1_000_000  # bytes


def read_manifest(bundle: Path) -> Manifest:
    """Read what the bundle says of itself; a later layout is refused."""
    with open(bundle / "manifest.json", "rb") as file:
        data = file.read(MAX_MANIFEST + 1)
    manifest: Manifest = json.loads(data) if len(data) <= MAX_MANIFEST else {}
    if manifest.get("format") != 1:
        raise SystemExit(f"{bundle}: its manifest is of a layout that this program does not know")
    return manifest


def read_file(bundle: Path, manifest: Manifest, name: str) -> bytes:
    """Read one of the files, as long as it is the one that the manifest means."""
    entry = manifest["files"].get(name)
    if entry is None:
        raise SystemExit(f"{bundle} has no {name}; it has {', '.join(manifest['files'])}")
    with open(bundle / name, "rb") as file:
        data = file.read(entry["size"] + 1)
    if len(data) != entry["size"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise SystemExit(f"{bundle / name} is damaged; copy the bundle again")
    return data


def golden_agreement(data: bytes, model: Any) -> float:  # Any: OpenVINO has no types
    """Return the share of golden pixels to which the engine gives the class that they should have.

    Engines differ by rounding. One whose kernels compute something else, as 16-bit sums that
    overflow do, is found out here.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        frames, masks = arrays["frames"], arrays["masks"]
    given = [model({"image": frame[None]})["mask"][0] for frame in frames]
    return float(np.mean(np.stack(given) == masks))


def middle(part: tuple[int, int], whole: tuple[int, int]) -> Box:
    """Return the middle rows and columns of `whole`, `part` of them."""
    top, left = (whole[0] - part[0]) // 2, (whole[1] - part[1]) // 2
    return slice(top, top + part[0]), slice(left, left + part[1])


def place(fit: str, frame: tuple[int, int], size: tuple[int, int]) -> tuple[Box, Box]:
    """Return the part of the input that shows the frame, and the part of the frame it shows.

    Args:
        fit: As the manifest has it.
        frame: (H, W) of the picture.
        size: (h, w) of the graph's input.
    """
    inside, seen = size, frame
    if fit == "letterbox":
        scale = min(size[0] / frame[0], size[1] / frame[1])
        inside = (
            min(size[0], max(1, round(frame[0] * scale))),
            min(size[1], max(1, round(frame[1] * scale))),
        )
    elif fit == "crop":
        scale = max(size[0] / frame[0], size[1] / frame[1])
        seen = (
            min(frame[0], max(1, round(size[0] / scale))),
            min(frame[1], max(1, round(size[1] / scale))),
        )
    return middle(inside, size), middle(seen, frame)


def lengths(box: Box) -> tuple[int, int]:
    """Return (height, width)."""
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def to_input(picture: Pixels, inside: Box, seen: Box, size: tuple[int, int]) -> Pixels:
    """Return the graph's input, (1, h, w, 3) uint8 RGB, that shows a picture, (H, W, 3)."""
    part, (height, width) = picture[seen], lengths(inside)
    if part.shape[:2] != (height, width):
        shrinks = part.shape[0] >= height and part.shape[1] >= width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        part = np.asarray(cv2.resize(part, (width, height), interpolation=how), np.uint8)
    canvas = np.full((1, *size, 3), PADDING, np.uint8)
    canvas[0][inside] = part
    return canvas


def to_frame(mask: Pixels, inside: Box, seen: Box, frame: tuple[int, int]) -> Pixels:
    """Return a mask of the input at the size of the picture; 255 where it was not seen."""
    part, (height, width) = mask[inside], lengths(seen)
    if part.shape != (height, width):
        how = cv2.INTER_NEAREST_EXACT  # the class under each pixel's own center
        part = np.asarray(cv2.resize(part, (width, height), interpolation=how), np.uint8)
    canvas = np.full(frame, NOT_SEEN, np.uint8)
    canvas[seen] = part
    return canvas


def write_mask(path: Path, mask: Pixels, classes: list[dict[str, str]]) -> None:
    """Write class ids as a palette PNG in the colors of the classes."""
    colors = b"".join(bytes.fromhex(each["color"][1:]) for each in classes)
    picture = Image.fromarray(mask)
    picture.putpalette(colors.ljust(256 * 3, b"\0"))  # all 256, or Pillow writes fewer bits
    picture.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--file", help=f"{INT8} where there is one, else {FLOAT}")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    manifest = read_manifest(options.bundle)
    name = options.file or (INT8 if INT8 in manifest["files"] else FLOAT)
    core = openvino.Core()
    # Floats stay FP32, where some processors would take bfloat16.
    model = core.compile_model(
        core.read_model(read_file(options.bundle, manifest, name)),
        "CPU",
        {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
    )
    agreement = golden_agreement(read_file(options.bundle, manifest, GOLDEN), model)
    print(f"{name}: {agreement:.2%} of the golden pixels are of the right class")
    size = manifest["height"], manifest["width"]
    for path in options.pictures:
        with Image.open(path) as opened:
            picture = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        frame = picture.shape[0], picture.shape[1]
        inside, seen = place(manifest.get("fit", "stretch"), frame, size)
        outputs = model({"image": to_input(picture, inside, seen, size)})
        mask = to_frame(outputs["mask"][0], inside, seen, frame)
        write_mask(options.output / f"{path.stem}.png", mask, manifest["classes"])
        ids, pixels = np.unique(mask[mask != NOT_SEEN], return_counts=True)
        shares = ", ".join(
            f"{manifest['classes'][number]['name']} {count / pixels.sum():.0%}"
            for number, count in zip(ids, pixels)
        )
        print(f"{path.name}: score {float(outputs['score'][0]):.4f}; {shares}")


if __name__ == "__main__":
    main()
