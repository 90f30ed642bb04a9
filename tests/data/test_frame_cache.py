"""The cache of decoded frames: the same pixels as without, whatever is killed, damaged, changed,
shared or full.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.data import frame_cache as cache
from edgeseg.data.frame_cache import FrameCache, cache_bytes_used
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site

SIZE = (32, 64)
RECORD = 32 * 64 * 4 + 4
FRAMES = 6


class Said(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Six labelled and two unlabelled frames of noise, larger than they are trained at."""
    root = tmp_path / "site"
    root.mkdir()
    classes = "".join(f'[[classes]]\nname = "c{i}"\ncolor = "#00000{i}"\n' for i in range(3))
    (root / "edgeseg.toml").write_text(classes)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(FRAMES + 2):
        masked = number < FRAMES
        cv2.imwrite(str(root / f"{number}.png"), rng.integers(0, 256, (48, 80, 3), np.uint8))
        if masked:
            cv2.imwrite(str(root / f"{number}-mask.png"), rng.integers(0, 3, (48, 80), np.uint8))
        frames.append(
            Frame(
                id=f"f{number}",
                camera="cam",
                time=float(number),
                source="s",
                split="labelled" if masked else "unlabelled",
                image=f"{number}.png",
                mask=f"{number}-mask.png" if masked else None,
                height=48,
                width=80,
                hash="0" * 16,
                origin="labels",
            )
        )
    site = Site.open(root)
    site.save_frames(frames)
    return site


def bounded(site: Site, bound: int) -> Site:
    return Site.open(site.root, [f"data.cache_bytes={bound}"])


def store(site: Site, said: Said | None = None, size: tuple[int, int] = SIZE) -> SiteFrameReader:
    return SiteFrameReader(site, site.frames("labelled"), size, report=said)


def contents(frames: SiteFrameReader) -> bytes:
    return b"".join(part.tobytes() for index in range(len(frames)) for part in frames[index])


def decoded(site: Site, size: tuple[int, int] = SIZE) -> bytes:
    """What the frames hold without a cache."""
    return contents(store(bounded(site, 0), size=size))


