"""The dilation of DeepLab's context branches, fitted to the map that they read.

DeepLab looks around itself with three 3x3 convolutions whose taps lie 1, 2 and 3 times a step
apart. The published steps belong to the published crops: (6, 12, 18) at stride 16 and twice that at
stride 8, on maps of 33 and 65 rows (Chen et al. 2018, "Encoder-Decoder with Atrous Separable
Convolution for Semantic Image Segmentation", section 4). On a smaller map such a tap reads beyond
the border, where there are zeros: the branch sees its center alone, and its other eight weights are
multiplied with nothing.
"""

from __future__ import annotations

from typing import TypeAlias

AtrousRates: TypeAlias = tuple[int, int, int]

STRIDES = {"deeplabv3": 8, "deeplabv3plus": 16}  # of the maps that their context branches read
OLD_RATES: AtrousRates = (12, 24, 36)  # of models whose card names none
PUBLISHED_STEP, PUBLISHED_ROWS = 6, 33  # at stride 16, crops of 513 pixels


def fitted_rates(arch: str, size: tuple[int, int] | None) -> AtrousRates | None:
    """Return the rates for a network, None for one without such branches.

    The step keeps its published proportion to the shorter side of the map, and no rate reaches
    beyond it.

    Args:
        arch: A name of segmentation-models-pytorch.
        size: (height, width) of the images; the published crop if left out.
    """
    stride = STRIDES.get(arch)
    if stride is None:
        return None
    most = PUBLISHED_STEP * 16 // stride
    if size is None:
        return (most, 2 * most, 3 * most)
    rows = min(size) // stride
    step = min(most, max(1, round(rows * PUBLISHED_STEP / PUBLISHED_ROWS)))
    within = max(1, rows - 1)
    return (min(step, within), min(2 * step, within), min(3 * step, within))
