"""DeepLab's context branches see the map: no tap beyond its border, at any size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgeseg.models import Network, build_network
from edgeseg.models.atrous_rates import OLD_RATES, STRIDES, AtrousRates, fitted_rates
from edgeseg.models.model_files import ModelCard, load_model, save_card, save_weights
from tests.helpers.bundles import CLASSES

SIZES = [(96, 128), (192, 192), (192, 256), (256, 192), (384, 512), (512, 512), (513, 513)]


def context_branches(network: Network) -> list[nn.Conv2d]:
    """The dilated 3x3 convolutions of the decoder."""
    found = [one for one in network.decoder.modules() if isinstance(one, nn.Conv2d)]
    return [one for one in found if one.kernel_size == (3, 3) and one.dilation != (1, 1)]


def living_taps(rate: int, rows: int, columns: int) -> int:
    """The number of the nine taps that read the map from some position, by trying."""
    branch = nn.Conv2d(1, 1, 3, padding=rate, dilation=rate, bias=False)
    nn.init.ones_(branch.weight)
    branch(torch.ones(1, 1, rows, columns)).sum().backward()
    assert branch.weight.grad is not None
    return int((branch.weight.grad > 0).sum())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", sorted(STRIDES))
def test_every_tap_reads_the_map(arch: str, size: tuple[int, int]) -> None:
    rows, columns = (side // STRIDES[arch] for side in size)
    rates = fitted_rates(arch, size)
    assert rates is not None and rates[0] < rates[1] < rates[2]
    assert [living_taps(rate, rows, columns) for rate in rates] == [9, 9, 9]


def test_this_test_sees_what_was_wrong() -> None:
    """At 192x256 the old rates read 3, 1 and 1 of nine."""
    assert [living_taps(rate, 12, 16) for rate in OLD_RATES] == [3, 1, 1]


@pytest.mark.parametrize(
    ("arch", "size", "rates"),
    [
        ("deeplabv3plus", (513, 513), (6, 12, 18)),
        ("deeplabv3plus", (801, 801), (6, 12, 18)),
        ("deeplabv3", (513, 513), (12, 24, 36)),
        ("deeplabv3plus", None, (6, 12, 18)),
        ("deeplabv3plus", (384, 512), (4, 8, 12)),
        ("deeplabv3plus", (192, 256), (2, 4, 6)),
        ("deeplabv3plus", (32, 64), (1, 1, 1)),
        ("fpn", (512, 512), None),
    ],
)
def test_published_pairs_and_their_proportion(
    arch: str, size: tuple[int, int] | None, rates: AtrousRates | None
) -> None:
    assert fitted_rates(arch, size) == rates


def test_a_network_is_built_with_them() -> None:
    network = build_network("deeplabv3plus", "mobilenetv2_035", 3, size=(192, 256))
    assert network.atrous_rates == (2, 4, 6)
    assert sorted(one.dilation[0] for one in context_branches(network)) == [2, 4, 6]
    named = build_network("deeplabv3plus", "mobilenetv2_035", 3, size=(192, 256), rates=OLD_RATES)
    assert sorted(one.dilation[0] for one in context_branches(named)) == [12, 24, 36]
    assert build_network("fpn", "mobilenetv2_035", 3, rates=OLD_RATES).atrous_rates is None


@pytest.mark.parametrize("rates", [None, (3, 6, 9)])
def test_a_saved_model_keeps_the_rates_that_it_was_trained_with(
    tmp_path: Path, rates: AtrousRates | None
) -> None:
    """One whose card names none is from before, and had (12, 24, 36)."""
    built = build_network("deeplabv3plus", "mobilenetv2_035", len(CLASSES), rates=rates)
    save_weights(tmp_path, "best", built)
    card = ModelCard(
        arch="deeplabv3plus",
        encoder="mobilenetv2_035",
        classes=CLASSES,
        height=64,
        width=96,
        atrous_rates=rates,
    )
    save_card(tmp_path, card)
    assert load_model(tmp_path).module.atrous_rates == (rates or OLD_RATES)
    assert load_model(tmp_path, size=(512, 512)).module.atrous_rates == (rates or OLD_RATES)
