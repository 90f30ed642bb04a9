"""Training checkpoints: what is saved is restored, the two newest are kept, others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgeseg.errors import TrainError
from edgeseg.training.training_checkpoint import CheckpointFolder, TrainingState


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A layer after one step, so that its optimizer has moments."""
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return layer, optimizer


def test_weights_moments_and_state_are_restored(tmp_path: Path) -> None:
    layer, optimizer = trained()
    state = TrainingState(7, [{"step": 5.0, "miou_ema": 40.0}], 40.0, 5, 1.5, {"loss": [2.0, 1.0]})
    CheckpointFolder(tmp_path).save(layer, optimizer, state)
    other_layer, other_optimizer = trained()
    assert CheckpointFolder(tmp_path).restore(other_layer, other_optimizer) == state
    for name, tensor in layer.state_dict().items():
        assert torch.equal(other_layer.state_dict()[name], tensor)
    for index, moments in optimizer.state_dict()["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(other_optimizer.state_dict()["state"][index][name], tensor)


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    layer, optimizer = trained()
    for step in (1, 2, 3):
        CheckpointFolder(tmp_path).save(layer, optimizer, TrainingState(step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:13] for name in names] == ["step-00000002", "step-00000003"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path).save(*trained(), TrainingState(1))
    layer = nn.Linear(4, 2)
    with pytest.raises(TrainError, match="made by another version or network"):
        CheckpointFolder(tmp_path).restore(layer, torch.optim.AdamW(layer.parameters()))


def test_logs_are_averaged_between_two_lines_of_results() -> None:
    state = TrainingState(2)
    state.add_logs({"loss": torch.tensor(1.0), "pseudo": torch.tensor([10.0, 30.0])})
    state.add_logs({"loss": torch.tensor(2.0)})
    expected = {"step": 2.0, "loss": 1.5, "pseudo/0": 10.0, "pseudo/1": 30.0}
    assert state.take_mean_logs() == expected
    assert state.take_mean_logs() == {"step": 2.0}
