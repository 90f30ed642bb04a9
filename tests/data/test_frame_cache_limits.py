"""The cache of frames on full and read-only disks, and within its limit of bytes."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeseg.data.frame_cache import DISK_RESERVE, FrameCache, cache_bytes_used
from edgeseg.imaging.array_types import Image
from edgeseg.site import Site
from tests.helpers.sites import (
    LABELLED_FRAMES,
    RECORD_BYTES,
    Messages,
    all_bytes,
    bytes_without_cache,
    cache_files,
    labelled_reader,
    make_noise_site,
    watch_decoding,
    with_cache_limit,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_noise_site(tmp_path / "site")


def test_a_disk_that_fills_up_is_said_once_and_frames_stay_in_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, messages = bytes_without_cache(site), Messages()
    decoded_ids = watch_decoding(monkeypatch)
    frames = labelled_reader(site, messages)
    put = FrameCache.put

    def full(self: FrameCache, index: int, image: Image, mask: Image) -> None:
        if index > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, index, image, mask)

    monkeypatch.setattr(FrameCache, "put", full)
    assert (
        all_bytes(frames) == all_bytes(frames) == expected and len(decoded_ids) == LABELLED_FRAMES
    )
    assert len(messages.lines) == 1 and "No space left" in messages.lines[0]


def test_a_short_write_counts_as_a_full_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Messages()
    frames = labelled_reader(site, messages)
    monkeypatch.setattr(os, "pwrite", lambda handle, data, place: len(data) - 1)
    all_bytes(frames)
    assert len(messages.lines) == 1 and "No space left" in messages.lines[0]


def test_a_folder_that_cannot_be_written_means_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = Messages()
    (site.root / "cache").write_text("in the way")
    frames = labelled_reader(site, messages)
    decoded_ids = watch_decoding(monkeypatch)
    assert all_bytes(frames) == all_bytes(frames) and len(decoded_ids) == LABELLED_FRAMES
    assert len(messages.lines) == 1 and "labelled frames are kept in memory" in messages.lines[0]
    (site.root / "cache").unlink()

    def refuse(path: object, flags: int, mode: int = 0) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)  # a test may run as root, whom no permission stops
    assert all_bytes(labelled_reader(site, messages)) == all_bytes(frames)
    assert len(messages.lines) == 2 and "Read-only file system" in messages.lines[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_means_memory(site: Site) -> None:
    expected, messages = bytes_without_cache(site), Messages()
    site.root.chmod(0o555)
    try:
        assert (
            all_bytes(labelled_reader(site, messages)) == expected
            and "Permission denied" in messages.lines[0]
        )
    finally:
        site.root.chmod(0o755)


def test_nothing_is_cached_or_said_with_0(site: Site) -> None:
    messages = Messages()
    all_bytes(labelled_reader(with_cache_limit(site, 0), messages))
    assert not (site.root / "cache").exists() and not messages.lines and cache_bytes_used(site) == 0


def test_frames_that_do_not_fit_stay_in_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Messages()
    decoded_ids = watch_decoding(monkeypatch)
    frames = labelled_reader(with_cache_limit(site, LABELLED_FRAMES * RECORD_BYTES - 1), messages)
    all_bytes(frames)
    all_bytes(frames)
    assert (
        len(decoded_ids) == LABELLED_FRAMES
        and not cache_files(site)
        and "data.cache_bytes" in messages.lines[0]
    )


def test_a_disk_without_room_is_left_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Messages()
    free = SimpleNamespace(free=DISK_RESERVE + LABELLED_FRAMES * RECORD_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    all_bytes(labelled_reader(site, messages))
    assert not cache_files(site) and "to spare; make room" in messages.lines[0]
    free.free += 1
    assert (
        all_bytes(labelled_reader(site, messages)) == bytes_without_cache(site)
        and len(cache_files(site)) == 1
        and len(messages.lines) == 1
    )


def test_the_longest_unused_caches_go_first_and_those_in_use_stay(site: Site) -> None:
    roomy = with_cache_limit(site, 10**6)
    paths = []
    for number, size in enumerate([(32, 32), (32, 64), (64, 32), (32, 96)]):  # 1, 2, 2 and 3 parts
        before = set(cache_files(site))
        all_bytes(labelled_reader(roomy, size=size))
        (made,) = set(cache_files(site)) - before
        os.utime(made, (number, number))
        paths.append(made)
    eight = sum(path.stat().st_size for path in paths)
    all_bytes(labelled_reader(roomy, size=(32, 32)))  # used again: now the youngest
    held = labelled_reader(roomy, size=(32, 64))
    os.utime(paths[1], (1, 1))
    messages = Messages()
    all_bytes(
        labelled_reader(with_cache_limit(site, eight * 5 // 8), messages, size=(64, 64))
    )  # 4 parts more beside 2 in use: in vain
    assert "beside the caches in use" in messages.lines[0] and len(cache_files(site)) == 4
    all_bytes(labelled_reader(with_cache_limit(site, eight * 7 // 8), size=(64, 64)))
    assert len(cache_files(site)) == 3 and set(paths) & set(cache_files(site)) == {
        paths[0],
        paths[1],
    }
    all_bytes(labelled_reader(with_cache_limit(site, eight * 6 // 8), size=(64, 64)))
    assert len(cache_files(site)) == 2 and paths[1] in cache_files(site)
    assert all_bytes(held) == bytes_without_cache(site, (32, 64))


def test_an_idle_cache_is_not_deleted_where_there_is_room(site: Site) -> None:
    for size in ((32, 32), (32, 64), (32, 32)):
        all_bytes(labelled_reader(site, size=size))
    assert len(cache_files(site)) == 2
