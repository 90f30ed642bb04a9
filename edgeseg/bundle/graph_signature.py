"""The signature of a bundle's graphs: names, types and shapes of their input and outputs.

A graph that takes or gives anything else is refused before an engine is made of it. Normalization
and the entropy are inside the graph (`edgeseg.export.graph.pre_post_processing`), so a device only
resizes a frame to this size (`edgeseg.imaging.resize`).
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.bundle.manifest import Manifest
from edgeseg.bundle.onnx_scan import ScannedGraph
from edgeseg.errors import BundleError

INPUT, OUTPUTS = "image", ("mask", "entropy", "score", "area")
ELEMENT_TYPES = {"float32": 1, "uint8": 2}  # ONNX's numbers for them


@dataclass(frozen=True)
class GraphSignature:
    """The sizes of input and outputs, in pixels, and the number of classes."""

    height: int
    width: int
    entropy_height: int
    entropy_width: int
    classes: int

    @classmethod
    def of(cls, manifest: Manifest) -> GraphSignature:
        """Return the signature that a manifest promises."""
        return cls(
            manifest.height,
            manifest.width,
            manifest.entropy_height,
            manifest.entropy_width,
            len(manifest.classes),
        )

    def tensors(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return the shape for one frame and the type of each tensor; the input comes first."""
        return {
            INPUT: ((1, self.height, self.width, 3), "uint8"),
            "mask": ((1, self.height, self.width), "uint8"),
            "entropy": ((1, self.entropy_height, self.entropy_width), "float32"),
            "score": ((1,), "float32"),
            "area": ((1, self.classes), "float32"),
        }

    def check(self, graph: ScannedGraph, name: str) -> None:
        """Compare the signature with what a file declares; it may leave the batch size open.

        Args:
            name: What errors call the file.

        Raises:
            BundleError: The graph takes or gives something else.
        """
        if not self._fits(graph):
            raise BundleError(
                f"{name} does not take one {self.width}x{self.height} RGB frame, or not give "
                f"{', '.join(OUTPUTS)} as its manifest says; export the bundle again"
            )

    def _fits(self, graph: ScannedGraph) -> bool:
        if list(graph.inputs) != [INPUT] or not set(OUTPUTS) <= set(graph.outputs):
            return False
        declared = graph.inputs | graph.outputs
        for tensor, (shape, kind) in self.tensors().items():
            element_type, sides = declared[tensor]
            batch, rest = sides[:1], sides[1:]
            if (
                element_type != ELEMENT_TYPES[kind]
                or rest != shape[1:]
                or batch not in ((1,), (0,))
            ):
                return False
        return True
