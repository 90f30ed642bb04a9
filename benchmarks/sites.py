"""Sites for benchmarks from labelled data sets: a few training frames keep their labels, the rest
become footage.

    python benchmarks/sites.py camvid --data DATA/camvid --weights WEIGHTS.safetensors --out SITE

The preset stands in the site's edgeseg.toml, so edgeseg's own commands follow, given in that
folder. The bounds of the last one let every export pass, whatever comes out:

    edgeseg compare --methods suponly,u2pl --seeds 3 --jobs 2 --threads 1
    edgeseg distill RUN
    edgeseg export --int8 --max-drop 100 --max-class-drop 100 --min-speedup 0

`sites.py voc` and `sites.py cityscapes` make sites for the protocols of papers, from a data set
that you have; each has its own --help (benchmarks/PROTOCOLS.md).
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
from edgeseg.data.ingest.masks.mask_rules import MaskRules
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
        classes: Name and color of each class.
        label_every: Of the training frames, in order, those numbered 0, `label_every`,
            2 * `label_every`, ... keep their labels.
        ignore: Label indices that mean "not labelled".
        gpu_size: (height, width) of the GPU preset.
        cpu_size: (height, width) of the CPU preset.
    """

    classes: Colors
    label_every: int
    ignore: tuple[int, ...]
    gpu_size: tuple[int, int]
    cpu_size: tuple[int, int]


DATA_SETS = {
    "camvid": DataSet(CAMVID, 16, (11,), (352, 480), (192, 256)),
    "dhcn": DataSet(DHCN, 24, (), (480, 480), (192, 192)),
}
# The changes of the two presets to edgeseg's defaults, beside encoder, weights and frame size.
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
    """Return the tables [train] and [distill] of edgeseg.toml."""
    data = DATA_SETS[name]
    common = PRESETS[kind] | {"encoder": "mobilenetv2_100", "weights": str(weights.resolve())}
    common["imgsz"] = list(data.cpu_size if kind == "cpu" else data.gpu_size)
    rows = {"train": common | ({"rep_dim": 64} if kind == "cpu" else {}), "distill": common}
    return "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for table, values in rows.items()
    )


def make_site(root: Path, name: str, data: Path, every: int = 0, settings: str = "") -> Site:
    """Build the site once; a second call opens it.

    No near-duplicates are removed or withheld: the published splits decide which frames are train
    and which are val.

    Args:
        data: Folder with images/ and labels/.
        every: Replaces the data set's `label_every`; 1 labels every frame.
        settings: TOML text for edgeseg.toml, such as a preset.
    """
    finished = root / "done.json"
    if finished.exists():
        return Site.open(root)
    data_set = DATA_SETS[name]
    shutil.rmtree(root, ignore_errors=True)
    staging = root / "incoming"
    for part in ("labelled", "footage", "masks"):
        (staging / part).mkdir(parents=True)
    text = f'name = "{name}"\n[data]\nnear_duplicate = 0\n'
    text += "".join(
        f'[[classes]]\nname = "{label}"\ncolor = "{color}"\n' for label, color in data_set.classes
    )
    text += settings
    write_atomic(root / "edgeseg.toml", text.encode())
    site = Site.open(root)
    for number, image in enumerate(sorted((data / "images" / "train").iterdir())):
        kind = "footage" if number % (every or data_set.label_every) else "labelled"
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
        rules=MaskRules(ignore=data_set.ignore),
    )
    if every != 1:
        add_footage(site, [staging / "footage"], camera="train")
    add_labels(
        site,
        data / "images" / "val",
        data / "labels" / "val",
        split="val",
        camera="val",
        rules=MaskRules(ignore=data_set.ignore),
    )
    shutil.rmtree(staging)
    counts = {split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")}
    write_atomic(finished, json.dumps(counts).encode())
    return site


def main() -> None:
    """Make a site."""
    if sys.argv[1:2] in (["voc"], ["cityscapes"]):
        from benchmarks.protocols.command import main as make_site_of_paper

        raise SystemExit(make_site_of_paper(sys.argv[1:]))
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
    options = parser.parse_args()
    site = make_site(
        options.out,
        options.name,
        options.data,
        options.every,
        preset(options.name, options.preset, options.weights),
    )
    print(
        ", ".join(
            f"{split} {len(site.frames(split))}" for split in ("labelled", "unlabelled", "val")
        )
    )


if __name__ == "__main__":
    main()
