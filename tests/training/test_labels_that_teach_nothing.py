"""Training, distillation, comparison and export refuse labels from which nothing can be learned or
judged, before the first step and in one sentence.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.compare.plan import plan_comparison
from edgeseg.config import DistillConfig, ExportConfig, validate_config
from edgeseg.data.site_needs import later_needs, require_usable_labels
from edgeseg.data.site_summary import summarize_site
from edgeseg.errors import DataError, TrainError
from edgeseg.export.exporter import export
from edgeseg.metrics import Counts
from edgeseg.site import Site, Split
from edgeseg.training.distill import distill
from edgeseg.training.train import train
from edgeseg.training.validation import Validation
from tests.helpers.methods import config
from tests.helpers.sites import TINY, make_site

VOID = 255
DISTILL = validate_config(
    DistillConfig, {key: value for key, value in TINY.items() if key != "rep_dim"}, "test"
)


class Said:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def start(self, title: str, total: int | None) -> None: ...

    def advance(self, amount: int = 1, note: str = "") -> None: ...

    def stop(self) -> None: ...

    def say(self, message: str) -> None:
        self.sentences.append(message)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a finished run, which tests copy and spoil."""
    site = make_site(tmp_path_factory.mktemp("trained") / "site")
    train(site, config(method="suponly", steps=2, eval_every=2), site.root / "runs/train/exp1")
    return site


@pytest.fixture
def site(trained: Site, tmp_path: Path) -> Site:
    shutil.copytree(trained.root, tmp_path / "site")
    return Site.open(tmp_path / "site")


def relabel(site: Site, split: Split, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change every mask of a split."""
    for frame in site.frames(split):
        path = str(site.path(frame.mask or ""))
        mask = np.asarray(cv2.imread(path, cv2.IMREAD_UNCHANGED), np.uint8)
        cv2.imwrite(path, change(mask).astype(np.uint8))


def void(mask: np.ndarray) -> np.ndarray:
    return np.full_like(mask, VOID)


def first_class_or_void(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 0, 0, VOID)


SPOILED: dict[str, tuple[Split, Callable[[np.ndarray], np.ndarray], str]] = {
    "nothing labelled": ("labelled", void, "no pixel of the labelled frames is labelled"),
    "one class": ("labelled", first_class_or_void, r"every labelled pixel .* is c0, .* c1, c2"),
    "void val": ("val", void, "no pixel of the 3 val frames is labelled"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_nothing_begins_on_labels_that_teach_or_judge_nothing(
    site: Site, tmp_path: Path, kind: str
) -> None:
    split, change, words = SPOILED[kind]
    relabel(site, split, change)
    out, run = tmp_path / "out", site.root / "runs/train/exp1"
    attempts: list[Callable[[], object]] = [
        lambda: train(site, config(method="cutmix_mt", steps=2), out / "train"),
        lambda: train(site, config(method="st", steps=100), out / "stages"),
        lambda: distill(site, DISTILL, run, out / "distill"),
        lambda: plan_comparison(site, config(steps=2), ["suponly"], 1),
    ]
    if kind == "void val":
        attempts.append(lambda: export(site, ExportConfig(threads=1), run, out / "bundle"))
    for attempt in attempts:
        with pytest.raises(DataError, match=words) as caught:
            attempt()
        assert "--map OLD=NEW" in str(caught.value)
    assert not list(out.rglob("model.json")) and not list(out.rglob("*.safetensors"))
    summary = summarize_site(site)
    assert any("--map OLD=NEW" in warning for warning in summary.warnings)
    assert summary.next.endswith("edgeseg add labels IMAGES MASKS")


def test_what_is_missing_is_said_once_at_the_start(site: Site, tmp_path: Path) -> None:
    relabel(site, "labelled", lambda mask: np.where(mask == 2, VOID, mask))
    frames = [frame for frame in site.frames() if frame.split != "val"]
    site.save_frames([*frames, *site.frames("val")[:2]])
    said = Said()
    train(site, config(method="suponly", steps=2, eval_every=1), tmp_path / "run", report=said)
    notes = [sentence for sentence in said.sentences if sentence.startswith("note: ")]
    assert [note.split()[1] for note in notes] == ["no", "`edgeseg", "`edgeseg"]
    assert "no labelled frame shows c2" in notes[0]
    assert "`edgeseg export` will need 3 val frame(s) and the site has 2" in notes[1]
    assert "`edgeseg adapt` will need 1 gate frame(s) and the site has 0" in notes[2]


def test_status_sends_nobody_to_hours_that_end_in_a_refusal(site: Site) -> None:
    assert later_needs(site) == [
        "`edgeseg adapt` will need 1 gate frame(s) and the site has 0; add some with "
        "`edgeseg add labels --split gate`"
    ]
    frames = [frame for frame in site.frames() if frame.split != "val"]
    site.save_frames([*frames, *site.frames("val")[:2]])
    summary = summarize_site(site)
    assert summary.next.endswith("edgeseg add labels IMAGES MASKS --split val")
    assert any("`edgeseg export` needs 3" in warning for warning in summary.warnings)
    assert any("`edgeseg adapt` needs 1" in warning for warning in summary.warnings)


def test_a_site_without_footage_is_told_before_a_supervised_training(
    site: Site, tmp_path: Path
) -> None:
    site.save_frames([frame for frame in site.frames() if frame.split != "unlabelled"])
    summary = summarize_site(site)
    assert summary.next == "edgeseg add footage PATH"
    assert any("`edgeseg distill` needs some" in warning for warning in summary.warnings)
    said = Said()
    train(site, config(method="suponly", steps=2, eval_every=2), tmp_path / "run", report=said)
    assert any("`edgeseg distill` needs some" in sentence for sentence in said.sentences)


def test_a_judging_split_must_have_frames_and_labels(site: Site) -> None:
    require_usable_labels(site, "val")
    with pytest.raises(DataError, match="0 gate frames"):
        require_usable_labels(site, "val", "gate")


def test_a_run_without_a_figure_fails_and_is_not_finished(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: Validation, network: object, places: Sequence[int], device: object) -> Counts:
        return np.zeros((len(places), 3, 3), np.int64)

    monkeypatch.setattr(Validation, "count", nothing)
    with pytest.raises(TrainError, match="nobody can say what its weights are worth"):
        train(site, config(method="suponly", steps=2, eval_every=1), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_figures_that_are_no_numbers_survive_a_checkpoint(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = iter([0, 5, 6, 6])  # of ten pixels; the last step is done again

    def some(_: Validation, network: object, places: Sequence[int], device: object) -> Counts:
        hit = next(hits)
        counts = [[hit, 10 - hit, 0], [0, 0, 0], [0, 0, 0]] if hit else np.zeros((3, 3))
        return np.tile(np.asarray(counts, np.int64), (len(places), 1, 1))

    monkeypatch.setattr(Validation, "count", some)
    settings = config(method="suponly", steps=3, eval_every=1, checkpoint_every=1)
    result = train(site, settings, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    again = train(site, settings, tmp_path / "run", resume=True)
    assert again.miou == result.miou == 60
    rows = (tmp_path / "run" / "results.csv").read_text().splitlines()
    assert len(rows) == 4 and "nan" in rows[1]
    json.loads((tmp_path / "run" / "metrics.json").read_text(), parse_constant=pytest.fail)
