"""Pretrained weights of encoders, under the names of timm and of Meta."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from edgeseg.errors import TrainError
from edgeseg.models import build_network

VIT = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_dinov2"
REGISTERS = "vit_small_patch14_reg4_dinov2"


def test_weights_of_networks_that_timm_takes_apart_are_found(tmp_path: Path) -> None:
    whole = timm.create_model("convnext_atto")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    network = build_network("fpn", "convnext_atto", 3, str(tmp_path / "w.safetensors"))
    inside, wanted = (
        network.encoder.state_dict(),
        whole.state_dict()["stages.1.blocks.0.conv_dw.weight"],
    )
    assert torch.equal(inside["model.stages_1.blocks.0.conv_dw.weight"], wanted)
    with pytest.raises(TrainError, match=r"name the encoder it was made for"):
        build_network("fpn", "resnet18", 3, str(tmp_path / "w.safetensors"))
    with pytest.raises(TrainError, match=r"name the encoder it was made for"):
        build_network("dpt", VIT, 3, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("name", [DINO, REGISTERS])
def test_weights_of_dinov2_load_under_the_names_of_timm_and_of_meta(
    tmp_path: Path, name: str
) -> None:
    torch.manual_seed(0)
    state = timm.create_model(name, num_classes=0, img_size=70).state_dict()  # 5 by 5 patches
    save_file(state, tmp_path / "timm.safetensors")
    width = state["cls_token"].shape[2]
    meta = {key: tensor for key, tensor in state.items() if key != "reg_token"} | {
        "mask_token": torch.zeros(1, width)
    }
    if "reg_token" in state:
        meta["register_tokens"] = state["reg_token"]
        meta["pos_embed"] = torch.cat([torch.ones(1, 1, width), state["pos_embed"]], 1)
        meta["cls_token"] = state["cls_token"] - 1
    save_file(meta, tmp_path / "meta.safetensors")
    same = build_network(
        "dpt", name, 3, str(tmp_path / "timm.safetensors"), size=(70, 70)
    ).encoder.state_dict()
    assert all(torch.equal(same[f"model.{key}"], tensor) for key, tensor in state.items())
    one = build_network(
        "dpt", name, 3, str(tmp_path / "timm.safetensors"), size=(56, 84)
    ).encoder.state_dict()
    two = build_network(
        "dpt", name, 3, str(tmp_path / "meta.safetensors"), size=(56, 84)
    ).encoder.state_dict()
    assert one["model.pos_embed"].shape[1] in (24, 25)
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor)
