"""The published bundle as a model to label with; it needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.frame_fit import FrameFit
from edgeseg.labelling.site_models.model_view import ModelView, check_classes
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.frame_prediction import fit_of_frame
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site


class BundleModel:
    """The published bundle; see `SiteModel`."""

    def __init__(self, runner: Runner) -> None:
        """Take a runner that is open."""
        self._runner = runner
        self.name = f"bundles/{runner.bundle.path.name} ({runner.flavour})"
        identity = f"{runner.bundle.digest} {runner.flavour}"
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    def fit(self, image: Image) -> FrameFit:
        """See `SiteModel`."""
        return fit_of_frame(self._runner, image)

    def view(self, image: Image) -> ModelView:
        """See `SiteModel`."""
        prediction = self._runner(np.ascontiguousarray(image)[None])
        return ModelView(prediction.mask[0], prediction.entropy[0].astype(np.float32))


@contextmanager
def open_bundle_model(site: Site) -> Iterator[BundleModel]:
    """Open the current bundle on ONNX Runtime.

    Not on TensorRT, whose engines take minutes to build while a person waits.

    Raises:
        BundleError: It is damaged.
        DataError: It knows other classes.
        DependencyError: ONNX Runtime is not installed.
    """
    bundle = Bundle.open(site.current_bundle)
    check_classes(site, [spec.name for spec in bundle.manifest.classes], bundle.path.name)
    with open_runner(bundle, "cpu") as runner:
        yield BundleModel(runner)
