"""Losses and banks give the same on two processes as on one that has all the frames."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.processes import (
    CLASSES,
    Results,
    compute_in_one_process,
    compute_in_processes,
    make_inputs,
    validation_counts,
)

LOSSES = ("cross_entropy", "info_nce", "feature_matching", "directional")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, list[Results]]:
    folder = tmp_path_factory.mktemp("world")
    of_two = compute_in_processes(2, folder)
    counts, _ = validation_counts(folder / "site", 0)
    return compute_in_one_process() | {"validation": counts}, of_two


@pytest.mark.parametrize(
    "name",
    ["threshold", "thresholds", "prototypes", "size", "pointer", "confidence", "seen", "adaptive"],
)
def test_both_processes_know_what_one_would(
    name: str, results: tuple[Results, list[Results]]
) -> None:
    one, two = results
    for found in two:
        torch.testing.assert_close(found[name], one[name], atol=1e-5, rtol=1e-5)


def test_banks_are_equal_and_hold_what_one_would(results: tuple[Results, list[Results]]) -> None:
    one, two = results
    assert torch.equal(two[0]["bank"], two[1]["bank"])
    assert one["size"].tolist()[1] == 120 and one["size"].tolist()[3] == 0
    for name in range(CLASSES):
        size = int(one["size"][name])
        if name == 1:  # two pushes of 60 out of more, so the draw decides which
            allowed = F.normalize(make_inputs()["rep"][make_inputs()["mask"][:, 1]], dim=1)
            nearest = (two[0]["bank"][name, :size] @ allowed.T).amax(1)
            torch.testing.assert_close(nearest, torch.ones(size))
            continue
        ours, theirs = (sorted(result["bank"][name, :size].tolist()) for result in (one, two[0]))
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_averaged_over_processes_are_the_loss_of_one(
    name: str, results: tuple[Results, list[Results]]
) -> None:
    one, two = results
    assert float(one[name]) > 0.01
    if name != "feature_matching":  # every process knows the whole of it
        assert abs(float(two[0][name] - two[1][name])) > 1e-3
    torch.testing.assert_close((two[0][name] + two[1][name]) / 2, one[name], atol=1e-5, rtol=1e-5)
    gradients = [found[f"{name} gradient"] for found in two]
    gradient = torch.stack(gradients).sum(0) / 2 if name == "info_nce" else torch.cat(gradients) / 2
    assert float(gradient.abs().max()) > 1e-4
    torch.testing.assert_close(gradient, one[f"{name} gradient"], atol=1e-5, rtol=1e-5)


def test_val_is_shared_out_and_judges_the_network_of_the_main_process(
    results: tuple[Results, list[Results]],
) -> None:
    one, two = results
    assert one["validation"].shape == (14, 3, 3) and int(one["validation"].sum()) == 14 * 64 * 64
    for rank, found in enumerate(two):
        assert torch.equal(found["validation"], one["validation"])
        assert found["statistics"].tolist() == [rank] * 3  # its own ones again
