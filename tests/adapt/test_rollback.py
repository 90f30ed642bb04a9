"""The champion changes meanwhile: by hand, or by a rollback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.adapt.publish import open_champion
from edgeseg.adapt.round_runner import rollback
from edgeseg.bundle import Bundle
from edgeseg.errors import AdaptError
from edgeseg.site import Site
from tests.helpers.rounds import TrainingStandIns, make_bundle, make_log, run_with, verdicts


def test_a_champion_that_changed_before_publishing_is_judged_too(site: Site) -> None:
    stand_ins = TrainingStandIns()
    seen: list[str] = []

    def swap(name: str) -> None:
        if name == "compare" and not seen:
            seen.append(name)
            make_bundle(site.root / "bundles/by-hand", site.root / "runs/distill/exp1", seq=7)
            os.replace(_link(site, "by-hand"), site.current_bundle)

    # The swap happens after the gate has read the champion's name but before the verdict is acted
    # on.
    stand_ins.before = swap
    result = run_with(site, stand_ins)
    assert result.verdict == "published"
    assert [what["champion"] for name, what in stand_ins.calls if name == "compare"] == [
        "first",
        "by-hand",
    ]
    assert open_champion(site).manifest.provenance["parent"]["name"] == "by-hand"


def _link(site: Site, target: str) -> Path:
    link = site.root / "bundles/.next"
    link.symlink_to(target)
    return link


def test_rollback_returns_to_the_parent_and_deletes_nothing(site: Site) -> None:
    first = run_with(site)
    left, now = rollback(site)
    assert (left.path, now.path.name) == (first.bundle, "first")
    assert first.bundle is not None and Bundle.open(first.bundle).manifest.seq == 2
    assert verdicts(site) == ["rolled back"]
    with pytest.raises(AdaptError, match="first is the first bundle of its line"):
        rollback(site)


def test_after_a_rollback_the_records_are_new_again_and_the_number_is_not_used_twice(
    site: Site,
) -> None:
    run_with(site)
    rollback(site)
    make_log(site.root.parent / "more", range(200, 203))
    stand_ins = TrainingStandIns()
    result = run_with(site, stand_ins, "more")
    assert len(dict(stand_ins.calls)["train"]["focus"]) == 8
    assert open_champion(site).manifest.seq == 3
    assert open_champion(site).manifest.provenance["parent"]["name"] == "first"
    assert result.number == 2
