"""A small decoder of this project: from the encoder's stride 32 to stride 8 in two light steps.

It takes the maps of timm's convolutional encoders, none of them dilated, and those of `edgenet`.
What it is made of, and why, by the cost of layers in INT8 on a CPU (benchmarks/RESULTS.md):

- The encoder ends at stride 32. DeepLab and LR-ASPP keep its last stages at stride 16, where they
  cost four times as much.
- Context is a gate by the means of the coarsest map, as in LR-ASPP (Howard et al. 2019, section
  6.4): a map of MobileNetV2 at stride 32 sees the whole of a small frame, and wide branches would
  see no more.
- Coarse and fine maps are added, as in feature pyramids (Lin et al. 2017, section 3). Pixels are
  repeated; a depthwise 3x3 convolution behind the sum learns to interpolate.
- All sums are of values from ReLU, whose quantized form has zero point 0.
- Logits have stride 8. What stride 4 would add is four times the pixels of decoder and
  post-processing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeseg.models.edge.blocks import ChannelGate, conv_bn, depthwise_bn, repeat_pixels

WIDTH = 96  # channels unless the name says otherwise
STRIDE = 32  # of its last map
FINER = (-2, -3)  # indices of the encoder's maps at strides 16 and 8


class LightFPNDecoder(nn.Module):
    """Maps at strides 8, 16 and 32 become one at stride 8."""

    def __init__(self, channels: Sequence[int], width: int = WIDTH) -> None:
        """Take the channels of the encoder's maps, the last three at strides 8, 16 and 32."""
        super().__init__()
        self.out_channels = width
        self.project = conv_bn(channels[-1], width, 1)
        self.gate = ChannelGate(channels[-1], width)
        self.lateral = nn.ModuleList(conv_bn(channels[index], width, 1) for index in FINER)
        self.smooth = nn.ModuleList(separable(width) for _ in FINER)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, width, H / 8, W / 8)."""
        coarse = features[-1]
        maps: Tensor = self.project(coarse) * self.gate(coarse)
        for index, lateral, smooth in zip(FINER, self.lateral, self.smooth):
            maps = smooth(repeat_pixels(maps, 2) + lateral(features[index]))
        return maps


def separable(width: int) -> nn.Sequential:
    """A depthwise 3x3 and a 1x1 convolution, each with batch norm and ReLU."""
    return nn.Sequential(*depthwise_bn(width), *conv_bn(width, width, 1))


def build_decoder(channels: Sequence[int], width: int | None) -> LightFPNDecoder:
    """The decoder for an encoder's maps."""
    return LightFPNDecoder(channels, width or WIDTH)
