"""STDC (Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, 2021).

It is made of plain 3x3 convolutions.

A block joins the outputs of ever narrower convolutions, so that each map holds small and large
receptive fields. The decoder is the paper's context path with its fusion module. What differs from
the paper, for the sake of integers:

- Blocks with stride 2 have a plain convolution with that stride, where the paper puts a depthwise
  one in between, and pool 2x2 without padding, which divides every map; padded windows are averaged
  differently by different engines.
- The fused map is multiplied by its gate and not added to itself as well, which saves a pass over
  the largest map.
- The detail head, which is used in training only, is left out: its loss needs edges of the labels,
  and methods here know nothing but logits.

There are no ImageNet weights: it starts from random ones. Names of attributes stand in weights
files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.models.edge.blocks import (
    BackboneEncoder,
    ChannelGate,
    StagedBackbone,
    conv_bn,
    global_mean,
    repeat_pixels,
)

SIZE_MULTIPLE = 32  # heights and widths are multiples of it
BLOCKS = 2  # in each of the three stages, as STDC1 has
ENCODERS = {"stdc1_100": 64, "stdc1_050": 32, "stdc1_025": 16}  # channels at stride 4


class STDCBlock(nn.Module):
    """Short-term dense concatenation: a half, a quarter and two eighths of the channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.first = conv_bn(in_channels, half, 1)
        self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
        self.rest = nn.ModuleList(
            [conv_bn(half, quarter, 3, stride), conv_bn(quarter, eighth), conv_bn(eighth, eighth)]
        )

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.first(maps)
        outputs = [self.pool(maps)]
        for layer in self.rest:
            maps = layer(maps)
            outputs.append(maps)
        return torch.cat(outputs, 1)


class STDCBackbone(StagedBackbone):
    """Three stages of blocks: maps at strides 8, 16 and 32."""

    def __init__(self, width: int) -> None:
        """Take the channels at stride 4."""
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, width // 2, 3, 2), conv_bn(width // 2, width, 3, 2))
        self.widths = (4 * width, 8 * width, 16 * width)
        self.stages = nn.ModuleList(
            nn.Sequential(
                STDCBlock(before, after, 2),
                *(STDCBlock(after, after, 1) for _ in range(BLOCKS - 1)),
            )
            for before, after in zip((width, *self.widths), self.widths)
        )


class STDCDecoder(nn.Module):
    """Context from coarse to fine, then fused with the map at stride 8."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        """Take the channels of the encoder's maps, and those at stride 4."""
        super().__init__()
        context, self.out_channels = 2 * width, 4 * width
        fine, middle, coarse = channels
        # One pixel is left after the mean: too few for batch norm.
        self.whole = nn.Sequential(nn.Conv2d(coarse, context, 1), nn.ReLU(inplace=True))
        self.refine = nn.ModuleList(
            [AttentionRefinement(coarse, context), AttentionRefinement(middle, context)]
        )
        self.smooth = nn.ModuleList([conv_bn(context, context), conv_bn(context, context)])
        self.fuse = conv_bn(fine + context, self.out_channels, 1)
        self.gate = ChannelGate(self.out_channels, self.out_channels, self.out_channels // 4)
        self.last = conv_bn(self.out_channels, self.out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 4 width, H / 8, W / 8)."""
        fine, middle, coarse = features
        context = self.refine[0](coarse) + self.whole(global_mean(coarse))
        context = self.refine[1](middle) + self.smooth[0](repeat_pixels(context, 2))
        fused = self.fuse(torch.cat([fine, self.smooth[1](repeat_pixels(context, 2))], 1))
        decoded: Tensor = self.last(fused * self.gate(fused))
        return decoded


class AttentionRefinement(nn.Module):
    """The paper's attention refinement: a convolution and a gate for its channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = conv_bn(in_channels, out_channels)
        self.gate = ChannelGate(out_channels, out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        projected = self.project(maps)
        refined: Tensor = projected * self.gate(projected)
        return refined


def build_encoder_decoder(encoder: str) -> tuple[BackboneEncoder, STDCDecoder]:
    """Encoder and decoder for one of ENCODERS."""
    width = ENCODERS[encoder]
    backbone = STDCBackbone(width)
    return BackboneEncoder(backbone, backbone.widths), STDCDecoder(backbone.widths, width)
