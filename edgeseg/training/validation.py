"""Validation during training: confusions on val, and the summary of a run.

A finished model is evaluated by `edgeseg.training.model_evaluation`, a bundle by
`edgeseg.runtime.bundle_evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edgeseg.config import LoopConfig
from edgeseg.data.blocks import drawing_blocks
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.distributed import all_reduce_sum, copy_from_main, rank, world_size
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.metrics import Counts, iou_of_shown, miou, miou_interval
from edgeseg.models import Network
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import EVALUATION_BATCH, count_confusion
from edgeseg.training.training_checkpoint import TrainingState

MEMORY = 1_000_000_000  # bytes of decoded val frames kept between evaluations
EVALUATION_SHARE = 0.1  # of the work of a training
PASSES_OF_A_STEP = 3  # for each of its frames: forward, and twice as much backward
LEAST_FRAMES = 32  # of val that are always looked at


def frames_while_training(config: LoopConfig, frames: Sequence[Frame]) -> int:
    """Number of val frames that an evaluation between steps takes.

    It is `train.eval_frames` at most, and no more than a tenth of the pixels that the steps between
    two evaluations push through the network, forward and backward. An evaluated frame costs one
    pass at the network's size and the reading and counting of its own pixels. It depends on the
    configuration and the frames alone, so that a resumed run evaluates as it did before.

    Example: 200 steps of 8 frames are 200 * 3 * 8 = 4800 passes; with frames of 9 times the
    network's size an evaluated one costs 1 + 9 passes, and 48 cost a tenth.
    """
    network = config.imgsz[0] * config.imgsz[1]
    passes = PASSES_OF_A_STEP * config.eval_every * (config.batch + config.batch_unlabelled)
    own = sorted(frame.height * frame.width for frame in frames)[len(frames) // 2]
    affordable = int(EVALUATION_SHARE * passes * network / (network + own))
    return min(len(frames), config.eval_frames, max(LEAST_FRAMES, affordable))


@dataclass(frozen=True)
class ShippedWeights:
    """The weights of a run that are evaluated and exported, `weights/best.safetensors`.

    Attributes:
        step: The step that they are of.
        counts: (frames, C, C) of the val frames at `Validation.final_places`.
    """

    step: int
    counts: Counts

    @property
    def miou(self) -> float:
        """Their mIoU, in percent."""
        return miou(self.counts.sum(0))


class Validation:
    """The val frames, shared out among the processes and decoded once as far as memory goes.

    Attributes:
        frames: All of them.
        size: The (height, width) at which networks see them.
        places: Which of them are evaluated while a training goes on.
        final_places: Which are evaluated at its end.
    """

    def __init__(
        self,
        site: Site,
        frames: Sequence[Frame],
        size: tuple[int, int],
        most: int,
        *,
        all_at_end: bool = True,
    ) -> None:
        """Take the val frames.

        Args:
            site: Their site.
            frames: All of them.
            size: The (height, width) at which networks see them.
            most: How many are evaluated while a training goes on, evenly spread over all.
            all_at_end: Whether the last evaluation takes all frames.
        """
        self._site, self.frames, self.size = site, frames, size
        self.places = _spread(len(frames), most)
        self.final_places = list(range(len(frames))) if all_at_end else self.places
        self._blocks = drawing_blocks(frames, site.config.data.block_seconds)
        self._cached: dict[str, tuple[Image, Mask]] = {}
        self._free_bytes = MEMORY

    def blocks(self, places: Sequence[int]) -> list[int]:
        """Which of some frames are neighbors, for the intervals of `edgeseg.metrics`."""
        return [self._blocks[place] for place in places]

    def count(self, module: Network, places: Sequence[int], device: torch.device) -> Counts:
        """Count the confusions of a network in some of the val frames; needs all processes.

        Each process takes every n-th batch. Batches are those of one process alone and their counts
        are whole numbers, so their sum does not depend on the number of processes. All processes
        judge the network of the main one, whose batch-norm statistics may differ from theirs.
        Leaves the module in eval mode.

        Returns:
            (frames, C, C) in the order of `places`, in all processes.
        """
        module.eval()
        classes, size = len(self._site.config.classes), self.size
        fit, starts = self._site.config.data.fit, range(0, len(places), EVALUATION_BATCH)
        counts = np.zeros((len(places), classes, classes), np.int64)
        with _statistics_of_main(module):
            for start in starts[rank() :: world_size()]:
                of_batch = slice(start, start + EVALUATION_BATCH)
                pairs = [self.read(place) for place in places[of_batch]]
                counts[of_batch] = count_confusion(
                    module, pairs, size, classes, fit=fit, device=device
                )
        if world_size() == 1:
            return counts
        return np.asarray(all_reduce_sum(torch.from_numpy(counts).to(device)).cpu().numpy())

    def class_ious(self, counts: Counts) -> dict[str, float]:
        """IoU in percent of each class that the frames show, by "iou/<class>"; counts (C, C)."""
        values = zip(self._site.config.class_names, iou_of_shown(counts))
        return {f"iou/{name}": float(value) for name, value in values if not np.isnan(value)}

    def summary(
        self, state: TrainingState, last: Mapping[str, Counts], shipped: ShippedWeights
    ) -> dict[str, Any]:  # Any: numbers, lists and tables of them
        """The content of `metrics.json`, without the configuration.

        Args:
            state: The finished training.
            last: (frames, C, C) after the last step at `final_places`, of "ema" and maybe
                "student".
            shipped: The weights that are evaluated and exported, which are not always the last.
        """
        names, rows = self._site.config.class_names, state.rows
        figures = {network: self._figures(counts) for network, counts in last.items()}
        interval = miou_interval(shipped.counts, block=self.blocks(self.final_places))
        summary: dict[str, Any] = {
            "miou": shipped.miou,
            "interval": interval.as_json(),
            "best": {"step": shipped.step, "miou": shipped.miou},
            "last": {"step": state.step} | figures,
            "val_frames": {"all": len(self.frames), "while_training": len(self.places)},
            "seconds": round(state.seconds, 1),
            "seconds_per_step": round(state.seconds / max(1, state.step), 4),
            "evaluation_seconds": round(state.evaluation_seconds, 1),
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

    def _figures(self, counts: Counts) -> dict[str, Any]:  # Any: a table
        """mIoU and the IoU of each class in percent; None for a class that val does not show."""
        interval = miou_interval(counts, block=self.blocks(self.final_places))
        per_class = {
            name: None if np.isnan(value) else round(float(value), 3)
            for name, value in zip(self._site.config.class_names, iou_of_shown(counts.sum(0)))
        }
        return {
            "miou": round(interval.miou, 4),
            "interval": interval.as_json(),
            "per_class": per_class,
        }

    def read(self, place: int) -> tuple[Image, Mask]:
        """Image and truth of a val frame at their own size, from memory if they fit in there."""
        frame = self.frames[place]
        if frame.id in self._cached:
            return self._cached[frame.id]
        image, mask = read_site_frame(self._site, frame)
        assert mask is not None, f"{frame.id} is a val frame without mask"
        size = image.nbytes + mask.nbytes
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cached[frame.id] = image, mask
        return image, mask


def _spread(number: int, most: int) -> list[int]:
    """At most so many of `number` places, in the middle of stretches of equal length.

    For example, 3 of 10 are 1, 5 and 8.
    """
    most = min(most, number)
    return [int((index + 0.5) * number / most) for index in range(most)]


@contextmanager
def _statistics_of_main(module: Network) -> Iterator[None]:
    """Lend all processes the buffers of the main one: parameters are equal already."""
    if world_size() == 1:
        yield
        return
    own = [buffer.clone() for buffer in module.buffers()]
    copy_from_main(module.buffers())
    try:
        yield
    finally:
        for buffer, value in zip(module.buffers(), own):
            buffer.copy_(value)
