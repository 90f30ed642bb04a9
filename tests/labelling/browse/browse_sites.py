"""Sites to look through: of several cameras, splits and origins, with figures of a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgeseg.data.ingest.site_writer import open_site_writer
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.image_codec import encode_png
from edgeseg.labelling.worth.frame_table import FrameTable
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site
from tests.labelling.label_sites import NAMES, SIZE, make_label_site

MODEL = "bundles/round-0001 (int8-cpu)"
NOON = 1772625600.0  # 2026-03-04 12:00 UTC


def make_browse_site(root: Path) -> Site:
    """Eight frames: six of a video of "cam", and two that a device sent home.

    0 and 1 are labelled (ground and water; water alone), 2 is val (bank). A model has looked at
    3 and 4, of which 4 is the more unsure one and shows bank; 7 was taken ten minutes after 6.
    """
    site = make_label_site(root, frames=6)
    rng = np.random.default_rng(1)
    with open_site_writer(site) as writer:
        for number in range(2):
            writer.put_image(
                rng.integers(0, 255, (*SIZE, 3), np.uint8),
                None,
                camera="yard",
                time=5.0 + number,
                source="box-7:000003",
                origin="log",
                lossless=True,
            )
        writer.save()
    frames = site.frames()
    with open_site_writer(site) as writer:
        for place, (ids, split) in enumerate(
            [((0, 1), "labelled"), ((1,), "labelled"), ((2,), "val")]
        ):
            mask = np.full(SIZE, IGNORE, np.uint8)
            for column, class_id in enumerate(ids):
                mask[:, 16 * column : 16 * column + 16] = class_id
            writer.put_mask(frames[place], encode_png(mask), split)  # type: ignore[arg-type]
        writer.save()
    frames = site.frames()
    write_records(site, frames[6:])
    write_figures(site, {frames[3].id: (0.1, 1), frames[4].id: (0.4, 2)})
    return site


def write_records(site: Site, frames: list[Frame]) -> None:
    """What devices said of frames: scores 0.2, 0.4, ..., ten minutes apart."""
    entries = [
        {
            "frame": frame.id,
            "time": NOON + 600 * place,
            "clock_synced": True,
            "score": 0.2 * (place + 1),
            "reason": "score",
            "device": "box-7",
            "model": "round-0001",
        }
        for place, frame in enumerate(frames)
    ]
    path = site.root / "rounds" / "records.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def write_figures(site: Site, told: dict[str, tuple[float, int]]) -> None:
    """What a model said of frames: entropy, and the one class that it sees."""
    classes = len(NAMES)
    rows = iter(
        [
            np.array([entropy, entropy, entropy / 2, *np.eye(classes)[seen], *[0] * classes, 7])
            for entropy, seen in told.values()
        ]
    )
    frames = [frame for frame in site.frames() if frame.id in told]
    table = FrameTable(site, "0123-1", MODEL)
    table.fill(frames, lambda image: next(rows).astype(np.float32), NullReporter(), "")
