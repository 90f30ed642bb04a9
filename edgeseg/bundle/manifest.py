"""`manifest.json`: what a bundle says of itself, with the size and digest of each of its files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.config import ClassSpec, FitMode, Section
from edgeseg.imaging.decoding.depth_range import DepthRange

MANIFEST = "manifest.json"
CALIBRATION, GOLDEN, CARD = "calibration.json", "golden.npz", "card.md"
FILE_NAMES = (*(spec.file for spec in FLAVOURS.values()), CALIBRATION, GOLDEN, CARD)
LATER_KEYS = ("fit", "depth")  # of the manifest, since its first version
MAX_FILE = 2_000_000_000  # bytes


class FileEntry(Section):
    """The exact size and digest of one file.

    Attributes:
        size: In bytes.
        sha256: Of the bytes, in lower-case hex.
    """

    size: int = Field(ge=0, le=MAX_FILE)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ManifestDepth(Section):
    """The range of values that becomes 0 to 255 in pictures of more than 8 bits.

    Value v becomes floor(256 * (v - low) / (high - low)), at least 0 and at most 255.

    Attributes:
        low: The lowest value that is told from lower ones.
        high: The first value that is too high.
        floating: Whether it is meant for floating-point pixels; else for integers.
    """

    low: float
    high: float
    floating: bool = False

    @model_validator(mode="after")
    def _is_range(self) -> ManifestDepth:
        _ = self.range
        return self

    @property
    def range(self) -> DepthRange:
        """The range itself."""
        return DepthRange(self.low, self.high, self.floating)


class Manifest(Section):
    """The content of `manifest.json`.

    Attributes:
        format: The layout of this file; a device refuses one that it does not know.
        seq: A number that rises with every published bundle of a site.
        site: The name of the site.
        created: The time of the export, ISO 8601 in UTC.
        classes: The classes, by class id.
        height: Pixels of the graphs' input.
        width: Pixels of the graphs' input.
        fit: How frames of another shape come to that size.
        entropy_height: Pixels of their entropy map, which has the stride of the logits.
        entropy_width: Pixels of their entropy map.
        gamma: The entropy above which a pixel counts as unreliable.
        temperature: The number that logits are divided by before the entropy.
        log_threshold: The score from which a frame is worth sending home (95 % quantile on val).
        figures: The figures of every step of the parity chain, by flavour; their `speedup` is how
            many times as fast as FP32 the file ran at its export.
        provenance: Method, run, configuration, digest of the data, and versions.
        files: The files of the bundle by name.
        depth: How the site scaled pictures of more than 8 bits; left out where it has none.
    """

    format: Literal[1] = 1
    seq: int = Field(0, ge=0)
    site: str
    created: str
    classes: tuple[ClassSpec, ...] = Field(min_length=2, max_length=64)
    height: int = Field(ge=32, le=8192)
    width: int = Field(ge=32, le=8192)
    fit: FitMode = "stretch"
    entropy_height: int = Field(ge=1, le=8192)
    entropy_width: int = Field(ge=1, le=8192)
    gamma: float = Field(ge=0, le=1)
    temperature: float = Field(gt=0)
    log_threshold: float = Field(ge=0, le=1)
    figures: dict[str, Any]  # Any: a table of numbers that only reports read
    provenance: dict[str, Any]  # Any: as figures
    files: dict[str, FileEntry]
    depth: ManifestDepth | None = None

    @property
    def depth_range(self) -> DepthRange | None:
        """The range of pictures of more than 8 bits, None where the site had none."""
        return self.depth.range if self.depth else None

    def to_json(self) -> bytes:
        """Return the content of the file.

        Keys that came later are left out where they say nothing, so that devices with an older
        edgeseg, which refuse keys that they do not know, still take the bundle.
        """
        fields = type(self).model_fields
        unused = {name for name in LATER_KEYS if getattr(self, name) == fields[name].default}
        return self.model_dump_json(indent=2, exclude=unused).encode()

    def gamma_of(self, flavour: Flavour) -> float:
        """Return the gamma inside one file; an INT8 file is fitted on its own."""
        figures = self.figures.get(flavour)
        own = figures.get("gamma") if isinstance(figures, dict) else None
        return float(own) if isinstance(own, (int, float)) else self.gamma
