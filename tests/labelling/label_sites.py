"""Small sites to label: frames of dark patches with a bright block, of one camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.data.ingest.site_writer import open_site_writer
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.image_codec import encode_png
from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.finished_masks import FinishedMasks
from edgeseg.labelling.drafts.journal import Event
from edgeseg.labelling.drafts.mask_runs import encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.site import Site

NAMES = ("ground", "water", "bank")
COLORS = ("#554433", "#3388ee", "#88aa33")
SIZE = (48, 64)


def make_label_site(
    root: Path, frames: int = 4, size: tuple[int, int] = SIZE, classes: tuple[str, ...] = NAMES
) -> Site:
    """A site of unlabelled frames, none like another."""
    root.mkdir(parents=True, exist_ok=True)
    tables = (
        f'[[classes]]\nname = "{name}"\ncolor = "{color}"\n' for name, color in zip(classes, COLORS)
    )
    (root / "edgeseg.toml").write_text('name = "pond"\n' + "".join(tables))
    site = Site.open(root)
    rng = np.random.default_rng(0)
    with open_site_writer(site) as writer:
        for number in range(frames):
            patches = rng.integers(0, 90, (size[0] // 8, size[1] // 8, 3), np.uint8)
            rgb = patches.repeat(8, 0).repeat(8, 1)
            rgb[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 230
            writer.put_image(
                rgb,
                None,
                camera="cam",
                time=30.0 * number,
                source="clip.mp4",
                origin="footage",
                lossless=True,
            )
        writer.save()
    return site


def open_store(site: Site) -> DraftStore:
    """The drafts of a site as the server opens them; its door is closed."""
    return DraftStore(site, Predictions(site), FinishedMasks(site))


def edit(revision: int, name: str, box: tuple[int, int, int, int], class_id: int) -> Event:
    """An event that fills a box, given as x, y, width and height."""
    ids = np.full((box[3], box[2]), class_id, np.uint8)
    return {
        "kind": "edit",
        "name": name,
        "revision": revision,
        "person": "Ada",
        "tool": "brush",
        "box": box,
        "runs": encode_text(ids),
    }


def other(kind: str, revision: int, name: str) -> Event:
    """An event without runs."""
    return {"kind": kind, "name": name, "revision": revision, "person": "Ada", "split": "auto"}


def empty(size: tuple[int, int] = SIZE) -> Mask:
    """A mask in which nothing is labelled."""
    return np.full(size, IGNORE, np.uint8)


def write_site_mask(site: Site, frame_id: str, mask: Mask) -> None:
    """Give a frame a mask as `edgeseg add labels` would."""
    with open_site_writer(site) as writer:
        frame = writer.find_by_id(frame_id)
        assert frame is not None
        writer.put_mask(frame, encode_png(mask), "labelled")
        writer.save()
