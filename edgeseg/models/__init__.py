"""Networks: segmentation-models-pytorch and timm behind one forward pass."""

from edgeseg.models.factory import build_network
from edgeseg.models.network import MEAN, STD, Network, Output

__all__ = ["MEAN", "STD", "Network", "Output", "build_network"]
