"""Networks with one forward pass, and their weights on disk.

Encoders are timm's, decoders those of segmentation-models-pytorch and of this project.
"""

from edgeseg.models.factory import build_network
from edgeseg.models.network import MEAN, STD, Network, Output

__all__ = [
    "MEAN",
    "STD",
    "Network",
    "Output",
    "atrous_rates",
    "build_network",
    "model_files",
    "student_networks",
]
