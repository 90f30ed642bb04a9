"""Building blocks of this project's edge networks, which stay in integers when quantized.

Plain convolutions with ReLU, whose quantized outputs are unsigned with zero point 0 for ONNX
Runtime and fuse with their convolution everywhere. Maps are enlarged by repeating pixels, because a
bilinear resize computes in float.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class BackboneEncoder(nn.Module):
    """A backbone with the interface that `Network` asks of an encoder.

    Attributes:
        model: Takes (B, 3, H, W) and gives maps (B, D, h, w), from fine to coarse.
        out_channels: D of each map.
    """

    def __init__(self, model: nn.Module, out_channels: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.out_channels = tuple(out_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.model(image)
        return maps


class StagedBackbone(nn.Module):
    """A stem and stages one after the other, each of which gives a map.

    Attributes:
        stem: Takes the image (B, 3, H, W).
        stages: Each halves the map before it.
        widths: Channels of their maps.
    """

    stem: nn.Module
    stages: nn.ModuleList
    widths: tuple[int, ...]

    def forward(self, image: Tensor) -> list[Tensor]:
        features, maps = [], self.stem(image)
        for stage in self.stages:
            maps = stage(maps)
            features.append(maps)
        return features


def conv_bn(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """A convolution with batch norm, by default with ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    activation = [nn.ReLU(inplace=True)] if relu else []
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *activation)


def depthwise_bn(channels: int) -> nn.Sequential:
    """A depthwise 3x3 convolution with batch norm and ReLU."""
    conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def global_mean(maps: Tensor) -> Tensor:
    """Average (B, D, h, w) to (B, D, 1, 1).

    It is exported as GlobalAveragePool, which has an integer kernel for any size.
    """
    return maps.mean((2, 3), keepdim=True)


def repeat_pixels(maps: Tensor, times: int) -> Tensor:
    """Enlarge (B, D, h, w) to (B, D, times h, times w) by repeating every pixel."""
    return F.interpolate(maps, scale_factor=times, mode="nearest")


class ChannelGate(nn.Module):
    """Channel attention: a factor of 0..1 for each channel, (B, D, 1, 1), from its mean.

    A true sigmoid: it runs on quantized values, and HardSigmoid does not.
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: int = 0) -> None:
        """Take the numbers of channels; with `hidden`, of a layer between."""
        super().__init__()
        first = [nn.Conv2d(in_channels, hidden, 1), nn.ReLU(inplace=True)] if hidden else []
        last = nn.Conv2d(hidden or in_channels, out_channels, 1)
        self.layers = nn.Sequential(*first, last, nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        gate: Tensor = self.layers(global_mean(maps))
        return gate
