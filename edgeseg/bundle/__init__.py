"""The bundle: its files and manifest, what its graphs take and give, and the checks before anything
is run.
"""

from edgeseg.bundle.bundle import MANIFEST, Bundle, FileEntry, Manifest, write
from edgeseg.bundle.flavours import FLAVOURS, Flavour

__all__ = ["FLAVOURS", "MANIFEST", "Bundle", "FileEntry", "Flavour", "Manifest", "write"]
