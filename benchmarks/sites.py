"""Sites for benchmarks from labelled data sets: a few training frames keep their labels, the rest
become footage.

    python benchmarks/sites.py camvid --data DATA/camvid --weights mobilenetv2_100.safetensors --out
    sites/camvid

The preset stands in the site's edgeseg.toml, so what follows are edgeseg's own commands, given in
that folder:

    edgeseg compare --methods suponly,u2pl --seeds 3 --jobs 2 --threads 1
    edgeseg distill RUN
    edgeseg export --int8 --max-drop 100 --max-class-drop 100 --min-speedup 0    # report, whatever
    comes out
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.atomic_files import write_atomic
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.site import Site

Colors = tuple[tuple[str, str], ...]
CAMVID: Colors = (
    ("sky", "#808080"),
    ("building", "#800000"),
    ("pole", "#c0c080"),
    ("road", "#804080"),
    ("pavement", "#3c28de"),
    ("tree", "#808000"),
    ("sign_symbol", "#c08080"),
    ("fence", "#404080"),
    ("car", "#400080"),
    ("pedestrian", "#404000"),
    ("bicyclist", "#0080c0"),
)
DHCN: Colors = (
    ("background", "#000000"),
    ("cabinet", "#e69f00"),
    ("ceiling", "#56b4e9"),
    ("chair", "#009e73"),
    ("door", "#f0e442"),
    ("elevator", "#0072b2"),
    ("railing", "#d55e00"),
    ("road", "#804080"),
    ("stair", "#cc79a7"),
    ("tree", "#006400"),
    ("wall", "#a0a0a0"),
)


@dataclass(frozen=True)
class DataSet:
    """A folder with images/{train,val} and labels/{train,val}.

    Attributes:
        every: of the training frames, in order, the 1st, (1 + every)th, ... keep their labels.
        ignore: label index that means "not labelled".
        full: (height, width) of the GPU preset.
        small: (height, width) of the CPU preset.
    """

    classes: Colors
    every: int
    ignore: tuple[int, ...]
    full: tuple[int, int]
    small: tuple[int, int]


DATA_SETS = {
    "camvid": DataSet(CAMVID, 16, (11,), (352, 480), (192, 256)),
    "dhcn": DataSet(DHCN, 24, (), (480, 480), (192, 192)),
}
# What the two presets change in edgeseg's defaults, beside encoder, weights and frame size.
PRESETS: dict[str, dict[str, Any]] = {  # Any: configuration values
    "cpu": {"steps": 800, "encoder_lr": 5e-4, "decoder_lr": 2e-3},
    "gpu": {
        "steps": 6000,
        "eval_every": 500,
        "checkpoint_every": 500,
        "batch": 8,
        "batch_unlabelled": 8,
    },
}


def preset(name: str, kind: str, weights: Path) -> str:
    """The tables [train] and [distill] of edgeseg.toml."""
    data = DATA_SETS[name]
    common = PRESETS[kind] | {"encoder": "mobilenetv2_100", "weights": str(weights.resolve())}
    common["imgsz"] = list(data.small if kind == "cpu" else data.full)
    rows = {"train": common | ({"rep_dim": 64} if kind == "cpu" else {}), "distill": common}
    return "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for table, values in rows.items()
    )


def make_site(root: Path, name: str, data: Path, every: int = 0, settings: str = "") -> Site:
    """Build the site once; a second call opens it. `every` replaces the data set's; 1 labels every
    frame.

    No near-duplicates are removed or withheld: the published splits decide what is train and what
    is val.
    """
    done = root / "done.json"
    if done.exists():
        return Site.open(root)
    what = DATA_SETS[name]
    shutil.rmtree(root, ignore_errors=True)
    staging = root / "incoming"
    for part in ("labelled", "footage", "masks"):
        (staging / part).mkdir(parents=True)
    text = f'name = "{name}"\n[data]\nnear_duplicate = 0\n'
    text += "".join(
        f'[[classes]]\nname = "{label}"\ncolor = "{color}"\n' for label, color in what.classes
    )
    text += settings
    write_atomic(root / "edgeseg.toml", text.encode())
    site = Site.open(root)
    for number, image in enumerate(sorted((data / "images" / "train").iterdir())):
        kind = "footage" if number % (every or what.every) else "labelled"
        (staging / kind / image.name).symlink_to(image.resolve())
        if kind == "labelled":
            mask = data / "labels" / "train" / f"{image.stem}.png"
            (staging / "masks" / mask.name).symlink_to(mask.resolve())
    add_labels(
        site,
        staging / "labelled",
        staging / "masks",
        split="train",
        camera="train",
        ignore=what.ignore,
    )
    if every != 1:
        add_footage(site, [staging / "footage"], camera="train")
    add_labels(
        site,
        data / "images" / "val",
        data / "labels" / "val",
        split="val",
        camera="val",
        ignore=what.ignore,
    )
    shutil.rmtree(staging)
    counts = {split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")}
    write_atomic(done, json.dumps(counts).encode())
    return site


def main() -> None:
    """Make a site."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(DATA_SETS))
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument(
        "--weights", type=Path, required=True, help="MobileNetV2 encoder weights, safetensors"
    )
    parser.add_argument("--out", type=Path, required=True, help="the site")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument(
        "--every", type=int, default=0, help="label every so many frames; 1: all, for the ceiling"
    )
    given = parser.parse_args()
    site = make_site(
        given.out,
        given.name,
        given.data,
        given.every,
        preset(given.name, given.preset, given.weights),
    )
    print(
        ", ".join(
            f"{split} {len(site.frames(split))}" for split in ("labelled", "unlabelled", "val")
        )
    )


if __name__ == "__main__":
    main()
