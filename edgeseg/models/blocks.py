"""What the edge networks of our own are made of: parts that stay in integers when the network is
quantized.

Plain convolutions with ReLU, whose outputs are unsigned codes with zero point 0 for ONNX Runtime
and fuse with their convolution everywhere. Maps are enlarged by repeating pixels, because a
bilinear resize computes in float.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class OwnEncoder(nn.Module):
    """What `Network` asks of an encoder.

    Attributes:
        model: takes (B, 3, H, W) and gives maps (B, D, h, w), from fine to coarse.
        out_channels: D of each.
    """

    def __init__(self, model: nn.Module, out_channels: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.out_channels = tuple(out_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.model(image)
        return maps


def convolution(
    inside: int, outside: int, kernel: int = 3, stride: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """A convolution with batch norm, by default with ReLU."""
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(outside), *([nn.ReLU(inplace=True)] if relu else []))


def mean(maps: Tensor) -> Tensor:
    """(B, D, h, w) to (B, D, 1, 1); exported as GlobalAveragePool, which has an integer kernel for
    any size.
    """
    return maps.mean((2, 3), keepdim=True)


def enlarge(maps: Tensor, times: int) -> Tensor:
    """Every pixel repeated."""
    return F.interpolate(maps, scale_factor=times, mode="nearest")


class Gate(nn.Module):
    """(B, D, 1, 1) in 0..1: how much of each channel is wanted, as the mean over all pixels
    suggests.

    A true sigmoid: it runs on codes, and HardSigmoid does not.
    """

    def __init__(self, inside: int, outside: int, hidden: int = 0) -> None:
        """Take the widths; with `hidden`, of a layer between."""
        super().__init__()
        first = [nn.Conv2d(inside, hidden, 1), nn.ReLU(inplace=True)] if hidden else []
        self.layers = nn.Sequential(*first, nn.Conv2d(hidden or inside, outside, 1), nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        gate: Tensor = self.layers(mean(maps))
        return gate
