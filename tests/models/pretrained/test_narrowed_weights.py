"""Weights of a narrow encoder, cut out of those of its wider sibling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from edgeseg.errors import TrainError
from edgeseg.models import build_network
from edgeseg.models.pretrained.narrowed_weights import is_wider, narrow_state

WIDE, NARROW = "mobilenetv2_050", "mobilenetv2_035"


def model_of(encoder: str) -> torch.nn.Module:
    return build_network("fpn", encoder, 2).encoder.get_submodule("model").eval()


def shapes(encoder: str) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model_of(encoder).state_dict().items()}


def quiet_channels(state: dict[str, Tensor], wanted: dict[str, torch.Size]) -> None:
    """Let every layer write zeros on as many channels as the narrow encoder lacks."""
    loud: dict[str, Tensor] = {}
    for norm in sorted({name.rpartition(".")[0] for name in state if "running_mean" in name}):
        parts = norm.split(".")
        # what the blocks of a stage write is added up, so they are silent on the same channels
        written_by = f"stage {parts[1]}" if parts[-1] == "bn3" else norm
        weight = state[f"{norm}.weight"]
        order = loud.setdefault(written_by, torch.randperm(len(weight)))
        silent = order[wanted[f"{norm}.weight"][0] :]
        state[f"{norm}.weight"] = torch.empty_like(weight).uniform_(0.5, 1.5)
        state[f"{norm}.bias"] = torch.empty_like(weight).uniform_(-0.5, 0.5)
        for part in ("weight", "bias"):
            state[f"{norm}.{part}"][silent] = 0


def test_channels_that_carry_nothing_go_and_nothing_changes() -> None:
    torch.manual_seed(0)
    wide, narrow = model_of(WIDE), model_of(NARROW)
    state = wide.state_dict()
    quiet_channels(state, shapes(NARROW))
    wide.load_state_dict(state)
    narrow.load_state_dict(narrow_state(state, shapes(NARROW)))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        pairs = list(zip(wide(image), narrow(image), strict=True))
    assert len(pairs) == 5
    for large, small in pairs:
        loud = large.abs().amax((0, 2, 3)) > 0
        assert loud.sum() == small.shape[1]
        torch.testing.assert_close(large[:, loud], small, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("wide", "narrow", "is_so"),
    [
        (WIDE, NARROW, True),
        ("mobilenetv2_100", WIDE, True),
        (NARROW, WIDE, False),
        (WIDE, WIDE, False),
        ("tf_efficientnet_lite0", WIDE, False),
        ("resnet18", WIDE, False),
        ("mobilenetv2_110d", WIDE, False),  # deeper
        ("tf_efficientnet_lite2", "tf_efficientnet_lite0", False),
        ("efficientnet_b2", "efficientnet_b0", False),  # with gates
    ],
)
def test_a_wider_sibling_has_the_same_blocks(wide: str, narrow: str, is_so: bool) -> None:
    assert is_wider(model_of(wide).state_dict(), shapes(narrow)) is is_so


def test_a_file_of_the_wider_sibling_starts_a_narrow_encoder(tmp_path: Path) -> None:
    state = model_of(WIDE).state_dict()
    save_file({**state, "classifier.weight": torch.ones(2, 2)}, tmp_path / "wide.safetensors")
    network = build_network("lightfpn", NARROW, 3, str(tmp_path / "wide.safetensors"))
    taken = network.encoder.get_submodule("model").get_parameter("blocks.6.0.conv_dw.weight")
    given = {tuple(row.flatten().tolist()) for row in state["blocks.6.0.conv_dw.weight"]}
    assert {tuple(row.flatten().tolist()) for row in taken.detach()} < given
    save_file(model_of("tf_efficientnet_lite0").state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(TrainError, match="name the encoder it was made for"):
        build_network("lightfpn", NARROW, 3, str(tmp_path / "other.safetensors"))
