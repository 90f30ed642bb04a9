"""Networks with one forward pass, and their weights on disk.

Encoders are timm's, decoders those of segmentation-models-pytorch and of this project.
"""

from edgeseg.models.factory import build_network
from edgeseg.models.network import Network, Output
from edgeseg.models.pretrained.normalization import MEAN, STD

__all__ = [
    "MEAN",
    "STD",
    "Network",
    "Output",
    "atrous_rates",
    "build_network",
    "edge",
    "model_files",
    "pretrained",
    "student_networks",
]
