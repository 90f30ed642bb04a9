"""Only the page itself reaches its server: no other page, no other name, nobody without a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.labelling.page.guards import Access
from edgeseg.site import Site
from tests.labelling.label_sites import make_label_site
from tests.labelling.page.page_clients import HOME, PORT, message, page_client

TOKEN = "t" * 43
ABROAD = Access(PORT, ("pond.local",), takes_addresses=True, token=TOKEN)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_label_site(tmp_path_factory.mktemp("sites") / "pond", frames=1)


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        (f"127.0.0.1:{PORT}", True),
        (f"localhost:{PORT}", True),
        (f"LOCALHOST:{PORT}", True),
        (f"[::1]:{PORT}", True),
        ("127.0.0.1", False),  # another port
        (f"evil.example:{PORT}", False),  # DNS rebinding
        (f"127.0.0.1.evil.example:{PORT}", False),
        (f"192.168.1.7:{PORT}", False),
        ("", False),
    ],
)
def test_hosts_of_loopback(host: str, is_known: bool) -> None:
    assert Access(PORT).knows_host(host) is is_known


def test_browsers_leave_port_80_out() -> None:
    for host in ("127.0.0.1", "localhost:80", "[::1]", "[::1]:80"):
        assert Access(80).knows_host(host)
    for host in ("", "evil.example", f"localhost:{PORT}"):
        assert not Access(80).knows_host(host)


def test_hosts_beyond_loopback() -> None:
    for host in ("pond.local", "192.168.1.7", "[fe80::1]"):
        assert ABROAD.knows_host(f"{host}:{PORT}")
    for host in ("evil.example", "1.2.3", "pond.local.evil.example"):
        assert not ABROAD.knows_host(f"{host}:{PORT}")


def test_a_rebound_name_is_refused_for_everything(site: Site) -> None:
    client = page_client(site)
    for path in ("/", "/static/main.js", "/api/site"):
        answer = client.get(path, headers={"Host": f"evil.example:{PORT}"})
        assert answer.status_code == 403 and "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    client = page_client(site)
    assert client.post("/api/status", json=message(), headers=headers).status_code == 403
    assert client.post("/api/status", json=message()).status_code == 200


def test_a_request_without_origin_changes_nothing(site: Site) -> None:
    client = page_client(site)
    del client.headers["Origin"]
    assert client.post("/api/status", json=message()).status_code == 403
    assert client.get("/api/site").status_code == 200


def test_a_link_from_elsewhere_opens_the_page_alone(site: Site) -> None:
    client = page_client(site)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/api/site", headers=link).status_code == 403
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/", headers=frame).status_code == 403


def test_a_token_opens_what_is_closed_without(site: Site) -> None:
    home = f"http://192.168.1.7:{PORT}"
    client = page_client(site, ABROAD, home)
    for path in ("/", "/static/main.js", "/api/site", "/api/frames/x/image"):
        answer = client.get(path)
        assert answer.status_code == 401 and "token" in answer.text
    assert client.post("/api/status", json=message()).status_code == 401
    for wrong in ("", "t", TOKEN[:-1], TOKEN + "t", "ä"):
        assert client.get("/", params={"token": wrong}).status_code in (401, 403)
    assert client.get("/api/site", params={"token": TOKEN}).status_code == 401  # only the entrance
    answer = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert client.get("/api/site").status_code == 200
    assert client.post("/api/status", json=message()).status_code == 200
    begin = {"token": TOKEN, "queue": "val", "frame": "//evil.example"}
    answer = client.get("/", params=begin, follow_redirects=False)
    assert answer.headers["location"] == "/?queue=val&frame=%2F%2Fevil.example"


def test_every_answer_forbids_what_the_page_does_not_need(site: Site) -> None:
    client = page_client(site)
    for path in ("/", "/static/main.js", "/api/site", "/api/frames/x/image", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_the_page_asks_no_other_address() -> None:
    """Its parts name no address but the namespace of SVG, and no script or style stands inline."""
    folder = Path(__file__).parents[3] / "edgeseg/labelling/page/static"
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text, path.name
    page = (folder / "index.html").read_text()
    assert " style=" not in page and "<style" not in page and " onclick" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/') == 1
    assert HOME not in page
