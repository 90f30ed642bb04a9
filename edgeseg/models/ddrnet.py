"""A small DDRNet (Hong et al., Deep Dual-resolution Networks, 2021): two branches that tell each
other what they see.

One branch stays at stride 8 and keeps outlines, the other goes down to stride 32 and sees the
scene; twice on the way each is added to the other. What differs from DDRNet-23-slim, for the sake
of integers and of sizes that are multiples of 32:

- Every block ends in ReLU, those in front of an addition too, so that only one side of an addition
  is signed, and the sum not at all: a sign costs a bit of the codes.
- Between the branches pixels are repeated; residual blocks follow and smooth. The only bilinear
  resize is the last one, of few channels.
- The context module's pools of 5, 9 and 17 pixels with padding become a chain of 3x3 convolutions,
  whose fields grow alike, beside the mean over the map, and the coarse branch ends at stride 32 and
  not 64.
- The auxiliary head, which is used in training only, is left out.

There are no ImageNet weights: it starts from random ones.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.models.blocks import OwnEncoder, convolution, enlarge, mean

STEP = 32  # sizes are multiples of it
CHAIN = 3  # convolutions of the context module
ENCODERS = {
    "ddrnet_100": 32,
    "ddrnet_075": 24,
    "ddrnet_050": 16,
    "ddrnet_025": 8,
}  # channels at stride 4


class Residual(nn.Module):
    """Two 3x3 convolutions, or with `middle` a bottleneck, and a way around them."""

    def __init__(self, inside: int, outside: int, stride: int = 1, middle: int = 0) -> None:
        super().__init__()
        if middle:
            layers = [convolution(inside, middle, 1), convolution(middle, middle, 3, stride)]
            self.path = nn.Sequential(*layers, convolution(middle, outside, 1, relu=False))
        else:
            layers = [convolution(inside, outside, 3, stride)]
            self.path = nn.Sequential(*layers, convolution(outside, outside, relu=False))
        same = inside == outside and stride == 1
        self.around = nn.Identity() if same else convolution(inside, outside, 1, stride, relu=False)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.path(maps) + self.around(maps))


class Exchange(nn.Module):
    """Bilateral fusion: each branch is added to the other."""

    def __init__(self, *widths: int) -> None:
        """Take the widths on the way down from the fine branch to the coarse one, each half as
        large as the last.
        """
        super().__init__()
        steps = list(pairwise(widths))
        self.down = nn.Sequential(
            *(convolution(before, after, 3, 2) for before, after in steps[:-1]),
            convolution(*steps[-1], 3, 2, relu=False),
        )
        self.up = convolution(widths[-1], widths[0], 1, relu=False)
        self.times = 2 ** len(steps)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(fine + enlarge(self.up(coarse), self.times)), F.relu(coarse + self.down(fine))


class Branches(nn.Module):
    """The backbone: maps at strides 8 and 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        one, two, four, eight = width, 2 * width, 4 * width, 8 * width
        self.widths = (two, eight)
        self.stem = nn.Sequential(
            convolution(3, one, 3, 2),
            convolution(one, one, 3, 2),
            Residual(one, one),
            Residual(one, one),
            Residual(one, two, 2),
            Residual(two, two),
        )
        self.fine = nn.ModuleList(
            [*(nn.Sequential(Residual(two, two), Residual(two, two)) for _ in range(2))]
        )
        self.coarse = nn.ModuleList(
            nn.Sequential(Residual(inside, outside, 2), Residual(outside, outside))
            for inside, outside in ((two, four), (four, eight))
        )
        self.exchanges = nn.ModuleList([Exchange(two, four), Exchange(two, four, eight)])
        self.ends = nn.ModuleList(
            [Residual(two, two, middle=one), Residual(eight, eight, middle=four)]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = coarse = self.stem(image)
        for up, down, exchange in zip(self.fine, self.coarse, self.exchanges):
            fine, coarse = exchange(up(fine), down(coarse))
        return [self.ends[0](fine), self.ends[1](coarse)]


class Context(nn.Module):
    """Growing fields of a coarse map side by side, and its mean."""

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.first = convolution(inside, width, 1)
        self.chain = nn.ModuleList(convolution(width, width) for _ in range(CHAIN))
        self.join = convolution((1 + CHAIN) * width, width, 1, relu=False)
        self.whole = nn.Conv2d(inside, width, 1)

    def forward(self, coarse: Tensor) -> Tensor:
        parts = [self.first(coarse)]
        for layer in self.chain:
            parts.append(layer(parts[-1]))
        return F.relu(self.join(torch.cat(parts, 1)) + self.whole(mean(coarse)))


class DdrDecoder(nn.Module):
    """The scene of the coarse branch added to the outlines of the fine one."""

    def __init__(self, fine: int, coarse: int) -> None:
        """Take the widths of the branches."""
        super().__init__()
        self.out_channels = 2 * fine
        self.context = Context(coarse, fine)
        self.last = convolution(fine, self.out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, 2 fine, H / 8, W / 8)."""
        fine, coarse = features
        scene = F.interpolate(self.context(coarse), scale_factor=4, mode="bilinear")
        last: Tensor = self.last(fine + scene)
        return last


def parts(encoder: str) -> tuple[OwnEncoder, DdrDecoder]:
    """Encoder and decoder for one of ENCODERS."""
    branches = Branches(ENCODERS[encoder])
    return OwnEncoder(branches, branches.widths), DdrDecoder(*branches.widths)
