"""A reader of unlabelled frames that gives them the labels that other frames have for them."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.data.propagation.label_propagation import LabelPropagation
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site


class PropagatedLabelReader(SiteFrameReader):
    """Unlabelled frames with masks by `LabelPropagation`, made once and kept in the cache."""

    def __init__(
        self,
        site: Site,
        frames: Sequence[Frame],
        labelled: SiteFrameReader,
        report: ProgressReporter | None = None,
    ) -> None:
        """Compare with all frames of `labelled`, at their size."""
        self._sources = labelled.frames
        self._propagation = LabelPropagation(labelled)
        super().__init__(site, frames, labelled.size, report=report)

    def _mask_sources(self) -> Sequence[Frame]:
        return self._sources

    def _make_mask(self, image: Image) -> Mask:
        return self._propagation.propagate(image)
