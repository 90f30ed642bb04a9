"""The bundle: its files and manifest, what its graphs take and give, and the checks before anything
is run.
"""

from edgeseg.bundle.bundle import GRAPHS, MANIFEST, Bundle, FileEntry, Flavour, Manifest, write

__all__ = ["GRAPHS", "MANIFEST", "Bundle", "FileEntry", "Flavour", "Manifest", "write"]
