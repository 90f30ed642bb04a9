"""Perturbed features: their shapes, and the direction of adversarial noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgeseg.methods.framework import feature_perturbation as perturb


class Decoder(torch.nn.Module):
    """Reads the second of two levels; nearly all of its answer hangs on one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            self.last.weight[:, 2] *= 100

    def forward(self, maps: list[Tensor]) -> Tensor:
        answer: Tensor = self.last(maps[1])
        return answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adversarial_noise_finds_what_the_decoder_listens_to(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    decoder = Decoder()
    features = [
        torch.randn(2, 4, 6, 6, dtype=dtype),
        (0.1 * torch.randn(2, 6, 3, 3)).to(dtype).requires_grad_(True),
    ]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        moved = perturb.adversarial_noise(decoder, features, 0.1, 2.0)
    assert (
        all(parameter.grad is None for parameter in decoder.parameters())
        and features[1].grad is None
    )
    assert torch.equal(moved[0], features[0]) and moved[1].dtype == dtype
    push = (moved[1] - features[1]).detach().float()
    assert push.flatten(1).norm(dim=1).tolist() == pytest.approx([2.0, 2.0], rel=0.02)
    assert float(push[:, 2].square().sum() / push.square().sum()) > 0.99
    again = perturb.adversarial_noise(decoder, features, 0.1, 2.0)[1]
    (slope,) = torch.autograd.grad(again.sum(), features[1])
    assert bool((slope == 1).all())


def test_perturbations_keep_shapes_and_leave_the_features_alone() -> None:
    torch.manual_seed(0)
    features = [torch.rand(3, 8, 5, 6), torch.rand(3, 0, 4, 4), torch.rand(3, 16, 2, 2).bfloat16()]
    before = [maps.clone() for maps in features]
    views = [
        *perturb.complementary_dropout(features),
        perturb.channel_dropout(features),
        perturb.feature_noise(features),
        perturb.feature_drop(features),
        *perturb.complementary_dropout([maps[:1] for maps in features]),
    ]
    assert all(torch.equal(one, other) for one, other in zip(features, before, strict=True))
    for view in views:
        assert [maps.shape[1:] for maps in view] == [maps.shape[1:] for maps in features]
        assert [maps.dtype for maps in view] == [maps.dtype for maps in features]
        assert not torch.equal(view[0], features[0][: len(view[0])])
    share = perturb.feature_noise(features)[0] / features[0]
    assert float(share.min()) >= 0.7 - 1e-5 and float(share.max()) <= 1.3 + 1e-5
    dropped = perturb.feature_drop(features)[0]
    attention, gone = features[0].mean(1), (dropped == 0).all(1)
    for frame in range(3):
        assert (
            gone[frame].any()
            and float(attention[frame][gone[frame]].min()) > float(attention[frame].max()) * 0.7
        )
        assert float(attention[frame][~gone[frame]].max()) < float(
            attention[frame][gone[frame]].min()
        )
