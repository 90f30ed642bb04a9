"""Records of device logs become frames of the site, each once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeseg.adapt.records.record_import import (
    PullResult,
    load_origins,
    pull_records,
    safe_camera_name,
)
from edgeseg.errors import AdaptError, FrameLogError
from edgeseg.imaging.image_codec import read_image
from edgeseg.progress import NullReporter
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import Frame, Site
from tests.helpers.pictures import encoded
from tests.helpers.rounds import make_log, make_site, scene


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


def take(site: Site, *folders: Path) -> PullResult:
    return pull_records(site, folders, NullReporter())


def logged(site: Site) -> list[Frame]:
    return [frame for frame in site.frames() if frame.origin == "log"]


def test_records_become_unlabelled_frames_with_what_the_device_said(
    site: Site, tmp_path: Path
) -> None:
    paths = make_log(tmp_path / "log", range(100, 103))
    result = take(site, tmp_path / "log")
    assert (result.seen, result.added, result.damaged) == (3, 3, ())
    frames = logged(site)
    assert {frame.split for frame in frames} == {"unlabelled"}
    for frame, seed in zip(sorted(frames, key=lambda frame: frame.time), range(100, 103)):
        picture = cv2.imread(str(site.path(frame.image)))
        assert picture is not None and picture.shape == (frame.height, frame.width, 3)
        assert np.abs(picture[..., ::-1].astype(int) - scene(seed)[0]).mean() < 8, (
            "the frame itself, but for JPEG"
        )
    origins = load_origins(site)
    assert {origin.record for origin in origins.values()} == {path.name for path in paths}
    assert sorted(origin.score for origin in origins.values()) == pytest.approx([0.88, 0.89, 0.9])
    assert {origin.device for origin in origins.values()} == {"box"}


def test_pulling_again_or_from_a_copy_changes_nothing(site: Site, tmp_path: Path) -> None:
    make_log(tmp_path / "log", range(100, 103))
    take(site, tmp_path / "log")
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    before = site.index.read_bytes(), (site.root / "rounds/records.jsonl").read_bytes()
    result = take(site, tmp_path / "log", tmp_path / "copy")
    assert (result.seen, result.known, result.added) == (6, 6, 0)
    assert (site.index.read_bytes(), (site.root / "rounds/records.jsonl").read_bytes()) == before


def test_the_records_of_two_devices_come_together(site: Site, tmp_path: Path) -> None:
    make_log(tmp_path / "one", range(100, 103))
    make_log(tmp_path / "two", range(102, 105))
    result = take(site, tmp_path / "one", tmp_path / "two")
    assert (result.added, result.known) == (5, 1), "the scene that both saw counts once"


def test_near_copies_of_val_and_gate_frames_stay_out(site: Site, tmp_path: Path) -> None:
    judged = [int(frame.id.rpartition("-")[2], 16) for frame in site.frames("val", "gate")]
    make_log(tmp_path / "log", range(min(judged), max(judged) + 1))
    make_log(tmp_path / "new", range(100, 102))
    result = take(site, tmp_path / "log", tmp_path / "new")
    assert (result.judged, result.added) == (len(judged), 2)
    hashes = [int(frame.hash, 16) for frame in site.frames("val", "gate")]
    assert all(
        (int(frame.hash, 16) ^ other).bit_count() > 4 for frame in logged(site) for other in hashes
    )


def test_damaged_records_are_named_and_the_others_come(site: Site, tmp_path: Path) -> None:
    paths = make_log(tmp_path / "log", range(100, 106))
    data = [path.read_bytes() for path in paths]
    paths[0].write_bytes(data[0][:-1])
    paths[1].write_bytes(data[1][:900] + bytes([data[1][900] ^ 1]) + data[1][901:])
    paths[2].write_bytes(b"")
    paths[3].write_bytes(data[4])
    (paths[0].parent / "notes.txt").write_text("not a record")
    said: list[str] = []

    class Listener(NullReporter):
        def say(self, message: str) -> None:
            said.append(message)

    result = pull_records(site, [tmp_path / "log"], Listener())
    assert result.added == 2
    assert len(result.damaged) == 4
    for path in paths[:4]:
        assert any(path.name in sentence for sentence in result.damaged)
        assert any(path.name in sentence for sentence in said)


def test_a_record_evicted_while_we_read_is_no_damage(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_log(tmp_path / "log", range(100, 103))

    def evict(path: Path) -> Any:
        if path == paths[1]:
            path.unlink()
        return read_record(path)

    monkeypatch.setattr("edgeseg.adapt.records.record_import.read_record", evict)
    result = take(site, tmp_path / "log")
    assert (result.added, result.damaged) == (2, ())


def test_pictures_that_the_device_flagged_stay_out(site: Site, tmp_path: Path) -> None:
    make_log(tmp_path / "log", range(100, 102), reason="flagged", flags=("black",))
    result = take(site, tmp_path / "log")
    assert (result.poor, result.added) == (2, 0)


def test_a_turned_jpeg_in_a_record_is_stored_as_the_device_saw_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(image: NDArray[np.uint8], quality: int) -> bytes:
        return encoded(Image.fromarray(image), "JPEG", 6, quality=quality)

    monkeypatch.setattr("edgeseg.runtime.framelog.record_format.encode_jpeg", turned)
    make_log(tmp_path / "log", range(100, 101))
    assert take(site, tmp_path / "log").added == 1
    [frame] = logged(site)
    stored = read_image(site.path(frame.image))
    assert stored is not None and stored.shape == (frame.height, frame.width, 3)
    assert np.abs(stored.astype(int) - scene(100)[0]).mean() < 8


def test_large_frames_are_stored_no_larger_than_the_site_says(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    small = site.config.model_copy(
        update={"data": site.config.data.model_copy(update={"max_side": 64})}
    )
    make_log(tmp_path / "log", range(100, 101))
    take(Site(site.root, small), tmp_path / "log")
    frame = logged(site)[0]
    assert (frame.height, frame.width) == (43, 64)
    picture = cv2.imread(str(site.path(frame.image)))
    assert picture is not None and picture.shape == (43, 64, 3)


def test_a_kill_before_the_index_is_written_loses_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_log(tmp_path / "log", range(100, 104))

    class Killed(BaseException):
        pass

    def kill(self: Site, frames: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Site, "save_frames", kill)
        take(site, tmp_path / "log")
    assert logged(site) == []
    assert take(site, tmp_path / "log").added == 4
    assert set(load_origins(site)) == {frame.id for frame in logged(site)}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("a file")])
def test_a_folder_that_is_none_is_told(site: Site, tmp_path: Path, make: Any) -> None:
    make(tmp_path / "log")
    with pytest.raises(AdaptError, match=r"the log folder .*log (does not exist|is a file)"):
        take(site, tmp_path / "log")


def test_a_folder_that_is_no_frame_log_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(FrameLogError, match="no frame log"):
        take(site, tmp_path / "log")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("yard-2", "yard-2"),
        ("../../etc/passwd", "etc-passwd"),
        ("rtsp://user:pw@host/1", "rtsp-user-pw-host-1"),
        ("", "camera"),
        ("...", "camera"),
        ("\x00\n", "camera"),
        ("Kamera Süd", "Kamera-S-d"),
        ("x" * 256, "x" * 40),
    ],
)
def test_camera_names_from_outside_are_safe_in_paths(given: str, name: str) -> None:
    assert safe_camera_name(given) == name
