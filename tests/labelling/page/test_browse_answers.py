"""What the server of the page to browse answers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from starlette.testclient import TestClient

from edgeseg.labelling.browse import open_site_frames
from edgeseg.labelling.browse.training_reads import TrainingReads
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.drafts.mask_runs import decode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.page.browse_answers import BrowseAnswers, browse_asgi
from edgeseg.labelling.page.frame_pictures import FramePictures
from edgeseg.labelling.page.guards import Access
from edgeseg.site import Site
from tests.labelling.browse.browse_sites import MODEL, make_browse_site
from tests.labelling.label_sites import SIZE
from tests.labelling.page.page_clients import HOME, PORT, page_client

TOKEN = "t" * 43


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_browse_site(tmp_path / "pond")


def browse_client(site: Site, access: Access | None = None) -> TestClient:
    answers = BrowseAnswers(open_site_frames(site), TrainingReads(site), can_label=False)
    pictures = FramePictures(site, FrameLookup(site), Predictions(site))
    asgi = browse_asgi(answers, pictures, access or Access(PORT))
    return TestClient(asgi, base_url=HOME, raise_server_exceptions=False)


@pytest.fixture
def client(site: Site) -> TestClient:
    return browse_client(site)


def test_the_page_and_what_holds_for_all_frames(client: TestClient) -> None:
    assert "browse.js" in client.get("/browse").text
    assert client.get("/", follow_redirects=False).headers["location"] == "/browse"
    site = client.get("/api/browse/site").json()
    assert site["frames"] == 8 and site["model"] == MODEL and not site["can_label"]
    assert [each["name"] for each in site["classes"]] == ["ground", "water", "bank"]


def test_rows_come_in_pages(client: TestClient) -> None:
    first = client.get("/api/browse/frames?camera=cam&number=4").json()
    assert first["total"] == 6 and len(first["frames"]) == 4
    assert first["counts"]["camera"] == {"cam": 6, "yard": 2} and first["labels_unread"] == 0
    rest = client.get("/api/browse/frames?camera=cam&number=4&start=4").json()
    assert len(rest["frames"]) == 2 and "counts" not in rest
    beyond = client.get("/api/browse/frames?start=999999999999").json()
    assert "start is a number" in beyond["error"]
    assert client.get("/api/browse/frames?start=99999999").json()["frames"] == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/browse/frames?split=test", "there is no split 'test'; choose labelled"),
        ("/api/browse/frames?since=soon", "'soon' is no time"),
        ("/api/browse/frames?number=-1", "number is a number, not '-1'"),
        ("/api/browse/frames?number=%C2%B2", "number is a number"),
        ("/api/browse/frames/..%2fedgeseg.toml", ""),
        ("/api/browse/frames/nobody", "no frame of this id"),
        ("/api/browse/batch?verb=rm", "there is no training 'rm'"),
        ("/api/browse/batch?verb=train&run=../x", "the site has no train run"),
        ("/api/browse/batch?step=x", "step is a number"),
    ],
)
def test_refusals_are_sentences(client: TestClient, path: str, told: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404) and told in answer.text


def test_labels_and_thumbnails_under_them(client: TestClient, site: Site) -> None:
    frame = site.frames()[0]
    mask = decode_text(client.get(f"/api/frames/{frame.id}/label").json()["runs"], *SIZE)
    assert (mask[:, :16] == 0).all() and (mask[:, 16:32] == 1).all() and (mask[:, 32:] == 255).all()
    assert client.get(f"/api/frames/{site.frames()[5].id}/label").json() == {"runs": ""}
    plain = client.get(f"/api/frames/{frame.id}/thumbnail")
    masked = client.get(f"/api/frames/{frame.id}/thumbnail?masked=1")
    assert "max-age" in plain.headers["cache-control"]
    assert masked.headers["cache-control"] == "no-store"  # the label may change
    seen, under = (
        np.asarray(PillowImage.open(io.BytesIO(each.content))) for each in (plain, masked)
    )
    assert seen.shape == under.shape == (192, 256, 3)
    water = under[:, 80:120].astype(int).mean((0, 1)) - seen[:, 80:120].astype(int).mean((0, 1))
    assert water[2] > 60 > abs(int(under[:, 160:].mean()) - int(seen[:, 160:].mean()))


def test_only_looking_changes_nothing(client: TestClient, site: Site) -> None:
    frame_id = site.frames()[0].id
    for path in (f"/api/frames/{frame_id}/events", f"/api/frames/{frame_id}/mark", "/api/status"):
        assert client.post(path, json={}, headers={"Origin": HOME}).status_code in (404, 405)
    assert not (site.root / "labelling").exists()


def test_the_label_page_serves_it_too(site: Site) -> None:
    answers = BrowseAnswers(open_site_frames(site), TrainingReads(site), can_label=True)
    client = page_client(site, more=answers.routes)
    assert client.get("/browse").status_code == 200 and "main.js" in client.get("/").text
    assert client.get("/api/browse/site").json()["can_label"]


def test_the_token_opens_this_page_too(site: Site) -> None:
    client = browse_client(site, Access(PORT, token=TOKEN))
    assert client.get("/browse").status_code == 401
    assert client.get("/browse?token=wrong").status_code == 403
    entered = client.get(f"/browse?token={TOKEN}&split=val", follow_redirects=False)
    assert entered.status_code == 303 and entered.headers["location"] == "/browse?split=val"
    client.cookies.set(f"edgeseg-label-{PORT}", TOKEN)
    assert client.get("/browse").status_code == 200


def test_links_from_elsewhere_may_open_the_page_and_ask_nothing(client: TestClient) -> None:
    navigation = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/browse", headers=navigation).status_code == 200
    assert client.get("/api/browse/site", headers=navigation).status_code == 403


def test_trainings_without_torch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.labelling.browse import training_reads

    monkeypatch.setattr(training_reads, "find_spec", lambda name: None)
    client = browse_client(site)
    content = client.get("/api/browse/trainings").json()
    assert not content["has_torch"]
    assert [each["verb"] for each in content["trainings"]] == ["train", "distill"]
    assert "torch is not installed here" in client.get("/api/browse/batch").json()["error"]
