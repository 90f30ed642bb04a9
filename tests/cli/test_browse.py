"""`edgeseg browse --list` and `--json`, what it refuses, and the address that it opens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from edgeseg.atomic_files import lock_folder
from edgeseg.cli.app import app
from edgeseg.labelling.page import server
from edgeseg.site import Site
from tests.labelling.browse.browse_sites import MODEL, make_browse_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = make_browse_site(tmp_path / "pond")
    monkeypatch.chdir(made.root)
    return made


def run(*words: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["browse", *words])
    assert result.exit_code == code, result.output
    return result.stdout, re.sub(r"\s+", " ", result.stderr)


@pytest.mark.usefixtures("site")
def test_the_list_is_filtered_and_ordered() -> None:
    table, said = run("--list", "--class", "water", "--sort", "entropy")
    names = re.findall(r"cam, clip.mp4 at \d:\d\d", table)
    assert names == ["cam, clip.mp4 at 1:30", "cam, clip.mp4 at 0:00", "cam, clip.mp4 at 0:30"]
    assert "(water)" in table and "ground, water" in table and "0.100" in table
    assert "all 3 frames shown" in said and said.rstrip().endswith("next: edgeseg browse")
    assert "8 frames note: --limit prints more" in run("--list", "--limit", "2")[1]


def test_as_json_it_names_pictures_and_counts(site: Site) -> None:
    told = json.loads(run("--json", "--camera", "yard", "--since", "2026-03-04 12:05")[0])
    (frame,) = told["frames"]
    assert frame["name"] == "yard, 2026-03-04 12:10:00 UTC" and Path(frame["image"]).is_file()
    assert told["total"] == 1 and told["model"] == MODEL and told["counts"]["origin"]["log"] == 1


def test_only_pictures_that_are_printed_are_looked_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_images: list[str] = []
    path = Site.path

    def counted(site: Site, name: str) -> Path:
        of_images.extend([name] * name.startswith("frames/"))
        return path(site, name)

    monkeypatch.setattr(Site, "path", counted)
    (frame,) = json.loads(run("--json", "--limit", "1")[0])["frames"]
    assert len(of_images) == 1 and frame["image"].endswith(of_images[0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--list", "--frame", "x"], "--frame is for the page, and --list opens none"),
        (["--json", "--training"], "--training is for the page, and --json opens none"),
        (["--list", "--host", "0.0.0.0"], "--host is for the page"),
        (["--list", "--port", "8000"], "--port is for the page"),
        (["--limit", "3"], "--limit is for what --list and --json print"),
        (["--camera", "north"], "there is no camera 'north'; the site has cam, yard"),
        (["--class", "lava"], "there is no class 'lava'; choose ground, water, bank"),
        (["--since", "soon"], "'soon' is no time; write a date in UTC"),
        (["--frame", "x"], "has no frame 'x'; ids are in frames.jsonl"),
    ],
)
@pytest.mark.usefixtures("site")
def test_refusals_are_one_sentence(words: list[str], told: str) -> None:
    assert told in run(*words, code=1)[1]


def test_a_site_without_frames(site: Site) -> None:
    (site.root / "frames.jsonl").unlink()
    assert "has no frames to look at; add some with `edgeseg add footage" in run(code=1)[1]


@pytest.mark.usefixtures("site")
def test_the_address_holds_the_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(server, "serve_browsing", lambda site, **more: given.update(more))
    run("--split", "val", "--split", "gate", "--class", "bank", "--sort", "score", "--training")
    assert given["begin"] == [
        ("split", "val"),
        ("split", "gate"),
        ("class", "bank"),
        ("sort", "score"),
        ("view", "training"),
    ]


def test_what_it_says_of_the_page_is_what_is_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, str] = {}

    def stand_in(*given: Any, **more: Any) -> None:
        told["while"] = run_label()

    def run_label() -> str:
        result = CliRunner().invoke(app, ["label", "--no-browser"])
        assert result.exit_code == 1
        return re.sub(r"\s+", " ", result.output)

    monkeypatch.setattr(uvicorn.Server, "run", stand_in)
    said = run("--no-browser", "--host", "0.0.0.0")[1]
    assert "and can label" in said and "only looks" not in said
    assert re.search(r"its page is at http://\S+:\d+/browse, and can label", told["while"])
    assert "token=" not in told["while"]
    assert not (site.root / "labelling" / "page.json").exists()

    monkeypatch.setattr(uvicorn.Server, "run", lambda *given, **more: None)
    with lock_folder(site.root / "labelling"):
        said = run("--no-browser", "--host", "0.0.0.0")[1]
        assert "its page is at" not in run_label()
    assert "sees the site; trust the network" in said and "this page only looks" in said
