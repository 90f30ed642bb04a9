"""What is raced: each form is a file, an engine that runs it, and the parts of the work timed.

    whole      decode, resize, infer, class map, as each side's own program does it
    network    the file alone in its engine, on frames that were made ready beforehand

Another student is another bundle, another engine another row of `OWN_ENGINES` or `PEER_FILES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.bundle import FLAVOURS
from edgeseg.bundle.flavours import FP32, INT8_CPU, Flavour

WHOLE, NETWORK = "whole", "network"
EDGESEG, PEER, PLAIN = "edgeseg", "peer", "plain"  # whose program runs a form
ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
ENGINE_NAMES = {ONNXRUNTIME: "ONNX Runtime", OPENVINO: "OpenVINO"}
OWN_ENGINES = {ONNXRUNTIME: "cpu", OPENVINO: "openvino"}  # and what `--backend` calls it
OWN_FLAVOURS: dict[str, Flavour] = {"int8": INT8_CPU, "fp32": FP32}
PEER_FILES = {  # what Ultralytics calls its exports, and what it leaves beside the weights
    (OPENVINO, "int8"): "{stem}_int8_openvino_model",
    (OPENVINO, "fp32"): "{stem}_openvino_model",
    (ONNXRUNTIME, "int8"): "{stem}_int8.onnx",
    (ONNXRUNTIME, "fp32"): "{stem}.onnx",
}


@dataclass(frozen=True)
class Form:
    """One row of the race.

    Attributes:
        name: The row's name.
        side: `EDGESEG`, `PEER`, or `PLAIN` for a file that no program of its own runs.
        engine: `ONNXRUNTIME` or `OPENVINO`.
        precision: "int8" or "fp32".
        file: What the engine loads: an ONNX file, or an OpenVINO folder or file.
        bundle: The bundle that holds it; empty for all but edgeseg's.
        parts: `WHOLE` and `NETWORK`, or one of them.
    """

    name: str
    side: str
    engine: str
    precision: str
    file: str
    bundle: str = ""
    parts: tuple[str, ...] = (WHOLE, NETWORK)

    def facts(self) -> dict[str, Any]:  # Any: what JSON holds
        """Return the form as JSON holds it, with a digest of what is loaded."""
        return asdict(self) | {"parts": list(self.parts), "digest": digest(Path(self.file))}


def digest(path: Path) -> str:
    """Return a short SHA-256 of a file, or of the files of a folder."""
    total = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


def own_forms(bundles: Mapping[str, Path], backends: Iterable[str]) -> list[Form]:
    """Return the forms of edgeseg's bundles.

    A back end that this edgeseg lacks still races as an engine, with the network alone.

    Args:
        bundles: The bundle of each student, by the student's name.
        backends: What `--backend` takes here.
    """
    offered, forms = frozenset(backends), []
    for student, bundle in bundles.items():
        for engine, backend in OWN_ENGINES.items():
            for precision, flavour in OWN_FLAVOURS.items():
                file = bundle / FLAVOURS[flavour].file
                if file.exists():
                    parts = (WHOLE, NETWORK) if backend in offered else (NETWORK,)
                    name = f"edgeseg {student}, {ENGINE_NAMES[engine]} {precision.upper()}"
                    forms.append(
                        Form(name, EDGESEG, engine, precision, str(file), str(bundle), parts)
                    )
    return forms


def peer_forms(model: str, weights: Path) -> list[Form]:
    """Return the forms of the peer's network that were exported from a file of weights."""
    forms = []
    for (engine, precision), pattern in PEER_FILES.items():
        file = weights.with_name(pattern.format(stem=weights.stem))
        if file.exists():
            name = f"{model}, {ENGINE_NAMES[engine]} {precision.upper()}"
            forms.append(Form(name, PEER, engine, precision, str(file)))
    return forms


def plain_forms(files: Mapping[str, Path]) -> list[Form]:
    """Return a form for each ONNX file and engine, the network alone."""
    return [
        Form(
            f"{name}, {ENGINE_NAMES[engine]} FP32", PLAIN, engine, "fp32", str(file), "", (NETWORK,)
        )
        for name, file in files.items()
        for engine in ENGINE_NAMES
    ]


def named_paths(texts: Sequence[str]) -> dict[str, Path]:
    """Return the paths of "NAME=PATH" arguments by their names; "PATH" is named after itself."""
    pairs = (text.split("=", 1) if "=" in text else (Path(text).name, text) for text in texts)
    return {name: Path(path).resolve() for name, path in pairs}
