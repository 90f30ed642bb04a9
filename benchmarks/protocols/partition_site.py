"""A site from a partition: labelled and val images with their masks, unlabelled ones as footage.

Frames are kept in full size and without loss, near-copies too, for the papers train on all of them.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.protocols.data_sets import DataSet
from benchmarks.protocols.papers import Protocol, train_settings
from benchmarks.protocols.partition import Partition
from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.data.frame_shapes import fitting_size
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.ingest.image_files import content_digest, decode_image, read_file, to_rgb
from edgeseg.data.ingest.site_writer import open_site_writer
from edgeseg.errors import DataError
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site

MADE_OF = "partition.json"  # what a site is made of, and whether it is whole
LARGEST_SIDE = 4096  # pixels; no image of either data set is stored smaller


def make_partition_site(
    root: Path,
    name: str,
    data: DataSet,
    partition: Partition,
    protocol: Protocol,
    *,
    encoder: str,
    weights: str,
    report: ProgressReporter,
) -> Site:
    """Build the site; one that is whole is opened, one that was cut off is built anew.

    Args:
        root: The folder of the site.
        name: The name of the site.
        data: The data set.
        partition: Which images are what.
        protocol: The paper's settings.
        encoder: timm's name of the encoder.
        weights: What the encoder starts from.
        report: Where progress is told.

    Raises:
        DataError: The folder holds something else, or files are damaged.
    """
    side = protocol.side(encoder)
    size = fitting_size(data.frame_shape, (side, side), encoder) if data.frame_shape else None
    epoch = len(partition.unlabelled or partition.labelled)
    settings = train_settings(protocol, epoch, size or (side, side), encoder, weights)
    table = {
        "name": name,
        "data": {
            "near_duplicate": 0,
            "max_side": LARGEST_SIDE,
            "fit": "stretch" if size else "letterbox",
        },
        "classes": [{"name": label, "color": color} for label, color in data.classes],
        "train": settings,
    }
    made_of = {
        "data": str(data.root.resolve()),
        "labelled": partition.labelled,
        "unlabelled": partition.unlabelled,
        "val": partition.val,
        "settings": settings,
    }
    if _is_whole(root, made_of):
        return Site.open(root)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    write_json(root / MADE_OF, {**made_of, "whole": False})
    write_atomic(root / "edgeseg.toml", tomli_w.dumps(table).encode())
    site = Site.open(root)
    _add_masked(site, data, partition.labelled, "train", report)
    _add_masked(site, data, partition.val, "val", report)
    _add_footage(site, data, partition.unlabelled, report)
    write_json(root / MADE_OF, {**made_of, "whole": True})
    return site


def _is_whole(root: Path, made_of: dict[str, Any]) -> bool:
    """Return whether the folder holds this very site.

    Raises:
        DataError: It holds something that is not to be removed.
    """
    file = root / MADE_OF
    if not file.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise DataError(f"{root} is there and no site of a partition; give another --out")
        return False
    stored = json.loads(file.read_bytes())
    whole = stored.pop("whole")
    if whole and stored != json.loads(json.dumps(made_of)):
        raise DataError(
            f"{root} is made from another partition or with other settings; give another --out, "
            "or remove the folder"
        )
    return bool(whole)


def _add_masked(
    site: Site, data: DataSet, names: Sequence[str], split: str, report: ProgressReporter
) -> None:
    """Add images with their masks, through links that give both the same name."""
    staging = site.root / "incoming"
    images, masks = staging / "images", staging / "masks"
    for folder in (images, masks):
        folder.mkdir(parents=True)
    for name in names:
        image = data.image(name).resolve()
        (images / f"{name}{image.suffix}").symlink_to(image)
        (masks / f"{name}.png").symlink_to(data.mask(name).resolve())
    rules = data.mask_rules(names)
    add_labels(site, images, masks, split, camera=split, rules=rules, report=report)
    shutil.rmtree(staging)


def _add_footage(site: Site, data: DataSet, names: Sequence[str], report: ProgressReporter) -> None:
    """Add unlabelled images.

    Raises:
        DataError: Two images have the same bytes.
    """
    report.start("adding footage", len(names))
    with open_site_writer(site) as writer:
        for number, name in enumerate(names):
            path = data.image(name)
            content = read_file(path)
            digest = content_digest(content)
            if twin := writer.find_by_content(digest):
                raise DataError(f"{path} is the same image as {twin.source}; leave one of them out")
            picture = decode_image(content, path)
            writer.put_image(
                to_rgb(picture, path),
                content if picture.plain else None,
                camera="train",
                time=float(number),
                source=str(path),
                origin="footage",
                digest=digest,
                lossless=True,
            )
            report.advance()
        writer.save()
    # An image that looks like one of val to the last bit of its hash: the papers train on it.
    site.save_frames(dataclasses.replace(frame, withheld=False) for frame in site.frames())
    report.stop()
