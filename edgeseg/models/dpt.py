"""The decoder of DPT (Ranftl et al., Vision Transformers for Dense Prediction, 2021).

It decodes the maps of a plain vision transformer.

It is the one UniMatch V2 puts on DINOv2 (Oquab et al., 2023): four layers, no prefix tokens, no
batch norm. It works in multiples of the patch grid, so that any patch size will do;
segmentation-models-pytorch's own DPT works in fractions of the image and fits patches of 16 only.
Names of attributes stand in weights files.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

# By width of the transformer: up to it, channels of the decoder, and of its four levels.
WIDTHS = (
    (384, 64, (48, 96, 192, 384)),
    (768, 128, (96, 192, 384, 768)),
    (1 << 30, 256, (256, 512, 1024, 1024)),
)
LEVEL_SCALES = (4, 2, 1, 0.5)  # size of the pyramid's levels, in patch grids


class DPTDecoder(nn.Module):
    """A pyramid of 4, 2, 1 and 1/2 times the patch grid, fused from coarse to fine."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Take the channels of the four maps."""
        super().__init__()
        self.out_channels, levels = next(
            (width, levels) for most, width, levels in WIDTHS if channels[-1] <= most
        )
        width = self.out_channels
        self.resize = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channel, level, 1),
                _resizer(level, scale),
                _conv(level, width, bias=False),
            )
            for channel, level, scale in zip(channels, levels, LEVEL_SCALES)
        )
        last = len(channels) - 1
        self.fusions = nn.ModuleList(
            _Fusion(width, is_coarsest=index == last) for index in range(len(channels))
        )
        self.smooth = nn.Sequential(_conv(width, width), nn.ReLU(inplace=True))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, width, 4 h, 4 w)."""
        fused: Tensor | None = None
        for index in reversed(range(len(features))):  # from the coarsest level to the finest
            level = self.resize[index](features[index])
            fused = self.fusions[index](level, fused)
        smooth: Tensor = self.smooth(fused)
        return smooth


class _Fusion(nn.Module):
    """A level of the pyramid and the fused coarser ones, added and mixed."""

    def __init__(self, width: int, *, is_coarsest: bool) -> None:
        super().__init__()
        self.own = None if is_coarsest else _ResidualUnit(width)
        self.both = _ResidualUnit(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        if self.own is not None and coarser is not None:
            # Not twice the coarser size where the grid is odd.
            size = (level.shape[2], level.shape[3])
            level = self.own(level) + F.interpolate(coarser, size, mode="bilinear")
        mixed: Tensor = self.mix(self.both(level))
        return mixed


class _ResidualUnit(nn.Module):
    """Two convolutions with ReLU in front of each, and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.ReLU(), _conv(width, width), nn.ReLU(inplace=True), _conv(width, width)
        )

    def forward(self, level: Tensor) -> Tensor:
        residual: Tensor = level + self.path(level)
        return residual


def _conv(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def _resizer(channels: int, scale: float) -> nn.Module:
    """Learned resizing by 4, 2, 1 or 1/2."""
    if scale > 1:
        return nn.ConvTranspose2d(channels, channels, int(scale), stride=int(scale))
    if scale == 1:
        return nn.Identity()
    return nn.Conv2d(channels, channels, 3, stride=2, padding=1)
