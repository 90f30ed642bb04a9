"""Blocks: stretches of one source of one camera."""

from __future__ import annotations

from edgeseg.data.blocks import block_of
from tests.helpers.sites import index_frame


def test_images_of_a_folder_share_blocks_cameras_do_not() -> None:
    one, two = index_frame(0, source="day/1.jpg"), index_frame(1, source="day/2.jpg")
    assert (
        block_of(one, 20)
        == block_of(two, 20)
        != block_of(index_frame(1, source="day/2.jpg", camera="other"), 20)
    )
    assert block_of(index_frame(1, source="day/1.mp4"), 20) != block_of(
        index_frame(1, source="day/2.mp4"), 20
    )
