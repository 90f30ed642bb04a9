"""The demo's site: its splits, its completion after a cut, its autumn labels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgeseg.config.template import create_site
from edgeseg.demo.demo_site import DemoSize, label_autumn, make_site
from edgeseg.errors import DataError
from edgeseg.site import Site


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_the_site_has_its_splits_and_nothing_of_the_autumn(site: Site) -> None:
    sizes = {split: len(site.frames(split)) for split in ("labelled", "val", "gate")}
    assert sizes == {"labelled": 2, "val": 2, "gate": 2}
    assert 4 <= len(site.frames("unlabelled")) <= 8  # but for near-duplicates
    assert not any("autumn" in frame.source or "truth" in frame.source for frame in site.frames())
    assert (site.root / "card" / "autumn.mp4").stat().st_size > 1000


def test_making_it_again_changes_nothing(site: Site, tiny: DemoSize) -> None:
    before = _digests(site.root)
    make_site(site.root, tiny)
    assert _digests(site.root) == before


def test_a_cut_off_making_is_completed(tmp_path: Path, site: Site, tiny: DemoSize) -> None:
    folder = tmp_path / "again"
    (folder / "card" / ".labels.tmp").mkdir(parents=True)
    (folder / "edgeseg.toml").write_bytes((site.root / "edgeseg.toml").read_bytes())
    made = make_site(folder, tiny)
    assert {frame.id for frame in made.frames()} == {frame.id for frame in site.frames()}
    assert not list(folder.rglob(".*.tmp"))


def test_a_foreign_folder_is_left_alone(tmp_path: Path, tiny: DemoSize) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        make_site(tmp_path, tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_site_of_somebody_is_no_demo(tmp_path: Path, tiny: DemoSize) -> None:
    (tmp_path / "card").mkdir()
    create_site(tmp_path, ["a", "b"])
    with pytest.raises(DataError, match="no demo"):
        make_site(tmp_path, tiny)


def test_autumn_labels_judge_and_never_train(tmp_path: Path, site: Site, tiny: DemoSize) -> None:
    copy = make_site(tmp_path / "site", tiny)
    label_autumn(copy)
    new = {
        frame.id: frame for frame in copy.frames() if frame.id not in {f.id for f in site.frames()}
    }
    assert len(new) == 2 and all(frame.split == "gate" for frame in new.values())
