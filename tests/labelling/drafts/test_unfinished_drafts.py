"""Which drafts are unfinished: told again for what changed, and nothing is kept of what is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.labelling.drafts import unfinished_drafts
from edgeseg.labelling.drafts.unfinished_drafts import FOLDER, UnfinishedDrafts
from edgeseg.site import Site
from tests.labelling.label_sites import make_label_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_label_site(tmp_path / "pond")
    (site.root / FOLDER).mkdir(parents=True)
    return site


def journal(site: Site, name: str) -> Path:
    return site.root / FOLDER / f"{name}.journal"


def write(site: Site, name: str, kinds: list[str]) -> None:
    """A journal with a line per kind."""
    journal(site, name).write_text("".join(f'0 {{"kind": "{kind}"}}\n' for kind in kinds))


def test_one_state_is_held_for_each_journal_that_there_is(site: Site) -> None:
    drafts = UnfinishedDrafts(site)
    for count in range(1, 20):
        write(site, "a", ["edit"] * count)
        assert drafts.frames() == {"a"}
    write(site, "a", ["edit", "finish"])
    write(site, "b", ["edit"])
    assert drafts.frames() == {"b"}
    assert set(drafts._known) == {"a", "b"}
    journal(site, "b").unlink()
    assert drafts.frames() == set() and set(drafts._known) == {"a"}


def test_what_did_not_change_is_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = UnfinishedDrafts(site)
    write(site, "a", ["edit"])
    assert drafts.frames() == {"a"}
    monkeypatch.delattr(unfinished_drafts, "_last_line")
    assert drafts.frames() == {"a"}


def test_a_journal_that_vanishes_while_the_folder_is_read(site: Site) -> None:
    write(site, "a", ["edit"])
    journal(site, "b").symlink_to("gone")  # listed, and not there when it is looked at
    assert UnfinishedDrafts(site).frames() == {"a"}