def files(site: Site) -> list[Path]:
    return sorted((site.root / "cache").glob("*.u8"))


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the frames that are decoded from now on."""
    from edgeseg.data import frame_reader as dataset

    seen: list[str] = []
    read = dataset.read_site_frame

    def watched(site: Site, frame: Frame) -> object:
        seen.append(frame.id)
        return read(site, frame)

    monkeypatch.setattr(dataset, "read_site_frame", watched)
    return seen


def test_every_frame_is_decoded_once_for_all_runs_and_comes_back_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = decoded(site)
    assert not files(site)
    seen = reads(monkeypatch)
    first = store(site)
    assert cache_bytes_used(site) < RECORD  # sparse: nothing is written before it is known
    assert contents(first) == wanted and len(seen) == FRAMES
    assert contents(first) == wanted and contents(store(site)) == wanted and len(seen) == FRAMES
    image, mask = first[0]
    assert (
        image.shape == (*SIZE, 3) and mask.shape == SIZE and image.dtype == mask.dtype == np.uint8
    )
    assert files(site)[0].stat().st_size == FRAMES * RECORD <= cache_bytes_used(site)
    assert (site.root / "cache" / ".gitignore").read_text() == "*\n"


def test_status_shows_what_the_cache_takes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.root)
    assert "cache/" not in CliRunner().invoke(app, ["status"]).stdout
    contents(store(site))
    assert (
        "cache/ takes 0.00 GB and may be deleted at any time"
        in CliRunner().invoke(app, ["status"]).stdout
    )


def test_unlabelled_frames_are_kept_without_masks(site: Site) -> None:
    frames = site.frames("unlabelled")
    for _ in range(2):
        image, mask = SiteFrameReader(site, frames, SIZE)[1]
        assert (mask == 255).all() and image.any()
    assert files(site)[0].stat().st_size == 2 * (RECORD - SIZE[0] * SIZE[1])


@pytest.mark.parametrize("what", ["image", "mask", "classes"])
def test_a_changed_frame_mask_or_number_of_classes_is_read_anew(site: Site, what: str) -> None:
    before = contents(store(site))
    if what == "classes":
        text = (site.root / "edgeseg.toml").read_text()
        (site.root / "edgeseg.toml").write_text(text.rsplit("[[classes]]", 1)[0])
        with pytest.raises(DataError, match="holds class 2 but the site has 2 classes"):
            contents(store(Site.open(site.root)))
        return
    name = "3.png" if what == "image" else "3-mask.png"
    old = cv2.imread(str(site.root / name), cv2.IMREAD_UNCHANGED)
    assert old is not None
    cv2.imwrite(str(site.root / name), np.ascontiguousarray(old[::-1]))
    after = contents(store(site))
    assert after == decoded(site) != before


@pytest.mark.parametrize("place", [0, 5000, RECORD - 5, FRAMES * (RECORD - 4) + 4 * 2 + 1])
def test_a_damaged_record_or_checksum_is_read_anew_and_mended(
    site: Site, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = contents(store(site))
    (path,) = files(site)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)
    seen = reads(monkeypatch)
    assert contents(store(site)) == wanted and len(seen) == 1
    assert contents(store(site)) == wanted and len(seen) == 1


@pytest.mark.parametrize("keep", [0, 1, RECORD + 7, FRAMES * RECORD - 3])
def test_a_file_cut_short_or_full_of_holes_gives_no_wrong_frame(site: Site, keep: int) -> None:
    wanted = contents(store(site))
    (path,) = files(site)
    os.truncate(path, keep)
    assert contents(store(site)) == wanted
    with path.open(
        "r+b"
    ) as file:  # what a power cut does: checksums came to the disk, pages did not
        file.write(bytes(keep))
    assert contents(store(site)) == wanted


def test_a_mapped_file_deleted_in_use_does_no_harm(site: Site) -> None:
    frames = store(site)
    wanted = contents(frames)
    shutil.rmtree(site.root / "cache")
    assert contents(frames) == wanted
    assert contents(store(site)) == wanted and len(files(site)) == 1


FILL = """
import sys, time
from pathlib import Path
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.site import Site
site = Site.open(Path(sys.argv[1]))
frames = SiteFrameReader(site, site.frames("labelled"), (32, 64))
print("open", flush=True)
for turn in range(int(sys.argv[2])):
    for index in range(len(frames)):
        image, mask = frames[index]
        if turn + 1 < int(sys.argv[2]):
            frames._cache.put(index, image, mask)  # again and again: killed at any place of it
print(hash(b"".join(p.tobytes() for i in range(len(frames)) for p in frames[i])), flush=True)
"""


def filler(site: Site, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FILL, str(site.root), str(turns)]
    environment = os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_fill_one_cache_together(site: Site) -> None:
    wanted = decoded(site)
    both = [filler(site, 200) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].split() for process in both]
    assert answers[0] == answers[1] and [process.returncode for process in both] == [0, 0]
    assert len(files(site)) == 1 and contents(store(site)) == wanted


def test_kill_9_while_filling_leaves_no_damaged_frame(site: Site) -> None:
    wanted = decoded(site)
    process = filler(site, 10**9)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(files(site)) == 1 and contents(store(site)) == wanted


def test_kill_9_between_record_and_checksum(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, at every place where it could matter: a write that stops half-way, then a process
    that is gone.
    """
    wanted = decoded(site)
    pwrite = os.pwrite
    for share in (0.0, 0.3, 1.0):
        shutil.rmtree(site.root / "cache", ignore_errors=True)
        cut = store(site)

        def torn(handle: int, data: bytes, place: int, share: float = share) -> int:
            pwrite(handle, bytes(data)[: int(len(data) * share)] if len(data) > 4 else b"", place)
            return len(data)

        monkeypatch.setattr(os, "pwrite", torn)
        contents(cut)
        monkeypatch.setattr(os, "pwrite", pwrite)
        assert contents(store(site)) == wanted


