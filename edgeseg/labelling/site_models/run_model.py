"""A finished run as a model to label with: better masks than its bundle's, but it needs torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from edgeseg.digests import file_digest
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.frame_fit import FrameFit, fit_frame
from edgeseg.labelling.site_models.model_view import ModelView, check_classes
from edgeseg.losses.entropy import entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.models.model_files import load_model
from edgeseg.site import Site
from edgeseg.training.model_evaluation import normalize_images


class RunModel:
    """The best weights of a run; see `SiteModel`."""

    def __init__(self, site: Site, run: Path) -> None:
        """Load the weights.

        Raises:
            TrainError: The run is unfinished or damaged.
            DataError: It was trained on other classes.
        """
        self.name = run.relative_to(site.root).as_posix()
        parts = file_digest(run / "model.json"), file_digest(run / "weights/best.safetensors")
        self.digest = hashlib.sha256("".join(parts).encode()).hexdigest()
        model = load_model(run)
        self._card = model.card
        check_classes(site, [spec.name for spec in self._card.classes], self.name)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._module = model.module.to(self._device)

    def fit(self, image: Image) -> FrameFit:
        """See `SiteModel`."""
        size = self._card.height, self._card.width
        return fit_frame(self._card.fit, (image.shape[0], image.shape[1]), size)

    @torch.inference_mode()
    def view(self, image: Image) -> ModelView:
        """See `SiteModel`."""
        batch = normalize_images([image], self._module.normalization, self._device)
        output = self._module(batch)
        logits = output.logits.float()
        mask = upsample(logits, image.shape[:2]).argmax(1).to(torch.uint8)
        features = output.features[-1].float().mean((2, 3))
        doubts = entropy(logits.softmax(1))
        return ModelView(mask[0].cpu().numpy(), doubts[0].cpu().numpy(), features[0].cpu().numpy())
