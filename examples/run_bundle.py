"""Run a bundle on pictures: a mask for each, and how unsure the model is of it.

    python examples/run_bundle.py BUNDLE PICTURE [PICTURE ...] --output FOLDER

Needs `edgeseg[device]` only. Masks are palette PNGs of class ids, at the size of the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edgeseg
from edgeseg.imaging import encode_palette_png, read_image, resize_mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    with edgeseg.open_runner(options.bundle) as run:
        manifest = run.bundle.manifest
        palette = [spec.rgb for spec in manifest.classes]
        for path in options.pictures:
            image = read_image(path, manifest.depth_range)  # (H, W, 3) uint8 RGB, or None
            if image is None:
                print(f"{path} is no picture")
                continue
            prediction = edgeseg.predict_frame(run, image)  # a batch of one
            mask = resize_mask(prediction.mask[0], image.shape[:2])
            (options.output / f"{path.stem}.png").write_bytes(encode_palette_png(mask, palette))
            shares = zip(manifest.classes, prediction.area[0], strict=True)
            largest = ", ".join(
                f"{spec.name} {share:.0%}" for spec, share in shares if share >= 0.1
            )
            print(f"{path.name}: {prediction.score[0]:.0%} of the pixels unsure; {largest}")


if __name__ == "__main__":
    main()
