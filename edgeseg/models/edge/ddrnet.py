"""A small DDRNet (Hong et al., Deep Dual-resolution Networks, 2021).

One branch stays at stride 8 and keeps outlines, the other goes down to stride 32 and sees the
scene; twice on the way each is added to the other. What differs from DDRNet-23-slim, for the sake
of integers and of sizes that are multiples of 32:

- Every block ends in ReLU, those in front of an addition too, so that only one side of an addition
  is signed, and the sum not at all: a sign costs a bit of the quantized values.
- Between the branches pixels are repeated; residual blocks follow and smooth. The only bilinear
  resize is the last one, of few channels.
- The context module's pools of 5, 9 and 17 pixels with padding become a chain of 3x3 convolutions,
  whose receptive fields grow alike, beside the mean over the map, and the coarse branch ends at
  stride 32 and not 64.
- The auxiliary head, which is used in training only, is left out.

There are no ImageNet weights: it starts from random ones. Names of attributes stand in weights
files.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.models.edge.blocks import BackboneEncoder, conv_bn, global_mean, repeat_pixels

SIZE_MULTIPLE = 32  # heights and widths are multiples of it
CONTEXT_CONVOLUTIONS = 3
ENCODERS = {  # channels at stride 4
    "ddrnet_100": 32,
    "ddrnet_075": 24,
    "ddrnet_050": 16,
    "ddrnet_025": 8,
}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, or with `middle` channels a bottleneck, and a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, middle: int = 0
    ) -> None:
        super().__init__()
        if middle:
            layers = [conv_bn(in_channels, middle, 1), conv_bn(middle, middle, 3, stride)]
            self.path = nn.Sequential(*layers, conv_bn(middle, out_channels, 1, relu=False))
        else:
            layers = [conv_bn(in_channels, out_channels, 3, stride)]
            self.path = nn.Sequential(*layers, conv_bn(out_channels, out_channels, relu=False))
        same_shape = in_channels == out_channels and stride == 1
        self.around = (
            nn.Identity()
            if same_shape
            else conv_bn(in_channels, out_channels, 1, stride, relu=False)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.path(maps) + self.around(maps))


class BilateralFusion(nn.Module):
    """Bilateral fusion: each branch is added to the other."""

    def __init__(self, *channels: int) -> None:
        """Take the channels on the way down from the fine branch to the coarse one.

        Each map is half as large as the one before.
        """
        super().__init__()
        steps = list(pairwise(channels))
        self.down = nn.Sequential(
            *(conv_bn(before, after, 3, 2) for before, after in steps[:-1]),
            conv_bn(*steps[-1], 3, 2, relu=False),
        )
        self.up = conv_bn(channels[-1], channels[0], 1, relu=False)
        self.times = 2 ** len(steps)  # how much larger the fine map is

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        enlarged = repeat_pixels(self.up(coarse), self.times)
        return F.relu(fine + enlarged), F.relu(coarse + self.down(fine))


class DDRNetBackbone(nn.Module):
    """The two branches: maps at strides 8 and 32."""

    def __init__(self, width: int) -> None:
        """Take the channels at stride 4."""
        super().__init__()
        width2, width4, width8 = 2 * width, 4 * width, 8 * width
        self.widths = (width2, width8)
        self.stem = nn.Sequential(
            conv_bn(3, width, 3, 2),
            conv_bn(width, width, 3, 2),
            ResidualBlock(width, width),
            ResidualBlock(width, width),
            ResidualBlock(width, width2, 2),
            ResidualBlock(width2, width2),
        )
        self.fine = nn.ModuleList(
            [
                nn.Sequential(ResidualBlock(width2, width2), ResidualBlock(width2, width2))
                for _ in range(2)
            ]
        )
        self.coarse = nn.ModuleList(
            nn.Sequential(ResidualBlock(before, after, 2), ResidualBlock(after, after))
            for before, after in ((width2, width4), (width4, width8))
        )
        self.exchanges = nn.ModuleList(
            [BilateralFusion(width2, width4), BilateralFusion(width2, width4, width8)]
        )
        self.ends = nn.ModuleList(
            [
                ResidualBlock(width2, width2, middle=width),
                ResidualBlock(width8, width8, middle=width4),
            ]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = coarse = self.stem(image)
        for fine_block, coarse_block, fuse in zip(self.fine, self.coarse, self.exchanges):
            fine, coarse = fuse(fine_block(fine), coarse_block(coarse))
        return [self.ends[0](fine), self.ends[1](coarse)]


class ContextModule(nn.Module):
    """Growing receptive fields of a coarse map side by side, and its mean."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.first = conv_bn(in_channels, width, 1)
        self.chain = nn.ModuleList(conv_bn(width, width) for _ in range(CONTEXT_CONVOLUTIONS))
        self.join = conv_bn((1 + CONTEXT_CONVOLUTIONS) * width, width, 1, relu=False)
        self.whole = nn.Conv2d(in_channels, width, 1)

    def forward(self, coarse: Tensor) -> Tensor:
        fields = [self.first(coarse)]
        for layer in self.chain:
            fields.append(layer(fields[-1]))
        return F.relu(self.join(torch.cat(fields, 1)) + self.whole(global_mean(coarse)))


class DDRNetDecoder(nn.Module):
    """The scene of the coarse branch added to the outlines of the fine one."""

    def __init__(self, fine: int, coarse: int) -> None:
        """Take the channels of the branches."""
        super().__init__()
        self.out_channels = 2 * fine
        self.context = ContextModule(coarse, fine)
        self.last = conv_bn(fine, self.out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 2 fine, H / 8, W / 8)."""
        fine, coarse = features
        scene = F.interpolate(self.context(coarse), scale_factor=4, mode="bilinear")
        decoded: Tensor = self.last(fine + scene)
        return decoded


def build_encoder_decoder(encoder: str) -> tuple[BackboneEncoder, DDRNetDecoder]:
    """Encoder and decoder for one of ENCODERS."""
    backbone = DDRNetBackbone(ENCODERS[encoder])
    return BackboneEncoder(backbone, backbone.widths), DDRNetDecoder(*backbone.widths)
