"""Staged methods on a site: every stage is a run folder of its own under `stages/`, the last one
the run itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.config import TrainConfig
from edgeseg.data.frame_reader import PseudoLabelReader, SiteFrameReader, read_pseudo_label
from edgeseg.distributed import barrier, rank, world_size
from edgeseg.errors import TrainError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.image_codec import encode_png
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods import Method, MethodContext
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import load_weights
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import normalize_images
from edgeseg.training.run_folder import RunResult
from edgeseg.training.trainer import StepRange, fit

SCALES = (1.0, 0.75, 1.25)
STRIDE = 32  # sides of scaled views are multiples of it


class SiteStages:
    """`edgeseg.methods.framework.staged_method.Stages` for a run folder; stages that are finished
    are not trained again.
    """

    def __init__(
        self,
        site: Site,
        config: TrainConfig,
        out: Path,
        kit: Callable[[Tensor], MethodContext],
        *,
        resume: bool,
        focus: frozenset[str],
        report: ProgressReporter,
    ) -> None:
        self.config, self.classes = config, len(site.config.classes)
        self.footage: Sequence[Frame] = site.require("unlabelled")
        self._site, self._out, self._kit, self._resume, self._focus, self._report = (
            site,
            out,
            kit,
            resume,
            focus,
            report,
        )
        self._store = SiteFrameReader(site, self.footage, config.imgsz, report=report)
        self._share = 0.0  # of the budget that the stages so far were given
        self._done = 0  # steps of the stages before
        self._seconds = 0.0  # of them, and of the labelling between
        self._result: RunResult | None = None

    def result(self) -> RunResult:
        """Of the last stage.

        Raises:
            TrainError: there was none.
        """
        if self._result is None:
            raise TrainError(
                f"the method {self.config.method} ended without a last stage; report this as a bug"
            )
        return self._result

    def train(
        self,
        name: str,
        share: float,
        make: Callable[[MethodContext], Method],
        *,
        labels: Path | None = None,
        frames: Sequence[Frame] | None = None,
        start: Path | None = None,
        keep: Sequence[float] = (),
        last: bool = False,
    ) -> Path:
        """See `Stages.train`."""
        self._share += share
        end = self.config.steps if last else round(self._share * self.config.steps)
        if end <= self._done or (end == self.config.steps and not last):
            raise TrainError(
                f"{self.config.steps} steps are too few for the stages of {self.config.method}; take 100 or more"
            )
        span = StepRange(self._done, end, seconds=self._seconds)
        span = replace(
            span,
            snapshots=frozenset(
                self._done + round(part * (span.last - self._done)) for part in keep
            ),
        )
        folder = self._out if last else self._out / "stages" / name
        footage = (
            PseudoLabelReader(self._store, labels, self.footage if frames is None else frames)
            if labels
            else None
        )

        def method(pixels: Tensor) -> Method:
            kit = self._kit(pixels)
            if start:
                load_weights(kit.student, start)
            # A method counts the steps of its own stage.
            return make(
                replace(kit, config=kit.config.model_copy(update={"steps": span.last - span.first}))
            )

        result = fit(
            self._site,
            self.config,
            folder,
            method,
            resume=self._resume or not last,
            focus=self._focus,
            report=self._report,
            span=span,
            footage=footage,
            title=f"{self.config.method} {name}",
        )
        barrier()  # until the first process has written the weights
        self._done, self._seconds = span.last, float(result.metrics.get("seconds", 0.0))
        self._result = result
        return folder / "weights" / "last.safetensors"

    def snapshots(self, name: str) -> list[Path]:
        """See `Stages.snapshots`."""
        return sorted((self._out / "stages" / name / "weights").glob("step-*.safetensors"))

    def network(self, weights: Path) -> Network:
        """See `Stages.network`."""
        module = build_network(
            self.config.arch, self.config.encoder, self.classes, "none", size=self.config.imgsz
        )
        load_weights(module, weights)
        return module.requires_grad_(False).eval()

    def mask(self, labels: Path, frame: Frame) -> Mask:
        """See `Stages.mask`."""
        return read_pseudo_label(labels, frame)

    def label(
        self, name: str, weights: Path, frames: Sequence[Frame] | None = None, *, views: int = 6
    ) -> Path:
        """See `Stages.label`; masks are at training size, and complete when `done.json` is there."""
        folder = self._out / "stages" / name
        wanted = list(self.footage if frames is None else frames)
        done, began = folder / "done.json", time.monotonic()
        known = json.loads(done.read_bytes()) if done.exists() else None
        barrier()  # no process may look when another has already finished
        if known is not None:
            self._seconds += float(known.get("seconds", 0.0))
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        device = _device(self.config)
        network = self.network(weights).to(device)
        mine = wanted[rank() :: world_size()]
        missing = {frame.id for frame in mine if not (folder / f"{frame.id}.png").exists()}
        self._report.start(f"{self.config.method} {name}", len(mine))
        self._report.advance(len(mine) - len(missing))
        for place, frame in enumerate(self._store.frames):
            if frame.id in missing:
                mask = _vote(network, self._store[place][0], views, device)
                write_atomic(folder / f"{frame.id}.png", encode_png(mask), sync=False)
                self._report.advance(1)
        self._report.stop()
        barrier()
        seconds = time.monotonic() - began  # of the last go, if it was cut off
        self._seconds += seconds
        write_json(done, {"frames": len(wanted), "seconds": seconds})
        return folder


def _device(config: TrainConfig) -> torch.device:
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")


@torch.inference_mode()
def _vote(network: Network, image: Mask, views: int, device: torch.device) -> Mask:
    """The most likely class (H, W) by the mean softmax over scaled and flipped views of an image
    (H, W, 3).
    """
    picture = normalize_images([image], device)
    size = (image.shape[0], image.shape[1])
    total = torch.zeros(())
    plans = [(scale, flip) for scale in SCALES for flip in (False, True)][: max(1, views)]
    for scale, flip in plans:
        sides = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in size]
        view = (
            picture
            if scale == 1
            else F.interpolate(picture, sides, mode="bilinear", antialias=True)
        )
        logits = network(view.flip(3) if flip else view).logits
        chance = upsample(logits, size).softmax(1)
        total = total.to(device) + (chance.flip(3) if flip else chance)
    return np.asarray(total.argmax(1)[0].to(torch.uint8).cpu().numpy(), np.uint8)
