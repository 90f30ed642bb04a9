"""A cache of finished calibrations on disk: exporting the same network with the same frames again
need not run them again.

One file serves every range estimator and both flavours. It may be deleted at any time; one that is
damaged or of another version is made anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from edgeseg.atomic_files import write_atomic
from edgeseg.calibration.histogram import Histogram
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.quantization.quantizer import CalibrationResult
from edgeseg.json_text import to_json
from edgeseg.version import __version__

MAX_FILES = 4  # the oldest go first
# how the arrays of a layer are called in the file, and the attribute of QuantizedConv that each is
LAYER_ARRAYS = {"codes": "weight_int8", "scales": "scales", "bias": "bias"}


def cache_key(network: ModelProto, interface: Interface, frames: Iterable[str]) -> str:
    """Return a file name that follows from all that a calibration depends on.

    Args:
        network: In float.
        frames: The digest of each frame's file.
    """
    text = to_json([__version__, repr(interface.with_thresholds(1, 0)), list(frames)])
    return hashlib.sha256(
        network.SerializeToString(deterministic=True) + text.encode()
    ).hexdigest()[:32]


def load_calibration(folder: Path, name: str) -> CalibrationResult | None:
    """Return the calibration that was stored under `name`; None if it is missing or damaged."""
    try:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            network = ModelProto.FromString(arrays["network"].tobytes())
            tensors, nodes = json.loads(arrays["names"].tobytes())
            histograms = {
                tensor: _load_histogram(arrays, place) for place, tensor in enumerate(tensors)
            }
            layers = {node: _load_layer(arrays, place) for place, node in enumerate(nodes)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return CalibrationResult(AnalyzedNetwork(network), histograms, layers)


def _load_histogram(arrays: Any, place: int) -> Histogram:  # Any: numpy's archive
    histogram = Histogram()
    histogram.counts = arrays[f"counts.{place}"]
    edges = arrays[f"edges.{place}"].tolist()
    histogram.upper_edge, histogram.minimum, histogram.maximum = edges
    return histogram


def _load_layer(arrays: Any, place: int) -> QuantizedConv:  # Any: as `_load_histogram`
    return QuantizedConv(
        **{attribute: arrays[f"{key}.{place}"] for key, attribute in LAYER_ARRAYS.items()}
    )


def store_calibration(folder: Path, name: str, calibrated: CalibrationResult) -> None:
    """Store a calibration under `name` and delete the oldest ones."""
    network = calibrated.network.model.SerializeToString(deterministic=True)
    names = [list(calibrated.histograms), list(calibrated.layers)]
    arrays: dict[str, Any] = {  # Any: arrays of several types
        "network": np.frombuffer(network, np.uint8),
        "names": np.frombuffer(to_json(names).encode(), np.uint8),
    }
    for place, histogram in enumerate(calibrated.histograms.values()):
        edges = [histogram.upper_edge, histogram.minimum, histogram.maximum]
        arrays[f"counts.{place}"] = histogram.counts
        arrays[f"edges.{place}"] = np.array(edges)
    for place, layer in enumerate(calibrated.layers.values()):
        for key, attribute in LAYER_ARRAYS.items():
            arrays[f"{key}.{place}"] = getattr(layer, attribute)
    target = io.BytesIO()
    np.savez(target, **arrays)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{name}.npz", target.getvalue())
    by_age = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for old in by_age[:-MAX_FILES]:
        old.unlink(missing_ok=True)
