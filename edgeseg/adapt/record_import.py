"""Records of device frame logs become unlabelled frames of the site, each once, whatever happens in
between.

A frame's id is made from the digest of its image, so pulling the same log again, the same record
from two folders, or after a kill half-way, changes nothing. What the devices said about a frame is
kept in `rounds/records.jsonl`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.atomic_files import write_atomic
from edgeseg.data.ingest.image_files import content_digest
from edgeseg.data.ingest.site_writer import DEFAULT_CAMERA, SiteWriter, open_site_writer
from edgeseg.errors import AdaptError, FrameLogError
from edgeseg.imaging.perceptual_hash import HashSet, dhash
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import HELD_OUT, Site


@dataclass(frozen=True, kw_only=True)
class RecordOrigin:
    """What a device said about a frame: a line of `rounds/records.jsonl`; fields as in
    `RecordMetadata`.
    """

    frame: str
    record: str
    device: str
    camera: str
    boot: int
    seq: int
    time: float
    clock_synced: bool | None
    model: str
    threshold: float
    reason: str
    probability: float
    score: float


@dataclass(frozen=True, kw_only=True)
class PullResult:
    """What became of the records.

    Attributes:
        seen: records found.
        added: new frames of the site.
        known: already there.
        judged: left out because they are near-copies of val or gate frames, which must not train.
        poor: left out because the device flagged the picture as black, saturated or frozen.
        damaged: one sentence for each record that could not be used.
    """

    seen: int = 0
    added: int = 0
    known: int = 0
    judged: int = 0
    poor: int = 0
    damaged: tuple[str, ...] = ()


def check_log_folders(folders: Sequence[Path]) -> None:
    """See that each is a folder.

    Raises:
        AdaptError: one is not.
    """
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise AdaptError(
                f"the log folder {folder} {what}; name the one that `edgeseg infer --log` wrote"
            )


def pull_records(site: Site, folders: Sequence[Path], report: ProgressReporter) -> PullResult:
    """Copy the records of `folders` into the site.

    Order: images, then `records.jsonl`, then the index, so that a frame in the index always has the
        others.

    Raises:
        AdaptError: a folder is missing, or `records.jsonl` is damaged.
        FrameLogError: a folder is no frame log.
        DataError: the site's index is damaged, or another process adds to the site.
    """
    check_log_folders(folders)
    paths = [path for folder in folders for path in iter_records(folder)]
    counts: Counter[str] = Counter(seen=len(paths))
    damaged: list[str] = []
    report.start("records", len(paths))
    with open_site_writer(site) as store:
        origins = load_origins(site)
        judging = HashSet(
            [int(frame.hash, 16) for frame in store.frames() if frame.split in HELD_OUT]
        )
        for path in paths:
            report.advance(1)
            try:
                counts[_import_record(store, path, judging, origins)] += 1
            except FrameLogError as error:
                if (
                    path.exists()
                ):  # else the log's own budget took it between the listing and the reading
                    damaged.append(str(error))
                    report.say(f"skipped: {error}")
        if counts["added"]:
            lines = (json.dumps(dataclasses.asdict(origin)) + "\n" for origin in origins.values())
            write_atomic(_origins_path(site), "".join(lines).encode())
            store.save()
    report.stop()
    return PullResult(**counts, damaged=tuple(damaged))


def _import_record(
    store: SiteWriter, path: Path, judging: HashSet, origins: dict[str, RecordOrigin]
) -> str:
    """Put one record into the store; the word for what became of it.

    Raises:
        FrameLogError: the record is damaged.
    """
    record = read_record(path)
    header = record.header
    content = content_digest(record.parts["image"])
    if store.find_by_content(content) is not None:
        return "known"
    if header.flags:
        return "poor"
    image = record.image()
    hashed = dhash(image)
    if judging.has_within(hashed, store.site.config.data.near_duplicate):
        return "judged"
    frame = store.put_image(
        image,
        record.parts["image"],
        camera=safe_camera_name(header.camera),
        time=max(0.0, header.monotonic_ns / 1e9),
        source=f"{header.device}:{header.boot:06d}",
        origin="log",
        digest=content,
        image_hash=hashed,
    )
    facts = header.model_dump(include={field.name for field in dataclasses.fields(RecordOrigin)})
    origins[frame.id] = RecordOrigin(frame=frame.id, record=record.name, **facts)
    return "added"


def safe_camera_name(text: str) -> str:
    """What a device calls its camera, made safe as a part of file names."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:40]
    return name or DEFAULT_CAMERA


def load_origins(site: Site) -> dict[str, RecordOrigin]:
    """What devices said about frames, by frame id.

    Raises:
        AdaptError: the file is damaged.
    """
    path = _origins_path(site)
    try:
        origins = [RecordOrigin(**json.loads(line)) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError):
        raise AdaptError(
            f"{path} is damaged; move it away, the frames stay but their scores are lost"
        ) from None
    return {origin.frame: origin for origin in origins}


def _origins_path(site: Site) -> Path:
    return site.root / "rounds" / "records.jsonl"
