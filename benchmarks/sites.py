"""Sites for benchmarks from labelled data sets: a few training frames keep their labels, the rest
become footage.

    python benchmarks/sites.py camvid-drive --data DATA/camvid --weights FILE.safetensors --out SITE

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
from collections.abc import Sequence
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
        ignore: Label indices that mean "not labelled".
        gpu_size: (height, width) of the GPU preset.
        cpu_size: (height, width) of the CPU preset.
    """

    classes: Colors
    ignore: tuple[int, ...]
    gpu_size: tuple[int, int]
    cpu_size: tuple[int, int]


@dataclass(frozen=True)
class LabelPlan:
    """Which training frames keep their labels; the others are footage.

    Attributes:
        data_set: Name of the data set.
        count: Number of labelled frames.
        sequence: First letters of the names of the frames that may be labelled.
        step: Distance between two of them, counted from the first; 0 spreads them evenly from the
            first to the last.
    """

    data_set: str
    count: int
    sequence: str = ""
    step: int = 0

    def choose(self, names: Sequence[str]) -> frozenset[str]:
        """Return the names that keep their labels, of all training frames' in order."""
        names = [name for name in names if name.startswith(self.sequence)]
        step = self.step or (len(names) - 1) / (self.count - 1)
        return frozenset(names[round(number * step)] for number in range(self.count))


CAMVID_SET, DHCN_SET = "camvid", "dhcn"
DATA_SETS = {
    CAMVID_SET: DataSet(CAMVID, (11,), (352, 480), (192, 256)),
    DHCN_SET: DataSet(DHCN, (), (480, 480), (192, 192)),
}
SITES = {
    # Every 16th and every 24th frame: the labels show every scene, footage repeats them.
    "camvid-spread": LabelPlan(CAMVID_SET, 23, step=16),
    "dhcn-spread": LabelPlan(DHCN_SET, 20, step=24),
    # Few labels.
    "camvid-12": LabelPlan(CAMVID_SET, 12),
    "camvid-6": LabelPlan(CAMVID_SET, 6),
    # One evening's labels: the dusk drive shows every class. Val lies in one of the other drives.
    "camvid-drive": LabelPlan(CAMVID_SET, 24, sequence="0001TP"),
    # The first 305 of 480 frames: no shorter beginning shows all classes but the elevator twice.
    "dhcn-begin": LabelPlan(DHCN_SET, 20, step=16),
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
    data = DATA_SETS[SITES[name].data_set]
    common = PRESETS[kind] | {"encoder": "mobilenetv2_100", "weights": str(weights.resolve())}
    common["imgsz"] = list(data.cpu_size if kind == "cpu" else data.gpu_size)
    rows = {"train": common | ({"rep_dim": 64} if kind == "cpu" else {}), "distill": common}
    return "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for table, values in rows.items()
    )


def make_site(
    root: Path, name: str, data: Path, *, all_labels: bool = False, settings: str = ""
) -> Site:
    """Build the site once; a second call opens it.

    No near-duplicates are removed or withheld: the published splits decide which frames are train
    and which are val.

    Args:
        name: One of `SITES`.
        data: Folder with images/ and labels/.
        all_labels: Label every training frame, so that there is no footage: the ceiling.
        settings: TOML text for edgeseg.toml, such as a preset.
    """
    finished = root / "done.json"
    if finished.exists():
        return Site.open(root)
    plan = SITES[name]
    data_set = DATA_SETS[plan.data_set]
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
    images = sorted((data / "images" / "train").iterdir())
    stems = [image.stem for image in images]
    labelled = frozenset(stems) if all_labels else plan.choose(stems)
    for image in images:
        kind = "labelled" if image.stem in labelled else "footage"
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
    if not all_labels:
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
    parser.add_argument("name", choices=list(SITES))
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument(
        "--weights", type=Path, required=True, help="MobileNetV2 encoder weights, safetensors"
    )
    parser.add_argument("--out", type=Path, required=True, help="the site")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--all-labels", action="store_true", help="the ceiling: no footage")
    options = parser.parse_args()
    site = make_site(
        options.out,
        options.name,
        options.data,
        all_labels=options.all_labels,
        settings=preset(options.name, options.preset, options.weights),
    )
    print(
        ", ".join(
            f"{split} {len(site.frames(split))}" for split in ("labelled", "unlabelled", "val")
        )
    )


if __name__ == "__main__":
    main()
