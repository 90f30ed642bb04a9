"""The val split during and after training: mIoU of teacher and student, the summary, and a picture
to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from edgeseg.data.frame_reader import read_site_frame
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import class_legend, image_grid, paint_entropy, paint_mask, save_png
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.methods import Method
from edgeseg.metrics import Counts, iou, miou
from edgeseg.models import Network
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import count_confusion, predict
from edgeseg.training.run_folder import TrainingState

MEMORY = 1_000_000_000  # bytes of decoded val frames kept between evaluations
PICTURES = 4


class Validation:
    """The val frames, decoded once as far as the memory budget goes."""

    def __init__(self, site: Site, frames: Sequence[Frame], size: tuple[int, int]) -> None:
        self._site, self._frames, self._size = site, frames, size
        self._kept: dict[str, tuple[Image, Image]] = {}
        self._left = MEMORY

    def counts(self, module: Network, device: torch.device) -> Counts:
        """(C, C) over all val frames; leaves the module in eval mode."""
        module.eval()
        counts = count_confusion(
            module, self._pairs(), self._size, len(self._site.config.classes), device=device
        )
        return np.asarray(counts.sum(0))

    def miou(self, module: Network, device: torch.device) -> float:
        """Percent; leaves the module in eval mode."""
        return miou(self.counts(module, device))

    def summary(
        self, method: Method, progress: TrainingState, device: torch.device, names: Sequence[str]
    ) -> dict[str, Any]:  # Any: numbers, lists and tables of them
        """What `metrics.json` holds."""
        last = {
            "ema": self._figures(method.teacher, device, names),
            "student": self._figures(method.student, device, names),
        }
        rows = progress.rows
        summary: dict[str, Any] = {
            "miou": progress.best,
            "best": {"step": progress.best_step, "miou": progress.best},
        }
        summary |= {"last": {"step": progress.step} | last, "seconds": round(progress.seconds, 1)}
        summary["seconds_per_step"] = round(progress.seconds / max(1, progress.step), 4)
        if any("kept" in row for row in rows):
            summary["kept_share"] = [round(row["kept"], 4) for row in rows if "kept" in row]
        if rows and "pseudo/0" in rows[-1]:
            pseudo = [rows[-1][f"pseudo/{index}"] for index in range(len(names))]
            total = sum(pseudo) or 1.0
            summary["pseudo_label_share"] = {
                name: round(value / total, 5) for name, value in zip(names, pseudo)
            }
        return summary

    def picture(self, module: Network, device: torch.device, path: Path) -> None:
        """Rows of image, truth, prediction and entropy, for frames spread over val."""
        module.eval()
        places = np.unique(np.linspace(0, len(self._frames) - 1, PICTURES).round().astype(int))
        palette = self._site.config.palette
        rows = []
        for place in places:
            image, truth = self._read(self._frames[place])
            small = resize_image(image, self._size)
            mask, entropy = predict(module, [small], device)
            unsure = np.asarray(cv2.resize(entropy[0].numpy(), self._size[::-1]), np.float32)
            rows.append(
                [
                    small,
                    paint_mask(resize_mask(truth, self._size), palette),
                    paint_mask(mask[0].numpy(), palette),
                    paint_entropy(unsure),
                ]
            )
        picture = image_grid(rows, ("image", "truth", "prediction", "entropy"))
        names = class_legend(self._site.config.class_names, palette, picture.shape[1])
        save_png(path, np.concatenate([picture, names]))

    def _figures(
        self, module: Network, device: torch.device, names: Sequence[str]
    ) -> dict[str, Any]:  # Any: a table
        counts = self.counts(module, device)
        per_class = {
            name: None if np.isnan(v) else round(float(v), 3) for name, v in zip(names, iou(counts))
        }
        return {"miou": round(miou(counts), 4), "per_class": per_class}

    def _pairs(self) -> Iterable[tuple[Image, Image]]:
        for frame in self._frames:
            yield self._read(frame)

    def _read(self, frame: Frame) -> tuple[Image, Image]:
        if frame.id not in self._kept:
            image, mask = read_site_frame(self._site, frame)
            assert mask is not None, f"{frame.id} is a val frame without mask"
            if self._left < image.nbytes + mask.nbytes:
                return image, mask
            self._left -= image.nbytes + mask.nbytes
            self._kept[frame.id] = image, mask
        return self._kept[frame.id]
