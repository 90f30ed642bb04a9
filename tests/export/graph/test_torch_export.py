"""Tracing: the same bytes twice, in silence, or one sentence."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from onnx import ModelProto
from torch import nn

from edgeseg.errors import ExportError
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.torch_export import export_network
from edgeseg.models import Network
from tests.helpers.exporting import HEIGHT, WIDTH


def test_exporting_twice_gives_the_same_bytes_in_silence(
    network: Network,
    lowered: ModelProto,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    again = canonicalize_names(lower(export_network(network, HEIGHT, WIDTH)))
    assert again.SerializeToString() == lowered.SerializeToString()
    assert capfd.readouterr() == ("", "") and not [
        r for r in caplog.records if r.levelno >= logging.WARNING
    ]


class Impossible(nn.Module):
    def forward(self, image: torch.Tensor) -> Any:
        if image.mean() > image.std():  # a branch on values cannot be traced
            return image
        return -image


def test_a_network_that_cannot_be_traced_is_one_sentence() -> None:
    class Wrapped(nn.Module):
        def forward(self, image: torch.Tensor) -> Any:
            from edgeseg.models import Output

            return Output(Impossible()(image), [], None)

    with pytest.raises(ExportError, match="torch cannot write this network") as caught:
        export_network(Wrapped(), 32, 32)
    told = str(caught.value)
    assert "\n" not in told and "\x1b" not in told and "step 1" not in told
    assert "data-dependent" in told.lower()  # what is wrong, in torch's words
