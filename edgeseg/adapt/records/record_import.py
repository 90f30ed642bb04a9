"""Import of device frame logs: records become unlabelled frames of the site, each once, whatever
happens in between.

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
from edgeseg.imaging.decoding.picture import UPRIGHT, declared_orientation
from edgeseg.imaging.perceptual_hash import HashSet, dhash
from edgeseg.json_text import to_json
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import HELD_OUT, Site


@dataclass(frozen=True, kw_only=True)
class RecordOrigin:
    """The account of a frame by its device: a line of `rounds/records.jsonl`.

    The fields are those of `edgeseg.runtime.framelog.record_format.RecordMetadata`, and:

    Attributes:
        frame: The id of the frame at the site.
        record: The name of the record on the device.
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
    """Numbers of records by what was done with them, under the keys of `state.json`.

    Attributes:
        seen: Records found.
        added: Those that are new frames of the site.
        known: Those that were there already.
        judged: Those left out because they are near-copies of val or gate frames, by which models
            are judged and which must not train.
        poor: Those left out because the device flagged the picture as black, saturated or frozen.
        damaged: One sentence for each record that could not be used.
    """

    seen: int = 0
    added: int = 0
    known: int = 0
    judged: int = 0
    poor: int = 0
    damaged: tuple[str, ...] = ()


def check_log_folders(folders: Sequence[Path]) -> None:
    """Check that each is a folder.

    Raises:
        AdaptError: One is not.
    """
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise AdaptError(
                f"the log folder {folder} {what}; name the one that `edgeseg infer --log` wrote"
            )


def pull_records(site: Site, folders: Sequence[Path], report: ProgressReporter) -> PullResult:
    """Copy the records of `folders` into the site.

    Images are written first, then `records.jsonl`, then the index, so that a frame in the index
    always has the others.

    Raises:
        AdaptError: A folder is missing, or `records.jsonl` is damaged.
        FrameLogError: A folder is no frame log.
        DataError: The site's index is damaged, or another process adds to the site.
    """
    check_log_folders(folders)
    paths = [path for folder in folders for path in iter_records(folder)]
    counts: Counter[str] = Counter(seen=len(paths))
    damaged: list[str] = []
    report.start("records", len(paths))
    with open_site_writer(site) as writer:
        origins = load_origins(site)
        held_out = HashSet(
            [int(frame.hash, 16) for frame in writer.frames() if frame.split in HELD_OUT]
        )
        for path in paths:
            report.advance(1)
            try:
                counts[_import_record(writer, path, held_out, origins)] += 1
            except FrameLogError as error:
                # A record that is gone was evicted by the log between the listing and the reading.
                if path.exists():
                    damaged.append(str(error))
                    report.say(f"skipped: {error}")
        if counts["added"]:
            lines = (to_json(dataclasses.asdict(origin)) + "\n" for origin in origins.values())
            write_atomic(_origins_path(site), "".join(lines).encode())
            writer.save()
    report.stop()
    return PullResult(**counts, damaged=tuple(damaged))


def _import_record(
    writer: SiteWriter, path: Path, held_out: HashSet, origins: dict[str, RecordOrigin]
) -> str:
    """Put one record into the site and its origin into `origins`.

    Returns:
        The field of `PullResult` under which it is counted.

    Raises:
        FrameLogError: The record is damaged.
    """
    record = read_record(path)
    header = record.header
    content = content_digest(record.parts["image"])
    if writer.find_by_content(content) is not None:
        return "known"
    if header.flags:
        return "poor"
    image = record.image()
    image_hash = dhash(image)
    if held_out.has_within(image_hash, writer.site.config.data.near_duplicate):
        return "judged"
    stored = record.parts["image"]
    frame = writer.put_image(
        image,
        stored if declared_orientation(stored) == UPRIGHT else None,  # a record's is ignored
        camera=safe_camera_name(header.camera),
        time=max(0.0, header.monotonic_ns / 1e9),
        source=f"{header.device}:{header.boot:06d}",
        origin="log",
        digest=content,
        image_hash=image_hash,
    )
    shared = header.model_dump(include={field.name for field in dataclasses.fields(RecordOrigin)})
    origins[frame.id] = RecordOrigin(frame=frame.id, record=record.name, **shared)
    return "added"


def safe_camera_name(text: str) -> str:
    """Return a device's name of its camera, made safe as a part of file names."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:40]
    return name or DEFAULT_CAMERA


def load_origins(site: Site) -> dict[str, RecordOrigin]:
    """Return what devices said about frames, by frame id.

    Raises:
        AdaptError: The file is damaged.
    """
    path = _origins_path(site)
    try:
        origins = [
            RecordOrigin(**json.loads(line)) for line in path.read_text("utf-8").splitlines()
        ]
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError):
        raise AdaptError(
            f"{path} is damaged; move it away, the frames stay but their scores are lost"
        ) from None
    return {origin.frame: origin for origin in origins}


def _origins_path(site: Site) -> Path:
    return site.root / "rounds" / "records.jsonl"
