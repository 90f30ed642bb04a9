"""A finished calibration on disk: exporting the same network with the same frames again need not
run them again.

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
from edgeseg.calibration.observers import Histogram
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.quantization.quantizer import CalibrationResult
from edgeseg.version import __version__

MAX_FILES = 4  # files; the oldest go first
# how the arrays of a layer are called in the file, and the attribute of QuantizedConv that each is
LAYER_ARRAYS = {"codes": "weight_int8", "scales": "scales", "bias": "bias"}


def cache_key(network: ModelProto, interface: Interface, frames: Iterable[str]) -> str:
    """What a calibration depends on, as a file name.

    Args:
        network: float.
        frames: digest of each frame's file.
    """
    text = json.dumps([__version__, repr(interface.with_thresholds(1, 0)), list(frames)])
    return hashlib.sha256(
        network.SerializeToString(deterministic=True) + text.encode()
    ).hexdigest()[:32]


def load_calibration(folder: Path, name: str) -> CalibrationResult | None:
    """The calibration that was stored under `name`, if it is there and whole."""
    try:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            network = ModelProto.FromString(stored["network"].tobytes())
            tensors, nodes = json.loads(stored["names"].tobytes())
            histograms = {}
            for place, tensor in enumerate(tensors):
                histogram = histograms[tensor] = Histogram()
                histogram.counts = stored[f"counts.{place}"]
                histogram.upper_edge, histogram.minimum, histogram.maximum = stored[
                    f"edges.{place}"
                ].tolist()
            layers = {
                node: QuantizedConv(
                    **{
                        attribute: stored[f"{key}.{place}"]
                        for key, attribute in LAYER_ARRAYS.items()
                    }
                )
                for place, node in enumerate(nodes)
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return CalibrationResult(network, histograms, layers)


def store_calibration(folder: Path, name: str, calibrated: CalibrationResult) -> None:
    """Store a calibration under `name`; the oldest ones go."""
    names = [list(calibrated.histograms), list(calibrated.layers)]
    arrays: dict[str, Any] = {  # Any: arrays of several types
        "network": np.frombuffer(
            calibrated.network.SerializeToString(deterministic=True), np.uint8
        ),
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
    }
    for place, histogram in enumerate(calibrated.histograms.values()):
        arrays[f"counts.{place}"] = histogram.counts
        arrays[f"edges.{place}"] = np.array(
            [histogram.upper_edge, histogram.minimum, histogram.maximum]
        )
    for place, layer in enumerate(calibrated.layers.values()):
        arrays |= {
            f"{key}.{place}": getattr(layer, attribute) for key, attribute in LAYER_ARRAYS.items()
        }
    target = io.BytesIO()
    np.savez(target, **arrays)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{name}.npz", target.getvalue())
    for old in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)[:-MAX_FILES]:
        old.unlink(missing_ok=True)
