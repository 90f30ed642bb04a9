"""Batches depend on the seed and the step alone, whoever asks, and in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.data.batch_loader import BatchLoader, BatchOrder
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.site import Site
from tests.helpers.sites import make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def test_order_visits_every_frame_once_an_epoch_and_focus_takes_half() -> None:
    order = BatchOrder(10, 2, seed=3)
    seen = [index for step in range(5) for index in order.indices(step)]
    assert sorted(seen) == list(range(10))
    assert BatchOrder(10, 2, seed=3).indices(17) == order.indices(
        17
    )  # a function of the step, not of the history
    focused = BatchOrder(10, 4, seed=3, focus=[7, 8])
    assert all(set(focused.indices(step)[2:]) <= {7, 8} for step in range(6))


def test_the_example_of_the_documentation() -> None:
    first, second = (np.random.default_rng([3, epoch, 0]).permutation(5) for epoch in (0, 1))
    assert BatchOrder(5, 2, seed=3).indices(2) == [first[4], second[0]]
    focus = np.random.default_rng([3, 1, 1]).permutation([7, 8])
    order = BatchOrder(10, 3, seed=3, focus=[7, 8])
    everything = np.random.default_rng([3, 0, 0]).permutation(10)
    assert order.indices(2) == [everything[4], everything[5], focus[0]]


def test_processes_share_a_batch_and_a_resumed_run_sees_the_same(site: Site) -> None:
    reader = SiteFrameReader(site, site.frames("labelled"), (64, 64))

    def names(loader: BatchLoader, step: int) -> tuple[str, ...]:
        batch = loader.batch(step)
        assert batch.images.shape == (len(batch.names), 64, 64, 3)
        assert batch.images.dtype == batch.masks.dtype == torch.uint8
        return batch.names

    whole = BatchLoader(reader, 4, 0, workers=1)
    parts = [BatchLoader(reader, 2, 0, workers=1, rank=rank, world=2) for rank in (0, 1)]
    for step in (0, 1, 5):
        assert names(parts[0], step) + names(parts[1], step) == names(whole, step)
    for loader in (whole, *parts):
        loader.close()
