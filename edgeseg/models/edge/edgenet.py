"""A network of this project for integers on CPUs, made from what its layers cost there.

In ONNX Runtime's INT8 a dense 3x3 convolution does as many products a second as a 1x1, and a
depthwise one a seventh to a tenth of that (benchmarks/RESULTS.md). Up to about 64 channels a dense
3x3 is therefore cheaper than an inverted residual, beyond about 96 channels it is dearer. So:

- At strides 4 and 8, where maps are large and narrow, plain 3x3 convolutions. They are trained with
  branches beside them (RepVGG, Ding et al., CVPR 2021, section 3), which are merged for export:
  neither an addition nor a second pass over the map is left.
- At strides 16 and 32, where maps are small and wide, inverted residuals (MobileNetV2, Sandler et
  al., CVPR 2018) with three times the channels within, half of MobileNetV2's.
- The map is at stride 4 after two layers, all widths are multiples of 16, and every activation is
  ReLU.
- The decoder is `lightfpn`.

There are no ImageNet weights: it starts from random ones and learns from a site model. Names of
attributes stand in weights files.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.models.edge.blocks import BackboneEncoder, StagedBackbone, conv_bn, depthwise_bn
from edgeseg.models.edge.lightfpn import LightFPNDecoder

SIZE_MULTIPLE = 32  # heights and widths are multiples of it
EXPANSION = 3  # of an inverted residual


class Widths(NamedTuple):
    """Channels of a network, and the number of blocks behind the first of a stage.

    Attributes:
        stem: Channels at stride 2.
        fine: At stride 4.
        stages: At strides 8, 16 and 32.
        decoder: Of the decoder.
        depths: Further blocks of the stages.
    """

    stem: int
    fine: int
    stages: tuple[int, int, int]
    decoder: int
    depths: tuple[int, int, int]


ENCODERS = {
    "edgenet_100": Widths(32, 48, (64, 128, 192), 64, (3, 4, 4)),
    "edgenet_075": Widths(32, 32, (48, 96, 160), 64, (3, 3, 3)),
    "edgenet_050": Widths(16, 32, (32, 64, 128), 48, (2, 3, 3)),
}


class MergedBranches(nn.Module):
    """A 3x3 convolution that is trained with a 1x1 and a shortcut beside it, all before one ReLU.

    `reparameterize` makes them one convolution: a 1x1 is a 3x3 with zeros around its center, and a
    shortcut is a 1x1 of the identity.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.dense = conv_bn(in_channels, out_channels, 3, stride, relu=False)
        self.point = conv_bn(in_channels, out_channels, 1, stride, relu=False)
        same_shape = in_channels == out_channels and stride == 1
        self.shortcut = nn.BatchNorm2d(out_channels) if same_shape else None
        self.merged: nn.Conv2d | None = None

    def forward(self, maps: Tensor) -> Tensor:
        if self.merged is not None:
            return F.relu(self.merged(maps))
        total: Tensor = self.dense(maps) + self.point(maps)
        return F.relu(total if self.shortcut is None else total + self.shortcut(maps))

    @torch.no_grad()
    def reparameterize(self) -> None:
        """Merge the branches, with their statistics, into one convolution; training is over."""
        kernel, bias = _folded(self.dense)
        point, point_bias = _folded(self.point)
        kernel, bias = kernel + F.pad(point, [1, 1, 1, 1]), bias + point_bias
        if self.shortcut is not None:
            scale, offset = _scale_and_offset(self.shortcut)
            identity = torch.eye(len(scale), device=scale.device)[:, :, None, None]
            kernel = kernel + F.pad(identity * scale[:, None, None, None], [1, 1, 1, 1])
            bias = bias + offset
        merged = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, self.stride, 1).to(kernel.device)
        merged.weight.copy_(kernel)
        assert merged.bias is not None
        merged.bias.copy_(bias)
        self.merged = merged
        del self.dense, self.point, self.shortcut


class InvertedResidual(nn.Module):
    """Expanded, convolved channel by channel, narrowed and added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = EXPANSION * channels
        self.path = nn.Sequential(
            *conv_bn(channels, inside, 1),
            *depthwise_bn(inside),
            *conv_bn(inside, channels, 1, relu=False),
        )

    def forward(self, maps: Tensor) -> Tensor:
        added: Tensor = maps + self.path(maps)
        return added


class EdgeNetBackbone(StagedBackbone):
    """A stem and three stages: maps at strides 8, 16 and 32."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.widths = widths.stages
        self.stem = nn.Sequential(
            conv_bn(3, widths.stem, 3, 2), MergedBranches(widths.stem, widths.fine, 2)
        )
        first, second, third = widths.stages
        dense = [MergedBranches(first, first) for _ in range(widths.depths[0])]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(MergedBranches(widths.fine, first, 2), *dense),
                nn.Sequential(
                    conv_bn(first, second, 3, 2),
                    *(InvertedResidual(second) for _ in range(widths.depths[1])),
                ),
                nn.Sequential(
                    conv_bn(second, third, 3, 2),
                    *(InvertedResidual(third) for _ in range(widths.depths[2])),
                ),
            ]
        )


def _scale_and_offset(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies by and adds in inference, (D,) each."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _folded(layers: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with the batch norm behind it."""
    conv, norm = layers[0], layers[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    scale, offset = _scale_and_offset(norm)
    return conv.weight * scale[:, None, None, None], offset


def build_encoder_decoder(encoder: str) -> tuple[BackboneEncoder, LightFPNDecoder]:
    """Encoder and decoder for one of ENCODERS."""
    widths = ENCODERS[encoder]
    backbone = EdgeNetBackbone(widths)
    return BackboneEncoder(backbone, backbone.widths), LightFPNDecoder(
        backbone.widths, widths.decoder
    )
