"""STDC (Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, 2021): plain 3x3
convolutions.

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

There are no ImageNet weights: it starts from random ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.models.blocks import Gate, OwnEncoder, convolution, enlarge, mean

STEP = 32  # sizes are multiples of it
BLOCKS = 2  # in each of the three stages, as STDC1 has
ENCODERS = {"stdc1_100": 64, "stdc1_050": 32, "stdc1_025": 16}  # channels at stride 4


class Block(nn.Module):
    """Short-term dense concatenation: a half, a quarter and two eighths of the channels."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = outside // 2, outside // 4, outside // 8
        self.first = convolution(inside, half, 1)
        self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
        self.rest = nn.ModuleList(
            [
                convolution(half, quarter, 3, stride),
                convolution(quarter, eighth),
                convolution(eighth, eighth),
            ]
        )

    def forward(self, maps: Tensor) -> Tensor:
        found = self.first(maps)
        parts = [self.pool(found)]
        for layer in self.rest:
            found = layer(found)
            parts.append(found)
        return torch.cat(parts, 1)


class Stages(nn.Module):
    """The backbone: maps at strides 8, 16 and 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(3, width // 2, 3, 2), convolution(width // 2, width, 3, 2)
        )
        self.widths = (4 * width, 8 * width, 16 * width)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Block(inside, outside, 2), *(Block(outside, outside, 1) for _ in range(BLOCKS - 1))
            )
            for inside, outside in zip((width, *self.widths), self.widths)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, found = [], self.stem(image)
        for stage in self.stages:
            found = stage(found)
            maps.append(found)
        return maps


class StdcDecoder(nn.Module):
    """Context from coarse to fine, then fused with the map at stride 8."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        """Take the widths of the encoder's maps, and the one at stride 4."""
        super().__init__()
        context, self.out_channels = 2 * width, 4 * width
        fine, middle, coarse = channels
        self.whole = convolution_of_mean(coarse, context)
        self.refine = nn.ModuleList([Refinement(coarse, context), Refinement(middle, context)])
        self.smooth = nn.ModuleList([convolution(context, context), convolution(context, context)])
        self.fuse = convolution(fine + context, self.out_channels, 1)
        self.gate = Gate(self.out_channels, self.out_channels, self.out_channels // 4)
        self.last = convolution(self.out_channels, self.out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 4 width, H / 8, W / 8)."""
        fine, middle, coarse = features
        found = self.refine[0](coarse) + self.whole(mean(coarse))
        found = self.refine[1](middle) + self.smooth[0](enlarge(found, 2))
        found = self.fuse(torch.cat([fine, self.smooth[1](enlarge(found, 2))], 1))
        last: Tensor = self.last(found * self.gate(found))
        return last


class Refinement(nn.Module):
    """The paper's attention refinement: a convolution and a gate for its channels."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.project = convolution(inside, outside)
        self.gate = Gate(outside, outside)

    def forward(self, maps: Tensor) -> Tensor:
        found = self.project(maps)
        refined: Tensor = found * self.gate(found)
        return refined


def convolution_of_mean(inside: int, outside: int) -> nn.Sequential:
    """For maps of one pixel: without batch norm, which would need more of them."""
    return nn.Sequential(nn.Conv2d(inside, outside, 1), nn.ReLU(inplace=True))


def parts(encoder: str) -> tuple[OwnEncoder, StdcDecoder]:
    """Encoder and decoder for one of ENCODERS."""
    stages = Stages(ENCODERS[encoder])
    return OwnEncoder(stages, stages.widths), StdcDecoder(stages.widths, ENCODERS[encoder])
