"""Pictures of frames, and what the site's model predicts for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import overlay_mask
from edgeseg.imaging.image_codec import encode_jpeg, encode_png
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.resize import resize_mask
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.drafts.mask_runs import encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.drafts.site_masks import read_site_mask
from edgeseg.labelling.frame_images import read_frame_image
from edgeseg.site import Frame, Site

THUMBNAIL_WIDTH = 256  # pixels
MOST_THUMBNAILS = 3000
View = dict[str, Any]  # Any: what JSON can hold


class FramePictures:
    """Pictures of a site's frames. Its methods may be called from any thread."""

    def __init__(self, site: Site, frames: FrameLookup, predictions: Predictions) -> None:
        self._site, self._frames, self._predictions = site, frames, predictions
        self._thumbnails: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def image(self, frame_id: str) -> tuple[bytes, str]:
        """Return a frame's picture and its media type."""
        frame = self._frames.find(frame_id)
        path = self._site.path(frame.image)
        kind = "image/png" if path.suffix == ".png" else "image/jpeg"
        if not path.is_file():
            raise DataError(f"{path} is missing; add the footage again with `edgeseg add footage`")
        return path.read_bytes(), kind

    def thumbnail(self, frame_id: str, *, masked: bool = False) -> bytes:
        """Return a frame's picture as a small JPEG.

        Args:
            masked: Under its label, if it has one.
        """
        frame = self._frames.find(frame_id)
        kind = ""
        if masked and frame.mask:
            path = self._site.path(frame.mask)
            kind = f"{path.stat().st_mtime_ns}" if path.is_file() else "lost"
        key = frame_id, kind
        with self._lock:
            known = self._thumbnails.get(key)
        if known is not None:
            return known
        rgb = read_frame_image(self._site, frame)
        height = max(1, round(frame.height * THUMBNAIL_WIDTH / frame.width))
        resized = cv2.resize(rgb, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
        small: Image = np.asarray(resized, np.uint8)
        if masked and frame.mask:  # who reads a lost one is told
            mask = resize_mask(read_site_mask(self._site, frame), (height, THUMBNAIL_WIDTH))
            small = overlay_mask(small, mask, self._site.config.palette)
        data = encode_jpeg(small, 80)
        with self._lock:
            self._thumbnails[key] = data
            while len(self._thumbnails) > MOST_THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return data

    def label(self, frame_id: str) -> str:
        """Return the site's mask of a frame as runs, empty where it has none."""
        frame: Frame = self._frames.find(frame_id)
        return encode_text(read_site_mask(self._site, frame)) if frame.mask else ""

    def prediction(self, frame_id: str) -> View:
        """Return what the site's model predicts, `runs` empty where there is no model."""
        found = self._predictions.of(self._frames.find(frame_id))
        if found is None:
            return {"runs": "", "model": ""}
        return {"runs": encode_text(found.mask), "model": found.model}

    def entropy(self, frame_id: str) -> bytes:
        """Return how unsure the model is as a gray PNG, black where it is sure."""
        found = self._predictions.of(self._frames.find(frame_id))
        if found is None:
            raise DataError("the site has no model yet; train one with `edgeseg train`")
        return encode_png((np.clip(found.entropy, 0, 1) * 255).astype(np.uint8))
