"""A journal keeps every event that was written, whatever cut its file short."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.errors import DataError
from edgeseg.labelling.drafts.journal import Journal

EVENTS = [{"kind": "edit", "revision": number, "text": "ä" * number} for number in range(4)]


def written(path: Path) -> bytes:
    journal = Journal(path)
    for event in EVENTS:
        journal.append([event])
    return path.read_bytes()


def test_events_come_back_in_their_order(tmp_path: Path) -> None:
    written(tmp_path / "a.journal")
    assert Journal(tmp_path / "a.journal").events == EVENTS


def test_cut_anywhere_it_holds_the_whole_events_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    data = written(path)
    ends = [0] + [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        journal = Journal(path)
        whole = sum(end <= length for end in ends) - 1
        assert journal.events == EVENTS[:whole]
        journal.append([{"kind": "later"}])
        assert Journal(path).events == [*EVENTS[:whole], {"kind": "later"}]


def test_zeros_at_the_end_are_what_a_power_cut_leaves(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(written(path) + bytes(100) + b"\n" + bytes(9))
    assert Journal(path).events == EVENTS


def test_damage_in_the_middle_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    data = written(path).replace(b'"revision": 1', b'"revision": 7')
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged at line 2; move it away"):
        Journal(path)
    assert path.read_bytes() == data


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.journal"
    data = written(path)
    journal = Journal(path)
    write = os.pwrite

    def half(handle: int, part: bytes, place: int) -> int:
        write(handle, part[: len(part) // 2], place)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "pwrite", half)
        with pytest.raises(OSError, match="No space"):
            journal.append([{"kind": "lost"}])
    assert path.read_bytes() == data
    journal.append([{"kind": "kept"}])
    assert Journal(path).events == [*EVENTS, {"kind": "kept"}]
