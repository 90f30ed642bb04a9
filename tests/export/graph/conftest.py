"""The small exported network, an image and its logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.torch_export import export_network
from edgeseg.models import MEAN, STD, Network, build_network
from tests.helpers.exporting import ENCODER, HEIGHT, WIDTH


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(0)
    made = build_network("deeplabv3plus", ENCODER, 3).eval()
    made.classifier.weight.data *= 20  # opinions, so that masks have more than one class
    return made


@pytest.fixture(scope="session")
def lowered(network: Network) -> ModelProto:
    return canonicalize_names(lower(export_network(network, HEIGHT, WIDTH)))


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="session")
def logits(network: Network, image: NDArray[np.uint8]) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        found: torch.Tensor = network(
            (torch.from_numpy(image).permute(0, 3, 1, 2) / 255 - mean) / std
        ).logits
    return found
