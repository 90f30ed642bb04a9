"""Labels are carried to frames that show the same things, and to no others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.data.propagation.correspondence import find_correspondence, follow, gray_frame
from edgeseg.data.propagation.label_propagation import LabelPropagation
from edgeseg.data.propagation.propagated_reader import PropagatedLabelReader
from edgeseg.data.propagation.propagation_picture import draw_propagation
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from tests.helpers.sites import make_site

HEIGHT, WIDTH = 96, 128


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[Image, Mask]:
    """A picture with details of all sizes, and classes of large areas."""
    random = np.random.default_rng(seed)
    image = np.zeros((height + 40, width + 40, 3), np.float32)
    for side in (4, 10, 24):
        coarse = random.uniform(0, 255, (image.shape[0] // side, image.shape[1] // side, 3))
        image += cv2.resize(
            coarse.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC
        )
    areas = random.integers(0, 3, (4, 4)).astype(np.uint8)
    mask = cv2.resize(areas, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return np.clip(image / 3, 0, 255).astype(np.uint8), np.asarray(mask, np.uint8)


def view(whole: tuple[Image, Mask], right: int = 0, down: int = 0) -> tuple[Image, Mask]:
    """What a camera sees after it moved by some pixels."""
    rows, columns = slice(20 + down, 20 + down + HEIGHT), slice(20 + right, 20 + right + WIDTH)
    image, mask = whole
    return np.ascontiguousarray(image[rows, columns]), np.ascontiguousarray(mask[rows, columns])


@pytest.mark.parametrize("size", [(32, 1024), (2048, 32), (16, 16)])
def test_very_narrow_frames_are_not_shrunk_to_what_optical_flow_fails_on(
    size: tuple[int, int],
) -> None:
    image, mask = scene(3, *size)
    image, mask = image[: size[0], : size[1]], mask[: size[0], : size[1]]
    assert min(gray_frame(image).shape) >= 16
    found = LabelPropagation([(image, mask)]).propagate(image)
    assert found.shape == size and ((found == mask) | (found == IGNORE)).all()
    if max(size) > 16:
        assert (found == mask).mean() > 0.5


@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_labels_follow_a_camera_that_moved_and_light_that_changed(gain: float) -> None:
    whole = scene(0)
    image, truth = view(whole, right=6, down=-4)
    darker = (image * gain).astype(np.uint8)
    found = LabelPropagation([view(scene(1)), view(whole), view(scene(2))]).propagate(darker)
    known = found != IGNORE
    assert known.mean() > 0.6
    assert (found == truth)[known].mean() > 0.97


def test_a_frame_that_shows_something_else_gets_nothing() -> None:
    propagation = LabelPropagation([view(scene(seed)) for seed in range(4)])
    for seed in range(10, 16):
        assert (propagation.propagate(view(scene(seed))[0]) == IGNORE).all()


def test_where_two_labelled_frames_disagree_neither_is_believed() -> None:
    image, mask = view(scene(0))
    other = mask.copy()
    other[:40, :40] = (mask[:40, :40] + 1) % 3
    other[60:, 60:] = IGNORE  # says nothing there, which is no disagreement
    found = LabelPropagation([(image, mask), (image, other)]).propagate(image)
    assert (found[:40, :40] == IGNORE).all()
    assert (found[60:, 60:] == mask[60:, 60:]).mean() > 0.99
    assert (found[:40, 41:] == mask[:40, 41:]).mean() > 0.99


def test_large_frames_are_compared_small_and_labelled_large() -> None:
    image, mask = scene(0, 460, 600)  # 500 x 640 with its border
    gray = gray_frame(image)
    assert gray.shape == (300, 384)
    moved, truth = np.roll(image, 10, 1), np.roll(mask, 10, 1)
    found = follow(find_correspondence(gray_frame(moved), gray), mask, IGNORE)
    assert found.shape == mask.shape
    known = found != IGNORE
    assert known.mean() > 0.7 and (found == truth)[known].mean() > 0.98


@pytest.mark.parametrize("shape", [(32, 32), (32, 256)])
def test_the_smallest_frames_and_frames_without_anything_in_them(shape: tuple[int, int]) -> None:
    flat, mask = np.zeros((*shape, 3), np.uint8), np.ones(shape, np.uint8)
    for image in (flat, flat + np.uint8(9)):
        found = LabelPropagation([(flat, mask)]).propagate(image)
        assert found.shape == shape and set(np.unique(found)) <= {1, IGNORE}


def test_masks_are_made_once_and_anew_when_labels_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "site")
    frame = site.frames("labelled")[0]
    copy = site.path(site.frames("unlabelled")[0].image)
    copy.write_bytes(site.path(frame.image).read_bytes())  # shows the same
    assert frame.mask is not None

    def first_mask() -> Mask:
        size = (frame.height, frame.width)
        labelled = SiteFrameReader(site, [frame], size)
        return PropagatedLabelReader(site, site.frames("unlabelled")[:1], labelled)[0][1]

    made = first_mask()
    truth = SiteFrameReader(site, [frame], (frame.height, frame.width))[0][1]
    known = made != IGNORE
    assert known.mean() > 0.5 and (made == truth)[known].all()

    with monkeypatch.context() as patch:
        patch.setattr(LabelPropagation, "propagate", None)  # would fail
        assert (first_mask() == made).all()
    cv2.imwrite(str(site.path(frame.mask)), np.zeros_like(truth))
    assert set(np.unique(first_mask())) <= {0, IGNORE}
    assert (SiteFrameReader(site, site.frames("unlabelled"), truth.shape)[0][1] == IGNORE).all()


def test_the_picture_and_its_sentence(tmp_path: Path) -> None:
    class Footage:
        frames = ()

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[Image, Mask]:
            image, mask = view(scene(index))
            return image, np.where(np.arange(WIDTH) < WIDTH // 4 * index, mask, IGNORE).astype("u1")

        def inside(self, index: int) -> None:
            return None

    path = tmp_path / "propagated.png"
    palette = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    said = draw_propagation(Footage(), ["a", "b", "c"], palette, path)
    assert "carried to 38 % of the footage" in said and str(path) in said
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[0] > 4 * HEIGHT and picture.shape[1] > 2 * WIDTH
