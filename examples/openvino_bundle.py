"""Run a bundle in OpenVINO alone: the masks that `edgeseg infer --masks` writes, without edgeseg.

    python examples/openvino_bundle.py BUNDLE PICTURE [PICTURE ...] --output FOLDER

Needs openvino, numpy, opencv-python-headless and pillow; nothing of edgeseg is imported. It is what
docs/other-engines.md says in words, so that it can be carried over to another engine or language.
Pictures of 8 bits; masks are palette PNGs of class ids at the size of the pictures. A mask may
replace an older mask, but no picture that is read, and not the mask of another one.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
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
NEEDED = {"files", "classes", "height", "width"}
LEAST, LEAST_INT8, FLOOR_INT8, SLACK_INT8 = 99.5, 98.0, 90.0, 1.0  # percent of the golden pixels


def read_manifest(bundle: Path) -> Manifest:
    """Read what the bundle says of itself; a later layout is refused."""
    try:
        with open(bundle / "manifest.json", "rb") as file:
            data = file.read(MAX_MANIFEST + 1)
        manifest: Manifest = json.loads(data) if len(data) <= MAX_MANIFEST else {}
    except (OSError, ValueError, RecursionError):
        manifest = {}
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise SystemExit(f"{bundle}: no bundle, or damaged; name the folder of a whole one")
    if manifest["format"] != 1:
        raise SystemExit(f"{bundle}: its manifest is of a layout that this program does not know")
    if not manifest.keys() >= NEEDED or not isinstance(manifest["files"], dict):
        raise SystemExit(f"{bundle}: no bundle, or damaged; name the folder of a whole one")
    return manifest


def read_file(bundle: Path, manifest: Manifest, name: str) -> bytes:
    """Read one of the files, as long as it is the one that the manifest means."""
    entry = manifest["files"].get(name)
    if entry is None:
        raise SystemExit(f"{bundle} has no {name}; it has {', '.join(manifest['files'])}")
    try:
        with open(bundle / name, "rb") as file:
            data = file.read(entry["size"] + 1)
    except OSError as error:
        raise SystemExit(f"{bundle / name}: {error.strerror}; copy the bundle again") from None
    if len(data) != entry["size"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise SystemExit(f"{bundle / name} is damaged; copy the bundle again")
    return data


def golden_agreement(data: bytes, model: Any) -> float:  # Any: OpenVINO has no types
    """Return the percentage of golden pixels whose class from the engine is the right one.

    Engines differ by rounding. One whose kernels compute something else, as 16-bit sums that
    overflow do, is found out here.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        frames, masks = arrays["frames"], arrays["masks"]
    given = [model({"image": frame[None]})["mask"][0] for frame in frames]
    return 100 * float(np.mean(np.stack(given) == masks))


def least_agreement(manifest: Manifest, name: str) -> float:
    """Return the percentage of golden pixels that an engine of this file must get right."""
    flavour = name.removeprefix("model.").removesuffix(".onnx")
    if not flavour.startswith("int8"):
        return LEAST
    figures = manifest.get("figures", {}).get(flavour)
    at_export = figures.get("agreement") if isinstance(figures, dict) else None
    if not isinstance(at_export, (int, float)) or not math.isfinite(at_export):
        return LEAST_INT8
    return min(LEAST_INT8, max(FLOOR_INT8, at_export - SLACK_INT8))


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


def masks_of(pictures: list[Path], output: Path) -> list[Path]:
    """Return the file for the mask of each picture; refuse to lose a picture or a mask."""
    targets = [output / f"{path.stem}.png" for path in pictures]
    sources = {path.resolve() for path in pictures}
    for number, target in enumerate(targets):
        if target.resolve() in sources:
            raise SystemExit(f"{target} is one of the pictures; choose another folder as --output")
        first = targets.index(target)
        if first != number:
            raise SystemExit(
                f"{pictures[first]} and {pictures[number]} would both become {target}; give each "
                "of them an --output of its own"
            )
    return targets


def write_mask(path: Path, mask: Pixels, classes: list[dict[str, str]]) -> None:
    """Write class ids as a palette PNG in the colors of the classes, whole or not at all."""
    colors = b"".join(bytes.fromhex(each["color"][1:]) for each in classes)
    picture = Image.fromarray(mask)
    picture.putpalette(colors.ljust(256 * 3, b"\0"))  # all 256, or Pillow writes fewer bits
    temporary = path.with_name(f".mask-{os.getpid()}.tmp")
    try:
        picture.save(temporary, "PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--file", help=f"{INT8} where there is one, else {FLOAT}")
    options = parser.parse_args()
    targets = masks_of(options.pictures, options.output)
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
    print(f"{name}: {agreement:.2f} % of the golden pixels are of the right class")
    least = least_agreement(manifest, name)
    if not agreement >= least:
        raise SystemExit(
            f"{name}: at least {least:g} % should be; OpenVINO computes something else than the "
            f"exporter did on this processor: try --file {FLOAT}, or another version of openvino"
        )
    options.output.mkdir(parents=True, exist_ok=True)
    size = manifest["height"], manifest["width"]
    for path, target in zip(options.pictures, targets):
        with Image.open(path) as opened:
            picture = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        frame = picture.shape[0], picture.shape[1]
        inside, seen = place(manifest.get("fit", "stretch"), frame, size)
        outputs = model({"image": to_input(picture, inside, seen, size)})
        mask = to_frame(outputs["mask"][0], inside, seen, frame)
        write_mask(target, mask, manifest["classes"])
        ids, pixels = np.unique(mask[mask != NOT_SEEN], return_counts=True)
        shares = ", ".join(
            f"{manifest['classes'][number]['name']} {count / pixels.sum():.0%}"
            for number, count in zip(ids, pixels)
        )
        print(f"{path.name}: score {float(outputs['score'][0]):.4f}; {shares}")


if __name__ == "__main__":
    main()
