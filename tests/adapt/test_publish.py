"""`bundles/current` always points at a whole bundle, and the way back is written in the bundles
themselves.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeseg.adapt.publish import ancestry, next_seq, open_champion, publish_bundle, restore_parent
from edgeseg.bundle import Bundle
from edgeseg.errors import AdaptError, BundleError
from edgeseg.site import Site
from tests.helpers.rounds import make_bundle, make_champion, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_site(tmp_path / "site")
    make_champion(site)
    return site


def bring(site: Site, name: str, seq: int) -> Bundle:
    """Publish a new bundle after the champion."""
    challenger = make_bundle(site.root / "challenger", site.root / "runs/distill/exp1", seq=seq)
    return publish_bundle(site, challenger.path, name, open_champion(site), {"round": seq - 1})


def test_publishing_copies_the_bundle_and_moves_the_link(site: Site) -> None:
    done = bring(site, "second", 2)
    assert str(site.current_bundle.readlink()) == "second", (
        "relative, so that the site can be moved"
    )
    assert open_champion(site).path == done.path
    done.verify()
    assert done.read("model.onnx") == b"graph 2"
    assert done.manifest.provenance == {
        "run": str(site.root / "runs/distill/exp1"),
        "parent": {"name": "first", "seq": 1},
        "round": 1,
    }


def test_publishing_twice_is_publishing_once(site: Site) -> None:
    parent = open_champion(site)
    first = bring(site, "second", 2)
    content = (first.path / "manifest.json").read_bytes()
    assert publish_bundle(site, site.root / "challenger", "second", parent, {}).path == first.path
    assert (first.path / "manifest.json").read_bytes() == content


def test_a_copy_that_was_cut_off_is_made_again(site: Site) -> None:
    half = site.root / "bundles/second"
    half.mkdir()
    (half / "model.onnx").write_text("gra")
    (site.root / "bundles/.second.0000abcd.tmp").mkdir()
    assert bring(site, "second", 2).read("model.onnx") == b"graph 2"
    assert sorted(path.name for path in (site.root / "bundles").iterdir()) == [
        ".lock",
        "current",
        "first",
        "second",
    ]


def test_a_damaged_challenger_is_never_published(site: Site) -> None:
    challenger = make_bundle(site.root / "challenger", site.root / "runs/distill/exp1", seq=2)
    (challenger.path / "model.onnx").write_text("graph X")
    with pytest.raises(BundleError, match="damaged"):
        publish_bundle(site, challenger.path, "second", open_champion(site), {})
    assert open_champion(site).path.name == "first"
    assert not (site.root / "bundles/second").exists()


def test_a_bundle_judged_against_another_champion_is_not_published(site: Site) -> None:
    judged = open_champion(site)
    bring(site, "second", 2)
    with pytest.raises(AdaptError, match="bundles/current left first"):
        publish_bundle(
            site, make_bundle(site.root / "third", site.root, seq=3).path, "third", judged, {}
        )
    assert open_champion(site).path.name == "second"


def test_rolling_back_walks_up_the_line(site: Site) -> None:
    bring(site, "second", 2)
    bring(site, "third", 3)
    assert [bundle.path.name for bundle in ancestry(site)] == ["third", "second", "first"]
    assert [bundle.path.name for bundle in restore_parent(site)] == ["third", "second"]
    assert [bundle.path.name for bundle in restore_parent(site)] == ["second", "first"]
    with pytest.raises(AdaptError, match="nothing to go back to"):
        restore_parent(site)
    assert {path.name for path in (site.root / "bundles").glob("[!.]*")} == {
        "first",
        "second",
        "third",
        "current",
    }
    assert next_seq(site) == 4


def test_a_damaged_parent_is_not_rolled_back_to(site: Site) -> None:
    bring(site, "second", 2)
    (site.root / "bundles/first/model.onnx").write_text("graph X")
    with pytest.raises(BundleError, match="damaged"):
        restore_parent(site)
    assert open_champion(site).path.name == "second"


def test_a_parent_that_is_gone_ends_the_line(site: Site) -> None:
    bring(site, "second", 2)
    shutil.rmtree(site.root / "bundles/first")
    assert [bundle.path.name for bundle in ancestry(site)] == ["second"]
    with pytest.raises(AdaptError, match="nothing to go back to"):
        restore_parent(site)


@pytest.mark.parametrize(
    "parent",
    [
        {"name": "../../elsewhere"},
        {"name": ".hidden"},
        {"name": 7},
        "first",
        None,
        {"name": "second"},
    ],
)
def test_a_parent_that_cannot_be_is_none(site: Site, parent: Any) -> None:
    second = bring(site, "second", 2)
    for name in ("../elsewhere", ".hidden"):
        make_bundle(site.root / "bundles" / name, site.root, seq=9)
    manifest = second.manifest.model_copy(update={"provenance": {"parent": parent}})
    (second.path / "manifest.json").write_text(manifest.model_dump_json())
    assert [bundle.path.name for bundle in ancestry(site)] == ["second"]


def test_a_damaged_bundle_of_the_past_does_not_hinder_the_next(site: Site) -> None:
    broken = site.root / "bundles/broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    assert next_seq(site) == 2


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (None, AdaptError, "no champion; run `edgeseg export` first"),
        ("nowhere", BundleError, "is no bundle"),
        ("../outside", AdaptError, "leads out of bundles/"),
    ],
)
def test_a_link_that_leads_nowhere_is_told(
    site: Site, target: str | None, error: type[Exception], text: str
) -> None:
    make_bundle(site.root / "outside", site.root, seq=3)
    site.current_bundle.unlink()
    if target:
        site.current_bundle.symlink_to(target)
    with pytest.raises(error, match=text):
        open_champion(site)
