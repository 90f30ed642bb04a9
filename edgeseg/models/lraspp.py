"""LR-ASPP (Howard et al., Searching for MobileNetV3, 2019, section 6.4) for convolutional encoders
of timm.

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

from edgeseg.models.blocks import Gate, convolution, enlarge

WIDTH, DETAIL = 128, 32  # channels of the gated branch and of the finer map
FINE = 3  # which of the encoder's maps has stride 8
STRIDE = 16  # of its last map


class LrasppDecoder(nn.Module):
    """Maps at strides 8 and 16 become one at stride 8."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Take the widths of the encoder's maps, the first of which is the image."""
        super().__init__()
        self.out_channels = WIDTH + DETAIL
        self.project = convolution(channels[-1], WIDTH, 1)
        self.gate = Gate(channels[-1], WIDTH)
        self.detail = convolution(channels[FINE], DETAIL, 1)
        width = self.out_channels
        depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.smooth = nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 160, H / 8, W / 8)."""
        fine, coarse = features[FINE], features[-1]
        gated = self.project(coarse) * self.gate(coarse)
        smooth: Tensor = self.smooth(torch.cat([enlarge(gated, 2), self.detail(fine)], 1))
        return smooth
