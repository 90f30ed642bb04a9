"""Blocks: stretches of one source of one camera."""

from __future__ import annotations

from edgeseg.data.blocks import block_of, drawing_blocks
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


def test_blocks_are_drawn_whole_and_where_there_are_few_neighbors_in_time_instead() -> None:
    minutes = [index_frame(60 * number + second) for number in range(5) for second in (0, 20, 40)]
    assert drawing_blocks(minutes, 60) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    one_minute = [index_frame(second) for second in (8, 0, 2, 4, 6, 10, 12, 14, 16, 18)]
    assert drawing_blocks(one_minute, 60) == [2, 0, 0, 1, 1, 2, 3, 3, 4, 4]
    assert drawing_blocks(one_minute[:3], 60) == [2, 0, 1]
