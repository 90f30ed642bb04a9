"""LR-ASPP (Howard et al., Searching for MobileNetV3, 2019, section 6.4), a small decoder.

It takes the maps of timm's convolutional encoders.

Meant for MobileNetV2, whose ReLU6 fuses with its convolutions where MobileNetV3's HardSwish stays
float. What differs from the paper, for the sake of integers:

- The gate pools over the whole map, since windows of 49 pixels divide no size but one.
- The gated map is enlarged by repeating pixels and not bilinearly. A depthwise 3x3 convolution
  behind it can learn to interpolate, and it also mixes in the finer map.
- One classifier reads the two branches side by side, which is the same as the sum of a classifier
  for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.edge.blocks import ChannelGate, conv_bn, repeat_pixels

GATED_CHANNELS, DETAIL_CHANNELS = 128, 32  # of the gated branch and of the finer map
FINE = 3  # index of the encoder's map at stride 8
STRIDE = 16  # of its last map


class LRASPPDecoder(nn.Module):
    """Maps at strides 8 and 16 become one at stride 8."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Take the channels of the encoder's maps, the first of which is the image."""
        super().__init__()
        self.out_channels = GATED_CHANNELS + DETAIL_CHANNELS
        self.project = conv_bn(channels[-1], GATED_CHANNELS, 1)
        self.gate = ChannelGate(channels[-1], GATED_CHANNELS)
        self.detail = conv_bn(channels[FINE], DETAIL_CHANNELS, 1)
        width = self.out_channels
        depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.smooth = nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 160, H / 8, W / 8)."""
        fine, coarse = features[FINE], features[-1]
        gated = self.project(coarse) * self.gate(coarse)
        smooth: Tensor = self.smooth(torch.cat([repeat_pixels(gated, 2), self.detail(fine)], 1))
        return smooth


def build_decoder(channels: Sequence[int], width: int | None) -> LRASPPDecoder:
    """The decoder for an encoder's maps; it has one width."""
    assert width is None, "its name carries no width"
    return LRASPPDecoder(channels)
