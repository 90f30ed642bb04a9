"""A look at the labels ends whatever a mask does, and does not rewrite its table all the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.labelling.browse import label_classes
from edgeseg.labelling.browse.label_classes import LabelClasses
from edgeseg.site import Frame, Site
from tests.labelling.browse.browse_sites import make_browse_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_browse_site(tmp_path / "pond")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_leaves_nobody_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(site: Site, frame: Frame) -> list[int]:
        raise KeyError("a mistake of ours")

    looks = LabelClasses(site)
    with monkeypatch.context() as patch:
        patch.setattr(label_classes, "frame_class_pixels", fail)
        looks.read_beside(site.frames())
        looks.wait(30)
    assert looks.left == 0
    looks.read_beside(site.frames())
    looks.wait(30)
    assert looks.pixels(site.frames("val")[0])


def test_a_mask_that_takes_too_much_memory_is_passed_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = frame_class_pixels
    first = next(frame for frame in site.frames() if frame.mask)

    def fail_once(site: Site, frame: Frame) -> list[int]:
        if frame.id == first.id:
            raise MemoryError
        return list(read(site, frame))

    monkeypatch.setattr(label_classes, "frame_class_pixels", fail_once)
    looks = LabelClasses(site)
    looks.read(site.frames())
    assert looks.left == 0 and looks.pixels(first) == ()
    assert looks.pixels(site.frames("val")[0])


def test_the_table_is_written_by_the_clock(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    monkeypatch.setattr(LabelClasses, "_keep", lambda looks: writes.append(looks.left))
    LabelClasses(site).read(site.frames())
    assert writes == [0]
    monkeypatch.setattr(label_classes, "KEEP_SECONDS", -1.0)
    LabelClasses(site).read(site.frames())
    assert writes == [0, 2, 1, 0, 0]
