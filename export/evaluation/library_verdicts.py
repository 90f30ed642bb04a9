"""The verdicts of NVIDIA's own parser and builder on a bundle's files, as its figures keep them.

They are asked where a library of NVIDIA is installed (`edgeseg.export.tensorrt.library_check`). No
engine is run: a verdict tells that a graph can be read and built, not what comes out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES
from edgeseg.runtime.backends.tensorrt.version_differences import ParserFault

TENSORRT = "tensorrt"  # the key in a file's figures
Figures = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class BuildVerdict:
    """The result of one build.

    Attributes:
        compute: The compute capability that it was for, such as "8.6"; None for the GPU at hand.
        seconds: The time that it took.
        bytes: The size of the engine; None where none was built.
        error: The builder's words; empty where it built.
    """

    compute: str | None
    seconds: float
    bytes: int | None
    error: str = ""

    @property
    def target(self) -> str:
        """What it was for, in words."""
        return f"compute capability {self.compute}" if self.compute else "the GPU at hand"


@dataclass(frozen=True)
class FileVerdict:
    """What one library said of one file.

    Attributes:
        library: The library, as its back end is called, such as "tensorrt-rtx".
        version: Its version.
        parsed: Whether it read the file.
        layers: The layers of the network that it read; 0 where it read none.
        errors: What its parser did not like.
        warnings: What it warned about, each text once.
        builds: The builds that were asked for and came to an end.
        unfinished: The end of a sentence where there is no whole verdict: the child process that
            asked crashed, was killed or took too long; empty otherwise.
    """

    library: str
    version: str
    parsed: bool = False
    layers: int = 0
    errors: tuple[ParserFault, ...] = ()
    warnings: tuple[str, ...] = ()
    builds: tuple[BuildVerdict, ...] = ()
    unfinished: str = ""

    @property
    def title(self) -> str:
        """Name and version of the library."""
        titles: dict[str, str] = {name: library.title for name, library in LIBRARIES.items()}
        return f"{titles.get(self.library, self.library)} {self.version}"

    @property
    def unreadable(self) -> bool:
        """Whether the parser said no."""
        return not self.parsed and (bool(self.errors) or not self.unfinished)

    @property
    def refused(self) -> bool:
        """Whether the library said no: its parser, or its builder for every target."""
        if self.unreadable or self.unfinished:
            return self.unreadable
        return bool(self.builds) and all(build.bytes is None for build in self.builds)

    def problems(self) -> Iterator[str]:
        """Yield ends of sentences that begin with the file's name."""
        if self.unreadable:
            words = "; ".join(map(str, self.errors)) or "it gave no reason"
            yield f"is not read by the parser of {self.title} ({words})"
        for build in self.builds:
            if build.bytes is None:
                yield f"is not built by {self.title} for {build.target} ({build.error})"
        if self.unfinished:
            yield f"was not tried to the end with {self.title}: {self.unfinished}"

    def to_figures(self) -> Figures:
        """Return the verdict as JSON holds it."""
        table = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in table.items()}

    @classmethod
    def load(cls, figures: Figures) -> FileVerdict:
        """Return the verdict from `to_figures`, as it comes out of JSON."""
        fields = dict(figures)
        fields["errors"] = tuple(ParserFault(**error) for error in figures["errors"])
        fields["builds"] = tuple(BuildVerdict(**build) for build in figures["builds"])
        fields["warnings"] = tuple(figures["warnings"])
        return cls(**fields)


def verdicts_of(figures: Figures) -> list[FileVerdict]:
    """Return the verdicts in the figures of one file; none where no library was asked."""
    return [FileVerdict.load(one) for one in figures.get(TENSORRT, ())]


def all_verdicts(figures: Figures) -> dict[Flavour, list[FileVerdict]]:
    """Return the verdicts in the figures of a bundle, by flavour, without files that have none."""
    found = {name: verdicts_of(figures.get(name) or {}) for name in FLAVOURS}
    return {name: verdicts for name, verdicts in found.items() if verdicts}


def problem_sentences(figures: Figures) -> list[str]:
    """Return a sentence for each thing that a library did not take, but of files left out."""
    return [
        f"{FLAVOURS[flavour].file} {problem}"
        for flavour, verdicts in all_verdicts(figures).items()
        if "refused" not in figures[flavour]
        for verdict in verdicts
        for problem in verdict.problems()
    ]
