"""Questions for frames: every filter and order, with the counts beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.errors import DataError
from edgeseg.imaging.image_codec import encode_png
from edgeseg.labelling.browse import FrameQuery, SiteFrames, open_site_frames, parse_moment
from edgeseg.labelling.frame_marks import mark_frame
from edgeseg.labelling.json_lines import append_line
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site
from tests.labelling.browse.browse_sites import MODEL, NOON, make_browse_site
from tests.labelling.label_sites import NAMES, SIZE, write_site_mask


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_browse_site(tmp_path / "pond")


@pytest.fixture
def looks(site: Site) -> SiteFrames:
    opened = open_site_frames(site)
    opened.read_labels(NullReporter())
    return opened


def query(**given: Any) -> FrameQuery:
    lists = {name: value for name, value in given.items() if isinstance(value, list)}
    single = {name: value for name, value in given.items() if isinstance(value, str)}
    if "class_" in lists:
        lists["class"] = lists.pop("class_")
    return FrameQuery.parse(class_names=NAMES, lists=lists, single=single)


def places(looks: SiteFrames, **given: Any) -> list[int]:
    """The frames of a question, as places in the index."""
    return [int(place) for place in looks.ask(query(**given)).places]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"camera": ["yard"]}, [6, 7]),
        ({"camera": ["yard", "cam"]}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"camera": ["nowhere"]}, []),
        ({"split": ["labelled", "val"]}, [0, 1, 2]),
        ({"origin": ["log"]}, [6, 7]),
        ({"class_": ["water"]}, [0, 1, 3]),
        ({"class_": ["water"], "seen": "label"}, [0, 1]),
        ({"class_": ["water"], "seen": "prediction"}, [3]),
        ({"class_": ["water", "ground"]}, [0]),
        ({"class_": ["bank"], "split": ["val"]}, [2]),
        ({"since": "1:00", "until": "1:30"}, [2, 3]),
        ({"since": "2026-03-04 12:05"}, [7]),
        ({"until": "2026-03-04T12:05Z"}, [6]),
        ({"since": "2026-03-05"}, []),
        ({"text": "CLIP.mp4 0:30"}, [1]),
        ({"text": "2026-03-04 12:10"}, [7]),
        ({"sort": "entropy"}, [4, 3, 0, 1, 2, 5, 6, 7]),
        ({"sort": "score"}, [7, 6, 0, 1, 2, 3, 4, 5]),
        ({"sort": "newest", "origin": ["log"]}, [7, 6]),
    ],
)
def test_filters_and_orders(looks: SiteFrames, given: dict[str, Any], expected: list[int]) -> None:
    assert places(looks, **given) == expected


def test_counts_are_those_of_the_other_filters(looks: SiteFrames) -> None:
    counts = looks.ask(query(split=["val"], camera=["cam"])).counts
    assert counts["split"]["val"] == 1 and sum(counts["split"].values()) == 6
    assert counts["camera"] == {"cam": 1, "yard": 0}
    assert counts["class"] == {"ground": 0, "water": 0, "bank": 1}
    assert looks.ask(query(class_=["water"])).counts["class"] == {
        "ground": 1,
        "water": 3,
        "bank": 0,
    }


def test_a_row_tells_all(looks: SiteFrames, site: Site) -> None:
    answer = looks.ask(query())
    (last,) = looks.rows(answer, 7, 5)
    assert last["name"] == "yard, 2026-03-04 12:10:00 UTC" and last["time"] == NOON + 600
    assert last["score"] == 0.4 and last["entropy"] is None and not last["is_labelled"]
    unsure = looks.rows(answer, 4, 1)[0]
    assert (unsure["entropy"], unsure["contradiction"]) == (0.4, 0.2)
    assert unsure["predicted"] == ["bank"] and unsure["classes"] == []
    assert looks.rows(answer, 0, 1)[0]["classes"] == ["ground", "water"]
    about = looks.about()
    assert about["model"] == MODEL and about["looked_at"] == 2 and about["with_clock"] == 2
    assert looks.row("nobody") is None
    told = looks.row(site.frames()[6].id)
    assert told is not None and told["device"]["device"] == "box-7" and told["story"] == []


def test_the_story_of_a_label_is_told_newest_first(looks: SiteFrames, site: Site) -> None:
    frame_id = site.frames()[0].id
    history = site.root / "labelling" / "history.jsonl"
    first = {
        "frame": frame_id,
        "person": "Ada",
        "time": 10.0,
        "origin": "prediction",
        "model": MODEL,
    }
    more = {"changed": 0.02, "seconds": 41.0, "steps": {"brush": 3, "undo": 1}, "split": "auto"}
    append_line(history, {**first, **more})
    append_line(history, {"frame": frame_id, "time": 20.0, "person": 7, "steps": "many"})
    append_line(history, {"frame": frame_id, "time": "soon"})
    story = (looks.row(frame_id) or {})["story"]
    assert [entry["time"] for entry in story] == [20.0, 10.0]
    assert story[0]["steps"] is None and story[0]["changed"] is None
    assert story[1] == {
        "person": "Ada",
        "time": 10.0,
        "origin": "prediction",
        "model": MODEL,
        **more,
    } | {"steps": 4}
    assert places(looks, sort="labelled")[0] == 0


def test_marks_and_new_labels_are_seen_at_once(looks: SiteFrames, site: Site) -> None:
    frame_id = site.frames()[5].id
    assert places(looks, mark=["flagged"]) == []
    mark_frame(site, frame_id, "flagged")
    assert places(looks, mark=["flagged"]) == [5]
    mark_frame(site, frame_id, "skipped")
    assert places(looks, mark=["flagged"]) == [] and places(looks, mark=["skipped"]) == [5]
    write_site_mask(site, frame_id, np.full(SIZE, 2, np.uint8))
    assert 5 in places(looks, **{"class_": ["bank"], "seen": "label"})


def test_labels_are_read_once_and_again_when_they_change(
    site: Site, looks: SiteFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(site: Site, frame: Frame) -> list[int]:
        read.append(frame.id)
        return frame_class_pixels(site, frame)

    monkeypatch.setattr("edgeseg.labelling.browse.label_classes.frame_class_pixels", counted)
    again = open_site_frames(site)
    again.read_labels(NullReporter())
    assert read == [] and places(again, **{"class_": ["ground"]}) == [0]
    frame = site.frames()[0]
    assert frame.mask is not None
    site.path(frame.mask).write_bytes(encode_png(np.full((SIZE[0], SIZE[1]), 2, np.uint8)))
    again.read_labels(NullReporter())
    assert read == [frame.id]
    (site.root / "cache/browse/label-classes.json").write_text('{"format": 1, "classes": 3')
    read.clear()
    open_site_frames(site).read_labels(NullReporter())
    assert len(read) == 3
    site.path(frame.mask).write_bytes(b"no picture")
    last = open_site_frames(site)
    last.read_labels(NullReporter())
    assert 0 not in places(last, **{"class_": ["bank"], "seen": "label"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", (False, 90.0)),
        ("90.5 s", (False, 90.5)),
        ("1:30", (False, 90.0)),
        ("1:01:01.5", (False, 3661.5)),
        ("2026-03-04", (True, NOON - 43200)),
        ("2026-03-04 12:00 UTC", (True, NOON)),
        ("2026-03-04T12:00:33Z", (True, NOON + 33)),
    ],
)
def test_moments(text: str, expected: tuple[bool, float]) -> None:
    assert parse_moment(text) == expected


@pytest.mark.parametrize("text", ["soon", "2026-13-04", "1:2:3:4", "-5", "1e9", "9" * 400])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(DataError, match="is no time; write a date in UTC as"):
        parse_moment(text)


@pytest.mark.parametrize(
    "given", [{"split": ["test"]}, {"class_": ["lava"]}, {"sort": "size"}, {"seen": "never"}]
)
def test_what_is_no_choice_is_told(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"there is no \w+ '\w+'; choose "):
        query(**given)
