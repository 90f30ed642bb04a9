"""Sites for benchmarks from labelled data sets: a few training frames keep their labels, the rest become footage."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.footage import add_footage
from edgeseg.data.masks import add_labels
from edgeseg.durable import write_atomic
from edgeseg.site import Site

Colors = tuple[tuple[str, str], ...]
CAMVID: Colors = (
    ("sky", "#808080"), ("building", "#800000"), ("pole", "#c0c080"), ("road", "#804080"), ("pavement", "#3c28de"),
    ("tree", "#808000"), ("sign_symbol", "#c08080"), ("fence", "#404080"), ("car", "#400080"),
    ("pedestrian", "#404000"), ("bicyclist", "#0080c0"),
)  # fmt: skip
DHCN: Colors = (
    ("background", "#000000"), ("cabinet", "#e69f00"), ("ceiling", "#56b4e9"), ("chair", "#009e73"),
    ("door", "#f0e442"), ("elevator", "#0072b2"), ("railing", "#d55e00"), ("road", "#804080"),
    ("stair", "#cc79a7"), ("tree", "#006400"), ("wall", "#a0a0a0"),
)  # fmt: skip


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
    "camvid": DataSet(CAMVID, 16, (11,), (352, 480), (128, 160)),
    "dhcn": DataSet(DHCN, 24, (), (480, 480), (128, 128)),
}


def make_site(root: Path, name: str, data: Path, every: int = 0) -> Site:
    """Build the site once; a second call opens it. `every` replaces the data set's; 1 labels every frame.

    No near-duplicates are removed or withheld: the published splits decide what is train and what is val.
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
    text += "".join(f'[[classes]]\nname = "{label}"\ncolor = "{color}"\n' for label, color in what.classes)
    write_atomic(root / "edgeseg.toml", text.encode())
    site = Site.open(root)
    for number, image in enumerate(sorted((data / "images" / "train").iterdir())):
        kind = "footage" if number % (every or what.every) else "labelled"
        (staging / kind / image.name).symlink_to(image.resolve())
        if kind == "labelled":
            mask = data / "labels" / "train" / f"{image.stem}.png"
            (staging / "masks" / mask.name).symlink_to(mask.resolve())
    add_labels(site, staging / "labelled", staging / "masks", split="train", camera="train", ignore=what.ignore)
    if every != 1:
        add_footage(site, [staging / "footage"], camera="train")
    add_labels(site, data / "images" / "val", data / "labels" / "val", split="val", camera="val", ignore=what.ignore)
    shutil.rmtree(staging)
    counts = {split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")}
    write_atomic(done, json.dumps(counts).encode())
    return site
