"""The bundle: its files and manifest, what its graphs take and give, and the checks before anything is run."""

from edgeseg.bundle.bundle import (
    Bundle,
    FileEntry,
    Flavour,
    GRAPHS,
    MANIFEST,
    Manifest,
    write,
)

__all__ = [
    "Bundle",
    "FileEntry",
    "Flavour",
    "GRAPHS",
    "MANIFEST",
    "Manifest",
    "write",
]
