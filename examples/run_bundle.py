"""Run a bundle on pictures: a mask for each, and how unsure the model is of it.

    python examples/run_bundle.py BUNDLE PICTURE [PICTURE ...] --output FOLDER

Needs `edgeseg[device]` only. Masks are palette PNGs of class ids, at the size of the pictures. A
mask may replace an older mask, but no picture that is read, and not the mask of another one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edgeseg
from edgeseg.imaging import encode_palette_png, read_image, resize_mask


def masks_of(pictures: list[Path], output: Path) -> list[Path]:
    """Return the file for the mask of each picture; refuse to lose a picture or a mask."""
    targets = [output / f"{path.stem}.png" for path in pictures]
    if {path.resolve() for path in targets} & {path.resolve() for path in pictures}:
        raise SystemExit(f"masks in {output} would replace pictures; choose another --output")
    if len(set(targets)) < len(targets):
        raise SystemExit("two pictures have one name; give each an --output of its own")
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    targets = masks_of(options.pictures, options.output)
    options.output.mkdir(parents=True, exist_ok=True)

    with edgeseg.open_runner(options.bundle) as run:
        manifest = run.bundle.manifest
        palette = [spec.rgb for spec in manifest.classes]
        for path, target in zip(options.pictures, targets):
            image = read_image(path, manifest.depth_range)  # (H, W, 3) uint8 RGB, or None
            if image is None:
                print(f"{path} is no picture")
                continue
            prediction = edgeseg.predict_frame(run, image)  # a batch of one
            mask = resize_mask(prediction.mask[0], image.shape[:2])
            target.write_bytes(encode_palette_png(mask, palette))
            shares = zip(manifest.classes, prediction.area[0], strict=True)
            largest = ", ".join(
                f"{spec.name} {share:.0%}" for spec, share in shares if share >= 0.1
            )
            print(f"{path.name}: {prediction.score[0]:.0%} of the pixels unsure; {largest}")


if __name__ == "__main__":
    main()
