"""Names of architectures with the width of their decoder."""

from __future__ import annotations

import pytest
import torch

from edgeseg.errors import TrainError
from edgeseg.models import build_network
from edgeseg.models.arch_names import WIDTHS, parse_arch


@pytest.mark.parametrize(
    ("arch", "decoder", "width"),
    [
        ("deeplabv3plus_096", "deeplabv3plus", 96),
        ("lightfpn_1024", "lightfpn", 1024),
        ("lightfpn", "lightfpn", 96),
        ("lraspp", "lraspp", None),
        ("lraspp_096", "lraspp_096", None),  # has one width: no such arch
        ("deeplabv3plus_96", "deeplabv3plus_96", None),
    ],
)
def test_a_name_may_carry_the_width_of_the_decoder(
    arch: str, decoder: str, width: int | None
) -> None:
    assert parse_arch(arch) == (decoder, width)


@pytest.mark.parametrize("decoder", sorted(WIDTHS))
def test_the_width_is_what_the_classifier_reads_and_the_bare_name_has_its_own(decoder: str) -> None:
    narrow = build_network(f"{decoder}_032", "mobilenetv2_035", 3, size=(64, 96)).eval()
    assert narrow.classifier.in_channels == 32
    assert narrow(torch.zeros(1, 3, 64, 96)).logits.shape[1] == 3
    bare = build_network(decoder, "mobilenetv2_035", 3, size=(64, 96))
    assert bare.classifier.in_channels == WIDTHS[decoder]
    assert (bare.atrous_rates is None) == (narrow.atrous_rates is None)


@pytest.mark.parametrize("arch", ["deeplabv3plus_000", "lightfpn_050", "lightfpn_2048"])
def test_a_width_that_cannot_be_says_which_can(arch: str) -> None:
    with pytest.raises(TrainError, match=r"take a multiple of 8 from \w+_008 to \w+_1024"):
        build_network(arch, "mobilenetv2_035", 3)


@pytest.mark.parametrize(
    ("arch", "advice"),
    [("lraspp_096", "did you mean lraspp"), ("lightfpm_096", "did you mean lightfpn")],
)
def test_a_misspelled_name_gets_the_nearest(arch: str, advice: str) -> None:
    with pytest.raises(TrainError, match=advice):
        build_network(arch, "mobilenetv2_035", 3)


def test_an_encoder_of_another_network_is_told_for_a_name_with_a_width_too() -> None:
    with pytest.raises(TrainError, match="set arch to stdc"):
        build_network("lightfpn_064", "stdc1_025", 3)
