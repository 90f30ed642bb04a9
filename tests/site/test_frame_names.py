"""The names of frames tell the camera, and when or where in its source a frame was taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.config import SiteConfig
from edgeseg.labelling.browse.device_records import read_device_records
from edgeseg.site import Frame, FrameNames, FrameOrigin, Site, read_clock_times


def frame(
    source: str, time: float, origin: FrameOrigin = "footage", frame_id: str = "yard-1"
) -> Frame:
    return Frame(
        id=frame_id,
        camera="yard",
        time=time,
        source=source,
        split="unlabelled",
        image="frames/yard/yard-1.jpg",
        mask=None,
        height=4,
        width=4,
        hash="0" * 16,
        origin=origin,
    )


CLASSES = [{"name": "a", "color": "#000000"}, {"name": "b", "color": "#ffffff"}]


def site_at(root: Path) -> Site:
    return Site(root, SiteConfig.model_validate({"classes": CLASSES}))


@pytest.mark.parametrize(
    ("source", "time", "name"),
    [
        ("footage/clip.mp4", 0.0, "yard, clip.mp4 at 0:00"),
        ("footage/clip.mp4", 90.5, "yard, clip.mp4 at 1:30.5"),
        ("footage/clip.mp4", 59.96, "yard, clip.mp4 at 1:00"),
        ("/mnt/a b/clip 2.mp4", 3661.0, "yard, clip 2.mp4 at 1:01:01"),
        ("days/tuesday/0007.JPG", 7.0, "yard, tuesday/0007.JPG"),
        ("0007.png", 7.0, "yard, 0007.png"),
        ("/0007.png", 7.0, "yard, 0007.png"),
        ("C:\\days\\monday\\1.png", 7.0, "yard, monday/1.png"),
        ("rtsp://cam/live", 5.0, "yard, live at 0:05"),
    ],
)
def test_footage_names_its_source(tmp_path: Path, source: str, time: float, name: str) -> None:
    assert FrameNames(site_at(tmp_path)).of(frame(source, time)) == name


def test_damaged_lines_of_devices_cost_nothing(tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    whole = {"frame": "yard-1", "time": 1772625933.25, "clock_synced": True, "score": 0.5}
    huge = '{"frame": "yard-2", "clock_synced": true, "time": 1%s, "score": 1%s}'
    lines = [
        huge % ("0" * 400, "0" * 400),
        "[" * 100_000,
        '{"frame": "yard-3", "clock_synced": true, "time": NaN, "score": NaN}',
        "[1]",
        '{"frame": "yard-4", "clock_sy',
        json.dumps(whole),
    ]
    (tmp_path / "rounds" / "records.jsonl").write_text("\n".join(lines))
    assert read_clock_times(site_at(tmp_path)) == {"yard-1": 1772625933.25}
    assert list(read_device_records(site_at(tmp_path))) == ["yard-1"]


def test_what_came_home_has_a_date_where_the_clock_was_set(tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    entries = [
        {"frame": "yard-1", "time": 1772625933.25, "clock_synced": True},
        {"frame": "yard-2", "time": 12.0, "clock_synced": False},
        {"frame": "yard-3", "time": 1e300, "clock_synced": True},
        {"frame": "yard-4", "time": "soon", "clock_synced": True},
    ]
    lines = [*map(json.dumps, entries), "{torn"]
    (tmp_path / "rounds" / "records.jsonl").write_text("\n".join(lines))
    names = FrameNames(site_at(tmp_path))
    told = [
        names.of(frame("box-7:000003", 1267.0, "log", f"yard-{number}")) for number in range(1, 5)
    ]
    since_start = "yard, start 3 of box-7 at 21:07"
    assert told[0] == "yard, 2026-03-04 12:05:33 UTC"
    assert told[1] == since_start and told[3] == since_start
    assert told[2] == "yard, 9999-12-31 23:59:59 UTC"
    assert names.clock(frame("clip.mp4", 1.0, frame_id="yard-1")) is None
