"""Plain vision transformers of timm as encoders for images of one size.

A transformer is built for one input size and holds the position embedding of that size's grid: a
graph exported from it has a constant where others resize. Weights of another grid are resampled
when they are loaded. `edgeseg.models.dpt` decodes its maps.
"""

from __future__ import annotations

import sys
from typing import Any

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

LAYERS = 4  # number of layers whose maps are decoded
Size = tuple[int, int]  # height and width
StateDict = dict[str, Tensor]


class ViTEncoder(nn.Module):
    """Maps of four layers of a plain vision transformer, built for one image size.

    Images of another size are resized to it.

    Attributes:
        model: The model of timm.
        size: Height and width that it is built for.
        layers: Indices of the layers whose maps it gives; of 12 blocks 2, 5, 8 and 11.
        grid: (2,) int64, height and width in patches; stored with the weights.
    """

    grid: Tensor
    model: Any  # timm's models have no common type

    def __init__(self, name: str, size: Size | None, *, pretrained: bool = False) -> None:
        """Build it with timm.

        Args:
            name: As timm names it.
            size: None for the one that timm builds it for.
            pretrained: Whether to load timm's ImageNet weights.

        Raises:
            ValueError: timm's model is no plain transformer.
            RuntimeError: timm cannot build it, at this size or at all, or cannot get its weights.
        """
        super().__init__()
        # Any: as timm's models take them
        options: dict[str, Any] = {"img_size": size} if size else {}
        try:
            self.model = timm.create_model(name, num_classes=0, pretrained=pretrained, **options)
        except TypeError:  # one without a position embedding
            self.model = timm.create_model(name, num_classes=0, pretrained=pretrained)
        if not is_plain(self.model):
            raise ValueError("no vision transformer with one size of map")
        blocks = len(self.model.feature_info)
        self.layers = [blocks * number // LAYERS - 1 for number in range(1, LAYERS + 1)]
        patch = patch_size(self.model)
        self.size = size or _default_size(self.model, patch)
        self.register_buffer("grid", torch.tensor([side // patch for side in self.size]))
        self.register_load_state_dict_pre_hook(_resample_positions)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return four maps (B, D, h, w) on the patch grid for an image (B, 3, H, W).

        All are normalized as the last one is.
        """
        if image.shape[2:] != self.size:
            image = F.interpolate(image, self.size, mode="bilinear", antialias=True)
        features: list[Tensor] = self.model.forward_intermediates(
            image, indices=self.layers, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return features

    def to_timm_names(self, state: StateDict) -> StateDict:
        """Convert the weights of a file to timm's names and to the encoder's own grid.

        Meta's names are known, and the position embedding is resampled.
        """
        timm_module = sys.modules[type(self.model).__module__]
        convert = getattr(timm_module, "checkpoint_filter_fn", None)
        return dict(convert(dict(state), self.model)) if convert else state


def is_plain(model: nn.Module) -> bool:
    """Tell whether a timm model is a transformer whose blocks all see the same grid."""
    blocks = list(getattr(model, "feature_info", []))
    strides = {block["reduction"] for block in blocks if isinstance(block, dict)}
    return hasattr(model, "forward_intermediates") and len(blocks) >= LAYERS and len(strides) == 1


def patch_size(model: nn.Module) -> int:
    """Pixels along a side of a patch, which becomes one token."""
    return int(model.feature_info[0]["reduction"])  # type: ignore[index]


def _default_size(model: nn.Module, patch: int) -> Size:
    """The size that timm built the model for; 16 x 16 patches where it has none."""
    embedding = getattr(model, "patch_embed", None)
    height, width = getattr(embedding, "img_size", None) or (16 * patch, 16 * patch)
    return int(height), int(width)


def _resample_positions(
    encoder: nn.Module,
    state: dict[str, Any],  # Any: torch's hook type
    prefix: str,
    *_: object,
) -> None:
    """Resample the position embedding of a run that was trained at another size.

    A load_state_dict hook: it changes `state` before its tensors are copied.
    """
    assert isinstance(encoder, ViTEncoder)
    grid_name, embedding_name = f"{prefix}grid", f"{prefix}model.pos_embed"
    if grid_name not in state:
        return
    old_grid, new_grid = state[grid_name].tolist(), encoder.grid.tolist()
    state[grid_name] = encoder.grid.clone()
    if embedding_name not in state or old_grid == new_grid:
        return
    model = encoder.model
    # Tokens in front of those of patches, such as the class token, have no place in the grid.
    prefix_tokens = int(getattr(model, "num_prefix_tokens", 0))
    if getattr(model, "no_embed_class", False):
        prefix_tokens = 0
    state[embedding_name] = resample_abs_pos_embed(
        state[embedding_name], new_grid, old_grid, num_prefix_tokens=prefix_tokens
    )
