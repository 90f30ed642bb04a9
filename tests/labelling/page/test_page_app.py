"""What the page's server answers: drafts, pictures, the queue, and refusals in sentences."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from starlette.testclient import TestClient

from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.frame_marks import mark_frame
from edgeseg.labelling.starting_masks import StartingMask
from edgeseg.labelling.worth import build_queue
from edgeseg.site import Frame, Site
from tests.labelling.label_sites import SIZE, edit, empty, make_label_site, write_site_mask
from tests.labelling.page.page_clients import message, page_client


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_label_site(tmp_path / "pond")


@pytest.fixture
def client(site: Site) -> TestClient:
    return page_client(site)


def opened(client: TestClient, frame_id: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"/api/frames/{frame_id}/open", json=message(**more))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def write(client: TestClient, frame_id: str, **event: Any) -> Any:
    return client.post(f"/api/frames/{frame_id}/events", json={"tab": "tab-1", **event})


def test_the_page_and_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html") and "main.js" in page.text
    for name, kind in (("main.js", "text/javascript"), ("page.css", "text/css")):
        assert client.get(f"/static/{name}").headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/app.py",
        "/static/",
        "/api/frames/..%2f..%2fedgeseg.toml/image",
        "/api/frames/%2e%2e/image",
        "/api/frames/frames%2fcam%2fx/image",
        "/api/frames/%00/thumbnail",
        "/api/queue/..%2f",
        "/edgeseg.toml",
    ],
)
def test_addresses_are_no_paths(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404) and "classes" not in answer.text


def test_a_frame_is_opened_drawn_on_and_opened_again(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    view = opened(client, frame_id)
    assert (view["height"], view["width"], view["origin"]) == (*SIZE, "empty")
    assert write(client, frame_id, **edit(0, "a", (1, 2, 5, 6), 2)).json() == {"revision": 1}
    expected = empty()
    expected[2:8, 1:6] = 2
    again = opened(client, frame_id)
    assert np.array_equal(decode_text(again["runs"], *SIZE), expected)
    (step,) = again["undo"]
    assert step["box"] == [1, 2, 5, 6] and step["tool"] == "brush"
    assert (decode_text(step["before"], 6, 5) == 255).all()
    rows = client.get("/api/queue/footage").json()
    assert {row["state"] for row in rows["frames"]} == {"new", "draft"} and rows["left"] == 4


def test_the_second_tab_is_told_and_may_take_over(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    opened(client, frame_id)
    view = opened(client, frame_id, tab="tab-2", person="Bob")
    assert view["holder"] == "Ada"
    refused = write(client, frame_id, **{**edit(0, "a", (0, 0, 2, 2), 1), "tab": "tab-2"})
    assert refused.status_code == 409 and refused.json()["kind"] == "held"
    assert opened(client, frame_id, tab="tab-2", person="Bob", force=True)["holder"] is None
    lost = write(client, frame_id, **edit(0, "b", (0, 0, 2, 2), 1))
    assert lost.status_code == 409 and lost.json()["person"] == "Bob"
    told = client.post("/api/status", json=message(frame=frame_id))
    assert told.status_code == 409 and "Bob draws on this frame" in told.json()["error"]
    client.post("/api/leave", json=message(frame=frame_id, tab="tab-2"))
    assert write(client, frame_id, **edit(0, "c", (0, 0, 2, 2), 1)).status_code == 200


BROKEN: list[dict[str, Any]] = [
    {"revision": -1},
    {"revision": "0"},
    {"revision": 0.5},
    {"kind": "start"},
    {"kind": "delete"},
    {"tool": "../x"},
    {"tool": "x" * 30},
    {"box": [0, 0, 4]},
    {"box": [0, 0, -4, 4]},
    {"box": [0, 0, 1 << 30, 1 << 30]},
    {"box": [0, 0, 4000, 4000]},
    {"runs": "!!"},
    {"runs": ""},
    {"name": "../../x"},
    {"name": ""},
    {"tab": "a b"},
    {"person": "x" * 100},
    {"split": "nowhere"},
    {"more": 1},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_broken_events_are_refused(client: TestClient, site: Site, change: dict[str, Any]) -> None:
    frame_id = site.frames()[0].id
    answer = write(client, frame_id, **{**edit(0, "a", (0, 0, 4, 4), 1), **change})
    assert answer.status_code == 400 and "load the page again" in answer.json()["error"]
    assert opened(client, frame_id)["revision"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 2000, b"\xff\xfe"])
def test_what_is_no_message_is_refused(client: TestClient, site: Site, body: bytes) -> None:
    frame_id = site.frames()[0].id
    for what in ("open", "events", "mark", "contour"):
        answer = client.post(f"/api/frames/{frame_id}/{what}", content=body)
        assert answer.status_code == 400 and "error" in answer.json()


def test_what_is_larger_than_any_mask_is_not_even_read(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    read = 0

    def endless() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 65536

    answer = client.post(f"/api/frames/{frame_id}/events", content=endless())
    assert answer.status_code == 400 and "larger than" in answer.json()["error"]


def test_pictures(client: TestClient, site: Site) -> None:
    frame = site.frames()[0]
    picture = client.get(f"/api/frames/{frame.id}/image")
    assert picture.content == site.path(frame.image).read_bytes()
    assert picture.headers["content-type"] == "image/png"
    small = client.get(f"/api/frames/{frame.id}/thumbnail")
    assert PillowImage.open(io.BytesIO(small.content)).size == (256, 192)
    site.path(frame.image).unlink()
    gone = client.get(f"/api/frames/{frame.id}/image")
    assert gone.status_code == 400 and "add the footage again" in gone.json()["error"]


def test_predictions_and_how_unsure_they_are(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_id = site.frames()[0].id
    assert client.get(f"/api/frames/{frame_id}/prediction").json() == {"runs": "", "model": ""}
    answer = client.get(f"/api/frames/{frame_id}/entropy")
    assert answer.status_code == 400 and "edgeseg train" in answer.json()["error"]
    mask = np.zeros(SIZE, np.uint8)
    entropy = np.full(SIZE, 0.5, np.float32)

    def of(self: Predictions, frame: Frame) -> StartingMask:
        return StartingMask(mask, entropy, "edge exp2")

    monkeypatch.setattr(Predictions, "of", of)
    found = client.get(f"/api/frames/{frame_id}/prediction").json()
    assert found == {"runs": encode_text(mask), "model": "edge exp2"}
    picture = PillowImage.open(io.BytesIO(client.get(f"/api/frames/{frame_id}/entropy").content))
    assert picture.mode == "L" and set(np.unique(np.array(picture))) == {127}
    assert opened(client, frame_id)["origin"] == "prediction"


def test_the_frame_before(client: TestClient, site: Site) -> None:
    first, second, third, _ = site.frames()
    assert client.get(f"/api/frames/{first.id}/before").json() == {"runs": "", "frame": ""}
    mask = np.ones(SIZE, np.uint8)
    write_site_mask(site, first.id, mask)
    found = client.get(f"/api/frames/{third.id}/before").json()
    assert found == {"runs": encode_text(mask), "frame": first.id}
    write(client, second.id, **edit(0, "a", (0, 0, 2, 2), 1))
    assert client.get(f"/api/frames/{third.id}/before").json()["frame"] == second.id


def test_marks_and_queues(client: TestClient, site: Site) -> None:
    frames = site.frames()
    for frame, mark in zip(frames, ("skipped", "flagged")):
        answer = client.post(f"/api/frames/{frame.id}/mark", json={"mark": mark})
        assert answer.status_code == 204
    rows = client.get("/api/queue/flagged").json()
    assert [row["frame"] for row in rows["frames"]] == [frames[1].id]
    anew = client.get("/api/queue/footage?anew=1").json()
    assert frames[0].id not in [row["frame"] for row in anew["frames"]]
    assert all(row["reasons"] for row in anew["frames"])
    assert any("accept some that go to val" in sentence for sentence in anew["needs"])
    write_site_mask(site, frames[2].id, np.ones(SIZE, np.uint8))
    labelled = client.get("/api/queue/labelled").json()["frames"]
    assert [row["frame"] for row in labelled] == [frames[2].id]
    answer = client.get("/api/queue/best")
    assert answer.status_code == 400 and "choose footage" in answer.json()["error"]


def test_a_finished_mask_takes_the_flag_away(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    client.post(f"/api/frames/{frame_id}/mark", json={"mark": "flagged"})
    write(client, frame_id, **edit(0, "a", (0, 0, 9, 9), 1))
    assert opened(client, frame_id)["mark"] == "flagged"
    event = {"name": "b", "revision": 1, "person": "Ada", "kind": "finish", "split": "val"}
    assert write(client, frame_id, **event).json() == {"revision": 2}
    view = opened(client, frame_id)
    assert view["mark"] == "" and view["is_finished"]


def test_scissors_follow_an_edge(client: TestClient, site: Site) -> None:
    """From corner to corner of the bright block of every frame, along its upper side."""
    frame_id = site.frames()[0].id
    corners = {"start": [16, 12], "end": [31, 12]}
    answer = client.post(f"/api/frames/{frame_id}/contour", json=corners)
    points = answer.json()["points"]
    assert points[0] == [16, 12] and points[-1] == [31, 12]
    assert {x for x, _ in points} >= set(range(16, 32)) and max(abs(y - 12) for _, y in points) <= 2
    outside = client.post(f"/api/frames/{frame_id}/contour", json={"start": [0, 0], "end": [64, 0]})
    assert outside.status_code == 400 and "outside of the 64x48 frame" in outside.json()["error"]


def test_a_full_disk_is_told_and_the_step_comes_again(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_id = site.frames()[0].id

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", str(site.root / "labelling"))

    with monkeypatch.context() as context:
        context.setattr("edgeseg.labelling.drafts.journal.os.pwrite", full)
        answer = write(client, frame_id, **edit(0, "a", (0, 0, 4, 4), 1))
        assert answer.status_code == 507 and "make room" in answer.json()["error"]
    assert write(client, frame_id, **edit(0, "a", (0, 0, 4, 4), 1)).json() == {"revision": 1}


def test_a_queue_shows_its_own_frames_while_another_is_ordered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow_build(site: Site, source: str, **more: Any) -> Any:
        if source == "footage":
            go_on.wait(30)
        return build_queue(site, source, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("edgeseg.labelling.page.queue_rows.build_queue", slow_build)
    monkeypatch.setattr("edgeseg.labelling.page.queue_rows.PATIENCE", 0.05)
    first, second = site.frames()[:2]
    mark_frame(site, first.id, "skipped")
    mark_frame(site, second.id, "flagged")
    client = page_client(site)
    footage = client.get("/api/queue/footage").json()
    assert not footage["is_ordered"]
    assert first.id not in [row["frame"] for row in footage["frames"]]
    monkeypatch.setattr("edgeseg.labelling.page.queue_rows.PATIENCE", 20)
    flagged = client.get("/api/queue/flagged").json()  # waits for no model
    assert flagged["is_ordered"] and [row["frame"] for row in flagged["frames"]] == [second.id]
    monkeypatch.setattr("edgeseg.labelling.page.queue_rows.PATIENCE", 0.05)
    assert client.get("/api/queue/round").json()["frames"] == []
    skipped = client.get("/api/queue/skipped").json()
    assert [row["frame"] for row in skipped["frames"]] == [first.id] and skipped["left"] == 1
    go_on.set()
    monkeypatch.setattr("edgeseg.labelling.page.queue_rows.PATIENCE", 20)
    assert client.get("/api/queue/footage").json()["is_ordered"]


def test_a_queue_that_cannot_be_ordered_is_there_in_some_order(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **more: Any) -> Any:
        raise RuntimeError("a bug")

    with monkeypatch.context() as context:
        context.setattr("edgeseg.labelling.page.queue_rows.build_queue", broken)
        rows = client.get("/api/queue/footage").json()
        assert len(rows["frames"]) == 4 and "RuntimeError: a bug" in rows["trouble"]
    rows = client.get("/api/queue/footage?anew=1").json()
    assert rows["is_ordered"] and rows["trouble"] == ""


def test_steps_of_a_page_of_another_site_are_not_taken(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    own = client.get("/api/site").json()["id"]
    step = {"tab": "tab-1", **edit(0, "a", (0, 0, 4, 4), 1)}
    for address in (frame_id, "gone"):
        path = f"/api/frames/{address}/events"
        answer = client.post(path, json=step, headers={"X-Edgeseg-Site": "other"})
        assert answer.status_code == 421 and "of another site" in answer.json()["error"]
    path = f"/api/frames/{frame_id}/events"
    assert client.post(path, json=step, headers={"X-Edgeseg-Site": own}).status_code == 200
