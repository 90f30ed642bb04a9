"""Export of an edge model as a bundle: ONNX, INT8, parity, gates.

The package can be called: `edgeseg.export(site)` is `edgeseg.export.exporter.export(site)`.
"""

from edgeseg.lazy import callable_package

callable_package(__name__, "edgeseg.export.exporter", "export")

__all__ = ["evaluation", "exporter", "reporting", "tensorrt", "untrained_files"]