def test_a_disk_that_fills_up_is_said_once_and_frames_stay_in_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, said = decoded(site), Said()
    seen = reads(monkeypatch)
    frames = store(site, said)
    put = FrameCache.put

    def full(self: FrameCache, index: int, image: Image, mask: Image) -> None:
        if index > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, index, image, mask)

    monkeypatch.setattr(FrameCache, "put", full)
    assert contents(frames) == contents(frames) == wanted and len(seen) == FRAMES
    assert len(said.lines) == 1 and "No space left" in said.lines[0]


def test_a_short_write_counts_as_a_full_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    frames = store(site, said)
    monkeypatch.setattr(os, "pwrite", lambda handle, data, place: len(data) - 1)
    contents(frames)
    assert len(said.lines) == 1 and "No space left" in said.lines[0]


def test_a_folder_that_cannot_be_written_means_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said()
    (site.root / "cache").write_text("in the way")
    frames = store(site, said)
    seen = reads(monkeypatch)
    assert contents(frames) == contents(frames) and len(seen) == FRAMES
    assert len(said.lines) == 1 and "labelled frames are kept in memory" in said.lines[0]
    (site.root / "cache").unlink()

    def refuse(path: object, flags: int, mode: int = 0) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)  # a test may run as root, whom no permission stops
    assert contents(store(site, said)) == contents(frames)
    assert len(said.lines) == 2 and "Read-only file system" in said.lines[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_means_memory(site: Site) -> None:
    wanted, said = decoded(site), Said()
    site.root.chmod(0o555)
    try:
        assert contents(store(site, said)) == wanted and "Permission denied" in said.lines[0]
    finally:
        site.root.chmod(0o755)


def test_nothing_is_cached_or_said_with_0(site: Site) -> None:
    said = Said()
    contents(store(bounded(site, 0), said))
    assert not (site.root / "cache").exists() and not said.lines and cache_bytes_used(site) == 0


def test_frames_that_do_not_fit_stay_in_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    seen = reads(monkeypatch)
    frames = store(bounded(site, FRAMES * RECORD - 1), said)
    contents(frames)
    contents(frames)
    assert len(seen) == FRAMES and not files(site) and "data.cache_bytes" in said.lines[0]


def test_a_disk_without_room_is_left_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    free = SimpleNamespace(free=cache.DISK_RESERVE + FRAMES * RECORD - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    contents(store(site, said))
    assert not files(site) and "to spare; make room" in said.lines[0]
    free.free += 1
    assert (
        contents(store(site, said)) == decoded(site)
        and len(files(site)) == 1
        and len(said.lines) == 1
    )


def test_the_longest_unused_caches_go_first_and_those_in_use_stay(site: Site) -> None:
    roomy = bounded(site, 10**6)
    paths = []
    for number, size in enumerate([(32, 32), (32, 64), (64, 32), (32, 96)]):  # 1, 2, 2 and 3 parts
        before = set(files(site))
        contents(store(roomy, size=size))
        (made,) = set(files(site)) - before
        os.utime(made, (number, number))
        paths.append(made)
    eight = sum(path.stat().st_size for path in paths)
    contents(store(roomy, size=(32, 32)))  # used again: now the youngest
    held = store(roomy, size=(32, 64))
    os.utime(paths[1], (1, 1))
    said = Said()
    contents(
        store(bounded(site, eight * 5 // 8), said, size=(64, 64))
    )  # 4 parts more beside 2 in use: in vain
    assert "beside the caches in use" in said.lines[0] and len(files(site)) == 4
    contents(store(bounded(site, eight * 7 // 8), size=(64, 64)))
    assert len(files(site)) == 3 and set(paths) & set(files(site)) == {paths[0], paths[1]}
    contents(store(bounded(site, eight * 6 // 8), size=(64, 64)))
    assert len(files(site)) == 2 and paths[1] in files(site)
    assert contents(held) == decoded(site, (32, 64))


def test_an_idle_cache_is_not_deleted_where_there_is_room(site: Site) -> None:
    for size in ((32, 32), (32, 64), (32, 32)):
        contents(store(site, size=size))
    assert len(files(site)) == 2
