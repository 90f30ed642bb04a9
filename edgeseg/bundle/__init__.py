"""The bundle that a device runs: files and manifest, their flavours, and their verification."""

from edgeseg.bundle.bundle import Bundle, write_bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.bundle.manifest import MANIFEST, FileEntry, Manifest

__all__ = [
    "FLAVOURS",
    "MANIFEST",
    "Bundle",
    "FileEntry",
    "Flavour",
    "Manifest",
    "bundle",
    "flavours",
    "golden_frames",
    "graph_metadata",
    "graph_signature",
    "manifest",
    "onnx_scan",
    "verification",
    "write_bundle",
]
