"""The prediction of a whole frame by a runner: into the graph's input, through it, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.frame_fit import FrameFit, fit_frame
from edgeseg.runtime.backends.base import Prediction, Runner


def predict_frame(runner: Runner, image: Image) -> Prediction:
    """Predict one frame of any size, (H, W, 3) uint8 RGB.

    Returns:
        A batch of one whose mask and entropy cover the whole frame, see `restore_prediction`.
    """
    fit = fit_of_frame(runner, image)
    return restore_prediction(runner, fit, runner(fit.image(image)[None]))


def fit_of_frame(runner: Runner, image: Image) -> FrameFit:
    """Return how a frame lies in the input of the runner's graph."""
    manifest = runner.bundle.manifest
    size = image.shape[0], image.shape[1]
    return fit_frame(manifest.fit, size, (manifest.height, manifest.width))


def restore_prediction(runner: Runner, fit: FrameFit, prediction: Prediction) -> Prediction:
    """Return the prediction of an input, a batch of one, as one of its whole frame.

    Resized to the frame, mask and entropy lie where they belong. Of a letterboxed frame the padding
    is cut off, and score and area are counted anew without it; around a cropped one the mask is 255
    and the entropy 0, and score and area are those of what was seen.
    """
    if not (fit.pads or fit.cuts):
        return prediction
    mask = fit.restore_mask(prediction.mask[0])
    entropy = fit.restore_map(prediction.entropy[0])
    restored = replace(prediction, mask=mask[None], entropy=entropy[None])
    if not fit.pads:
        return restored
    manifest = runner.bundle.manifest
    unreliable = entropy > np.float32(manifest.gamma_of(runner.flavour))
    pixels = np.bincount(mask.ravel(), minlength=len(manifest.classes))
    return replace(
        restored,
        score=np.array([unreliable.mean()], np.float32),
        area=(pixels[None] / mask.size).astype(np.float32),
    )
