"""Images are named like the frames, and masks hold class ids at the frames' own size."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.imaging.mask_png import read_mask
from edgeseg.runtime.outputs import base
from edgeseg.runtime.outputs.image_folder import MaskSink, OverlayImageSink
from tests.helpers.bundles import CLASSES
from tests.helpers.predictions import gray_frame, quarter_prediction


def test_a_folder_that_cannot_be_made_is_named_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgesegError, match="cannot be made"):
        MaskSink(tmp_path / "file", CLASSES)


def test_pictures_and_masks_are_named_like_the_frames(tmp_path: Path) -> None:
    overlays = OverlayImageSink(tmp_path / "p", CLASSES, ".png")
    masks = MaskSink(tmp_path / "m", CLASSES)
    for sink in (overlays, masks):
        sink.write(gray_frame(7), quarter_prediction())
        sink.finish()
    assert os.listdir(tmp_path / "p") == os.listdir(tmp_path / "m") == ["000007.png"]
    mask = read_mask(tmp_path / "m" / "000007.png")
    assert mask.shape == (120, 160)  # the frame's own size
    assert np.array_equal(mask, np.kron(np.arange(4).reshape(2, 2), np.ones((60, 80), np.int64)))


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **rest: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base, "write_atomic", full)
    with pytest.raises(EdgesegError, match="No space left"):
        MaskSink(tmp_path, CLASSES).write(gray_frame(), quarter_prediction())
