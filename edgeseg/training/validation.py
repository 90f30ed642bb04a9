"""Validation during training: mIoU on val, the summary of a run, and a picture.

A finished model is evaluated by `edgeseg.training.model_evaluation`, a bundle by
`edgeseg.runtime.bundle_evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from edgeseg.data.frame_reader import read_site_frame
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.drawing import class_legend, image_grid, paint_entropy, paint_mask, save_png
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.methods import Method
from edgeseg.metrics import Counts, iou, miou
from edgeseg.models import Network
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import count_confusion, predict
from edgeseg.training.training_checkpoint import Row, TrainingState

MEMORY = 1_000_000_000  # bytes of decoded val frames kept between evaluations
PICTURE_FRAMES = 4


class Validation:
    """The val frames, decoded once as far as the memory budget goes."""

    def __init__(self, site: Site, frames: Sequence[Frame], size: tuple[int, int]) -> None:
        """Take the val frames, and the (height, width) at which networks see them."""
        self._site, self._frames, self._size = site, frames, size
        self._cached: dict[str, tuple[Image, Mask]] = {}
        self._free_bytes = MEMORY

    def mious(self, method: Method, device: torch.device) -> Row:
        """mIoU of teacher and student in percent; leaves both in eval mode."""
        return {
            "miou_ema": miou(self._counts(method.teacher, device)),
            "miou_student": miou(self._counts(method.student, device)),
        }

    def summary(
        self, method: Method, state: TrainingState, device: torch.device
    ) -> dict[str, Any]:  # Any: numbers, lists and tables of them
        """The content of `metrics.json`, without the configuration."""
        names, rows = self._site.config.class_names, state.rows
        last = {
            "step": state.step,
            "ema": self._accuracy(method.teacher, device),
            "student": self._accuracy(method.student, device),
        }
        summary: dict[str, Any] = {
            "miou": state.best,
            "best": {"step": state.best_step, "miou": state.best},
            "last": last,
            "seconds": round(state.seconds, 1),
            "seconds_per_step": round(state.seconds / max(1, state.step), 4),
        }
        if any("kept" in row for row in rows):
            summary["kept_share"] = [round(row["kept"], 4) for row in rows if "kept" in row]
        if rows and "pseudo/0" in rows[-1]:
            pixels = [rows[-1][f"pseudo/{index}"] for index in range(len(names))]
            total = sum(pixels) or 1.0
            summary["pseudo_label_share"] = {
                name: round(count / total, 5) for name, count in zip(names, pixels)
            }
        return summary

    def picture(self, module: Network, device: torch.device, path: Path) -> None:
        """Write rows of image, truth, prediction and entropy, for frames spread over val."""
        module.eval()
        spread = np.linspace(0, len(self._frames) - 1, PICTURE_FRAMES).round().astype(int)
        rows = [
            self._picture_row(module, device, self._frames[index]) for index in np.unique(spread)
        ]
        grid = image_grid(rows, ("image", "truth", "prediction", "entropy"))
        config = self._site.config
        legend = class_legend(config.class_names, config.palette, grid.shape[1])
        save_png(path, np.concatenate([grid, legend]))

    def _picture_row(self, module: Network, device: torch.device, frame: Frame) -> list[Image]:
        image, truth = self._read(frame)
        fit = fit_frame(self._site.config.data.fit, (truth.shape[0], truth.shape[1]), self._size)
        small = fit.image(image)
        mask, entropy = predict(module, [small], device)
        # OpenCV takes (width, height).
        entropy_map = np.asarray(cv2.resize(entropy[0].numpy(), self._size[::-1]), np.float32)
        palette = self._site.config.palette
        return [
            small,
            paint_mask(fit.mask(truth), palette),
            paint_mask(mask[0].numpy(), palette),
            paint_entropy(entropy_map),
        ]

    def _accuracy(self, module: Network, device: torch.device) -> dict[str, Any]:  # Any: a table
        """mIoU and the IoU of each class in percent; None for a class that is nowhere."""
        counts = self._counts(module, device)
        per_class = {
            name: None if np.isnan(value) else round(float(value), 3)
            for name, value in zip(self._site.config.class_names, iou(counts))
        }
        return {"miou": round(miou(counts), 4), "per_class": per_class}

    def _counts(self, module: Network, device: torch.device) -> Counts:
        """(C, C) over all val frames; leaves the module in eval mode."""
        module.eval()
        classes = len(self._site.config.classes)
        counts = count_confusion(
            module,
            self._pairs(),
            self._size,
            classes,
            fit=self._site.config.data.fit,
            device=device,
        )
        return np.asarray(counts.sum(0))

    def _pairs(self) -> Iterable[tuple[Image, Mask]]:
        for frame in self._frames:
            yield self._read(frame)

    def _read(self, frame: Frame) -> tuple[Image, Mask]:
        """Image and truth at their own size, from memory if they fit in there."""
        if frame.id in self._cached:
            return self._cached[frame.id]
        image, mask = read_site_frame(self._site, frame)
        assert mask is not None, f"{frame.id} is a val frame without mask"
        size = image.nbytes + mask.nbytes
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cached[frame.id] = image, mask
        return image, mask
