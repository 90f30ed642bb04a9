"""Plain vision transformers of timm as encoders, and the decoder of DPT (Ranftl et al., 2021) for
their maps.

The decoder is the one UniMatch V2 puts on DINOv2 (Oquab et al., 2023): four layers, no prefix
tokens, no batch norm. It works in multiples of the patch grid, so that any patch size will do.
segmentation-models-pytorch's own DPT works in fractions of the image and fits patches of 16 only.

A transformer is built for one input size and holds the position embedding of that size's grid: a
graph exported from it has a constant where others resize. Weights of another grid are resampled
when they are loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

LAYERS = 4  # whose maps are decoded; of 12 blocks these are 2, 5, 8, 11
WIDTHS = (  # up to which width of the transformer, width of the decoder, and of its four levels
    (384, 64, (48, 96, 192, 384)),
    (768, 128, (96, 192, 384, 768)),
    (1 << 30, 256, (256, 512, 1024, 1024)),
)
Size = tuple[int, int]
State = dict[str, Tensor]


def is_plain(model: nn.Module) -> bool:
    """Whether a timm model is a transformer whose blocks all see the same grid."""
    blocks = list(getattr(model, "feature_info", []))
    strides = {block["reduction"] for block in blocks if isinstance(block, dict)}
    return hasattr(model, "forward_intermediates") and len(blocks) >= LAYERS and len(strides) == 1


def patch_size(model: nn.Module) -> int:
    """Pixels along a side of what becomes one token."""
    return int(model.feature_info[0]["reduction"])  # type: ignore[index]


class VitEncoder(nn.Module):
    """Maps of four layers of a plain vision transformer, for images of one size; others are resized
    to it.

    Attributes:
        model: timm's.
        size: height and width.
    """

    grid: Tensor
    model: Any  # timm's models have no common type

    def __init__(self, name: str, size: Size | None, *, pretrained: bool = False) -> None:
        """Build it with timm.

        Args:
            size: None for the one that timm builds it for.

        Raises:
            ValueError: timm's model is no plain transformer.
            RuntimeError: timm cannot build it, at this size or at all, or cannot get its weights.
        """
        super().__init__()
        sized: dict[str, Any] = (
            {"img_size": size} if size else {}
        )  # Any: as timm's models take them
        try:
            self.model = timm.create_model(name, num_classes=0, pretrained=pretrained, **sized)
        except TypeError:  # one without a position embedding
            self.model = timm.create_model(name, num_classes=0, pretrained=pretrained)
        if not is_plain(self.model):
            raise ValueError("no vision transformer with one size of map")
        blocks = len(self.model.feature_info)
        self.layers = [blocks * place // LAYERS - 1 for place in range(1, LAYERS + 1)]
        patch = patch_size(self.model)
        self.size = size or _built_for(self.model, patch)
        self.register_buffer("grid", torch.tensor([side // patch for side in self.size]))
        self.register_load_state_dict_pre_hook(_fit_positions)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to four maps (B, D, h, w) on the patch grid, normalized as the last one is."""
        if image.shape[2:] != self.size:
            image = F.interpolate(image, self.size, mode="bilinear", antialias=True)
        features: list[Tensor] = self.model.forward_intermediates(
            image, indices=self.layers, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return features

    def translate(self, state: State) -> State:
        """The weights of a file as timm names them: Meta's names are known, positions resampled to
        the own grid.
        """
        translate = getattr(sys.modules[type(self.model).__module__], "checkpoint_filter_fn", None)
        return dict(translate(dict(state), self.model)) if translate else state


def _built_for(model: nn.Module, patch: int) -> Size:
    embedding = getattr(model, "patch_embed", None)
    found = getattr(embedding, "img_size", None) or (16 * patch, 16 * patch)
    return int(found[0]), int(found[1])


def _fit_positions(
    encoder: nn.Module, state: dict[str, Any], prefix: str, *_: object
) -> None:  # Any: torch's hook type
    """Resample the position embedding of a run that was trained at another size."""
    assert isinstance(encoder, VitEncoder)
    place, name = f"{prefix}grid", f"{prefix}model.pos_embed"
    if place not in state:
        return
    before, after = state[place].tolist(), encoder.grid.tolist()
    state[place] = encoder.grid.clone()
    if name in state and before != after:
        model = encoder.model
        prefixes = (
            0
            if getattr(model, "no_embed_class", False)
            else int(getattr(model, "num_prefix_tokens", 0))
        )
        state[name] = resample_abs_pos_embed(state[name], after, before, num_prefix_tokens=prefixes)


class DptDecoder(nn.Module):
    """Four maps of one grid become a pyramid of 4, 2, 1 and 1/2 times that grid, fused from coarse
    to fine.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        """Take the widths of the four maps."""
        super().__init__()
        self.out_channels, levels = next(
            (width, levels) for most, width, levels in WIDTHS if channels[-1] <= most
        )
        width = self.out_channels
        self.resize = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channel, level, 1),
                _resizer(level, times),
                _conv(level, width, bias=False),
            )
            for channel, level, times in zip(channels, levels, (4, 2, 1, 0.5))
        )
        self.fusions = nn.ModuleList(
            _Fusion(width, coarsest=place == len(channels) - 1) for place in range(len(channels))
        )
        self.smooth = nn.Sequential(_conv(width, width), nn.ReLU(inplace=True))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, D, h, w) each to (B, width, 4 h, 4 w)."""
        fused: Tensor | None = None
        for place in reversed(range(len(features))):
            fused = self.fusions[place](self.resize[place](features[place]), fused)
        smooth: Tensor = self.smooth(fused)
        return smooth


class _Fusion(nn.Module):
    def __init__(self, width: int, *, coarsest: bool) -> None:
        super().__init__()
        self.own = None if coarsest else _Residual(width)
        self.both = _Residual(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        if self.own is not None and coarser is not None:
            size = (
                level.shape[2],
                level.shape[3],
            )  # not twice the coarser one where the grid is odd
            level = self.own(level) + F.interpolate(coarser, size, mode="bilinear")
        mixed: Tensor = self.mix(self.both(level))
        return mixed


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.ReLU(), _conv(width, width), nn.ReLU(inplace=True), _conv(width, width)
        )

    def forward(self, level: Tensor) -> Tensor:
        found: Tensor = level + self.path(level)
        return found


def _conv(inside: int, outside: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=bias)


def _resizer(width: int, times: float) -> nn.Module:
    if times > 1:
        return nn.ConvTranspose2d(width, width, int(times), stride=int(times))
    return nn.Identity() if times == 1 else nn.Conv2d(width, width, 3, stride=2, padding=1)
