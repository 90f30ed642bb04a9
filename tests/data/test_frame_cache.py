"""The cache of frames: the same pixels as without, whatever is killed, damaged or changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.data.frame_cache import cache_bytes_used
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.errors import DataError
from edgeseg.site import Site
from tests.helpers.sites import (
    CACHED_SIZE,
    LABELLED_FRAMES,
    RECORD_BYTES,
    all_bytes,
    bytes_without_cache,
    cache_files,
    labelled_reader,
    make_noise_site,
    watch_decoding,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_noise_site(tmp_path / "site")


def test_every_frame_is_decoded_once_for_all_runs_and_comes_back_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bytes_without_cache(site)
    assert not cache_files(site)
    decoded_ids = watch_decoding(monkeypatch)
    first = labelled_reader(site)
    assert cache_bytes_used(site) < RECORD_BYTES  # sparse: nothing is written before it is known
    assert all_bytes(first) == expected and len(decoded_ids) == LABELLED_FRAMES
    assert (
        all_bytes(first) == expected
        and all_bytes(labelled_reader(site)) == expected
        and len(decoded_ids) == LABELLED_FRAMES
    )
    image, mask = first[0]
    assert (
        image.shape == (*CACHED_SIZE, 3)
        and mask.shape == CACHED_SIZE
        and image.dtype == mask.dtype == np.uint8
    )
    assert (
        cache_files(site)[0].stat().st_size
        == LABELLED_FRAMES * RECORD_BYTES
        <= cache_bytes_used(site)
    )
    assert (site.root / "cache" / ".gitignore").read_text() == "*\n"


def test_status_shows_what_the_cache_takes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.root)
    assert "cache/" not in CliRunner().invoke(app, ["status"]).stdout
    all_bytes(labelled_reader(site))
    assert (
        "cache/ takes 0.00 GB and may be deleted at any time"
        in CliRunner().invoke(app, ["status"]).stdout
    )


def test_a_frame_that_was_replaced_by_one_of_another_size_is_refused(site: Site) -> None:
    frame = site.frames("unlabelled")[0]
    cv2.imwrite(str(site.path(frame.image)), np.zeros((frame.height * 2, frame.width, 3), np.uint8))
    reader = SiteFrameReader(site, [frame], CACHED_SIZE)
    with pytest.raises(DataError, match="when it was added"):
        reader[0]


def test_unlabelled_frames_are_kept_without_masks(site: Site) -> None:
    frames = site.frames("unlabelled")
    for _ in range(2):
        image, mask = SiteFrameReader(site, frames, CACHED_SIZE)[1]
        assert (mask == 255).all() and image.any()
    assert cache_files(site)[0].stat().st_size == 2 * (
        RECORD_BYTES - CACHED_SIZE[0] * CACHED_SIZE[1]
    )


@pytest.mark.parametrize("what", ["image", "mask", "classes"])
def test_a_changed_frame_mask_or_number_of_classes_is_read_anew(site: Site, what: str) -> None:
    before = all_bytes(labelled_reader(site))
    if what == "classes":
        text = (site.root / "edgeseg.toml").read_text()
        (site.root / "edgeseg.toml").write_text(text.rsplit("[[classes]]", 1)[0])
        with pytest.raises(DataError, match="holds class 2 but the site has 2 classes"):
            all_bytes(labelled_reader(Site.open(site.root)))
        return
    name = "3.png" if what == "image" else "3-mask.png"
    old = cv2.imread(str(site.root / name), cv2.IMREAD_UNCHANGED)
    assert old is not None
    cv2.imwrite(str(site.root / name), np.ascontiguousarray(old[::-1]))
    after = all_bytes(labelled_reader(site))
    assert after == bytes_without_cache(site) != before


@pytest.mark.parametrize(
    "place", [0, 5000, RECORD_BYTES - 5, LABELLED_FRAMES * (RECORD_BYTES - 4) + 4 * 2 + 1]
)
def test_a_damaged_record_or_checksum_is_read_anew_and_mended(
    site: Site, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = all_bytes(labelled_reader(site))
    (path,) = cache_files(site)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)
    decoded_ids = watch_decoding(monkeypatch)
    assert all_bytes(labelled_reader(site)) == expected and len(decoded_ids) == 1
    assert all_bytes(labelled_reader(site)) == expected and len(decoded_ids) == 1


@pytest.mark.parametrize("keep", [0, 1, RECORD_BYTES + 7, LABELLED_FRAMES * RECORD_BYTES - 3])
def test_a_file_cut_short_or_full_of_holes_gives_no_wrong_frame(site: Site, keep: int) -> None:
    expected = all_bytes(labelled_reader(site))
    (path,) = cache_files(site)
    os.truncate(path, keep)
    assert all_bytes(labelled_reader(site)) == expected
    with path.open(
        "r+b"
    ) as file:  # what a power cut does: checksums came to the disk, pages did not
        file.write(bytes(keep))
    assert all_bytes(labelled_reader(site)) == expected


def test_a_mapped_file_deleted_in_use_does_no_harm(site: Site) -> None:
    frames = labelled_reader(site)
    expected = all_bytes(frames)
    shutil.rmtree(site.root / "cache")
    assert all_bytes(frames) == expected
    assert all_bytes(labelled_reader(site)) == expected and len(cache_files(site)) == 1


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
    expected = bytes_without_cache(site)
    both = [filler(site, 200) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].split() for process in both]
    assert answers[0] == answers[1] and [process.returncode for process in both] == [0, 0]
    assert len(cache_files(site)) == 1 and all_bytes(labelled_reader(site)) == expected


def test_kill_9_while_filling_leaves_no_damaged_frame(site: Site) -> None:
    expected = bytes_without_cache(site)
    process = filler(site, 10**9)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(cache_files(site)) == 1 and all_bytes(labelled_reader(site)) == expected


def test_kill_9_between_record_and_checksum(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, at every place where it could matter: a write that stops half-way, then a process
    that is gone.
    """
    expected = bytes_without_cache(site)
    pwrite = os.pwrite
    for share in (0.0, 0.3, 1.0):
        shutil.rmtree(site.root / "cache", ignore_errors=True)
        cut = labelled_reader(site)

        def torn(handle: int, data: bytes, place: int, share: float = share) -> int:
            pwrite(handle, bytes(data)[: int(len(data) * share)] if len(data) > 4 else b"", place)
            return len(data)

        monkeypatch.setattr(os, "pwrite", torn)
        all_bytes(cut)
        monkeypatch.setattr(os, "pwrite", pwrite)
        assert all_bytes(labelled_reader(site)) == expected
