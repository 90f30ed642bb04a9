"""The layers of an engine as TensorRT's inspector tells them, and which really run in INT8."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeseg.runtime.backends.tensorrt.version_differences import tensor_type_texts

INT8 = re.compile(r"\bint8\b", re.IGNORECASE)  # not uint8, which the image and the mask are
SHOWN_NAMES = 8  # names of layers in a sentence
Layer = dict[str, Any]  # Any: whatever the inspector writes


@dataclass(frozen=True)
class LayerInspection:
    """The number of layers of each kind.

    Attributes:
        layers: The number of all layers; 0 where the inspector said nothing that can be read.
        int8: The number of layers with every input and every output in INT8.
        convolutions: The number of layers told as convolutions; others may lie inside fused nodes
            that the inspector does not open.
        int8_convolutions: The number of those whose first input is INT8.
        float_convolutions: The names of the other convolutions.
        reformats: The names of layers that only change a format or type.
        opaque: The number of fused nodes that the inspector does not open.
    """

    layers: int = 0
    int8: int = 0
    convolutions: int = 0
    int8_convolutions: int = 0
    float_convolutions: tuple[str, ...] = ()
    reformats: tuple[str, ...] = ()
    opaque: int = 0

    @classmethod
    def load(cls, fields: dict[str, Any]) -> LayerInspection:  # Any: what json can hold
        """Return the counts from `dataclasses.asdict`, as it comes out of JSON."""
        values: Any = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)  # Any: as `fields`

    def runs_in_float(self) -> bool:
        """Return whether nothing of an INT8 file runs in INT8, as far as can be seen."""
        return self.convolutions > 0 and self.int8_convolutions == 0 and self.opaque == 0

    def warnings(self, expected: int | None) -> list[str]:
        """Return sentences about what a person should look at.

        Args:
            expected: The number of convolutions that the file has in INT8, None where it does not
                say.
        """
        sentences = []
        if not self.layers:
            sentences.append(
                "the engine inspector told nothing, so whether INT8 kernels run is not known"
            )
        elif expected is not None and self.int8_convolutions < expected and not self.opaque:
            names = ", ".join(self.float_convolutions[:SHOWN_NAMES])
            more = ", ..." if len(self.float_convolutions) > SHOWN_NAMES else ""
            sentences.append(
                f"{self.int8_convolutions} of {expected} INT8 convolutions run in INT8; float: "
                f"{names}{more}"
            )
        return sentences


def read_inspection(text: str) -> LayerInspection:
    """Count what `get_engine_information` returned; what cannot be read counts as nothing."""
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return LayerInspection()
    known = (
        [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    )
    reformats = [layer for layer in known if "reformat" in _kind(layer)]
    computing = [layer for layer in known if "reformat" not in _kind(layer)]
    convolutions = [layer for layer in computing if "convolution" in _kind(layer)]
    in_float = tuple(_name(layer) for layer in convolutions if not _first_is_int8(layer))
    return LayerInspection(
        layers=len(known),
        int8=sum(map(_is_all_int8, computing)),
        convolutions=len(convolutions),
        int8_convolutions=len(convolutions) - len(in_float),
        float_convolutions=in_float,
        reformats=tuple(_name(layer) for layer in reformats),
        opaque=sum(map(_is_opaque, computing)),
    )


def _is_all_int8(layer: Layer) -> bool:
    return all(_are_int8(layer, "Inputs", "Outputs")) and _first_is_int8(layer)


def _is_opaque(layer: Layer) -> bool:
    return "foreignnode" in _name(layer).lower() or "myelin" in _kind(layer)


def _name(layer: Layer) -> str:
    return str(layer.get("Name", ""))


def _kind(layer: Layer) -> str:
    return f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()


def _are_int8(layer: Layer, *sides: str) -> Iterator[bool]:
    """Yield for each tensor on the given sides of a layer whether it is INT8."""
    for side in sides:
        tensors = layer.get(side)
        for tensor in tensors if isinstance(tensors, list) else []:
            if isinstance(tensor, dict):
                yield any(INT8.search(text) for text in tensor_type_texts(tensor))


def _first_is_int8(layer: Layer) -> bool:
    return next(_are_int8(layer, "Inputs"), False)
