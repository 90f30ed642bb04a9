"""What every graph of a bundle takes and gives, so that one that differs is refused before an
engine is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.bundle import Manifest
from edgeseg.bundle.onnx_scan import Graph
from edgeseg.errors import BundleError

INPUT, OUTPUTS = "image", ("mask", "entropy", "score", "area")
KINDS = {"float32": 1, "uint8": 2}  # numbers of ONNX's element types


@dataclass(frozen=True)
class GraphSignature:
    """Sizes of input and outputs."""

    height: int
    width: int
    entropy_height: int
    entropy_width: int
    classes: int

    @classmethod
    def of(cls, manifest: Manifest) -> GraphSignature:
        return cls(
            manifest.height,
            manifest.width,
            manifest.entropy_height,
            manifest.entropy_width,
            len(manifest.classes),
        )

    def tensors(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape for one frame and type of each; the input comes first."""
        return {
            INPUT: ((1, self.height, self.width, 3), "uint8"),
            "mask": ((1, self.height, self.width), "uint8"),
            "entropy": ((1, self.entropy_height, self.entropy_width), "float32"),
            "score": ((1,), "float32"),
            "area": ((1, self.classes), "float32"),
        }

    def check(self, graph: Graph, name: str) -> None:
        """Compare what a file declares; a batch that is left open is as good as one frame.

        Raises:
            BundleError: it takes or gives something else.
        """
        wanted = self.tensors()
        right = list(graph.inputs) == [INPUT] and set(OUTPUTS) <= set(graph.outputs)
        declared: dict[str, Any] = (
            graph.inputs | graph.outputs
        )  # Any: number of the type, and sides
        for tensor, (shape, kind) in wanted.items() if right else ():
            number, sides = declared[tensor]
            right = (
                right
                and number == KINDS[kind]
                and sides[1:] == shape[1:]
                and sides[:1] in ((1,), (0,))
            )
        if not right:
            raise BundleError(
                f"{name} does not take one {self.width}x{self.height} RGB frame, or not give {', '.join(OUTPUTS)} as "
                "its manifest says; export the bundle again"
            )
