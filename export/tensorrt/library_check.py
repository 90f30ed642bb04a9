"""Asks NVIDIA's own parser and builder about files, in child processes that may crash or hang.

Wherever TensorRT or TensorRT for RTX is installed. Both read and build graphs; TensorRT for RTX
does without a GPU. Nothing is run, so a yes tells that an engine can be made, not what it computes.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.atomic_files import write_json
from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.config import EngineConfig, ExportConfig
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.library_verdicts import TENSORRT, BuildVerdict, Figures, FileVerdict
from edgeseg.export.tensorrt import library_worker
from edgeseg.installation import install_command
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.tensorrt import libraries
from edgeseg.runtime.backends.tensorrt.building.child_process import ChildEnd, run_child
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, TensorRTLibrary
from edgeseg.runtime.backends.tensorrt.version_differences import ParserFault

if TYPE_CHECKING:  # it brings torch, which a bundle can be checked without
    from edgeseg.export.export_context import ExportContext

LOADING_SECONDS = 60  # beside the time of the first step: a library has hundreds of megabytes
REMEDIES = {
    "time": "; allow more with --set export.ask_timeout=3600",
    "memory": "; allow more with --set export.ask_memory_mb=16000",
}


@dataclass(frozen=True)
class AskedFiles:
    """What the libraries are asked.

    Attributes:
        files: The content of each file that TensorRT is to run.
        engine: How engines are built.
        every: Build for all compute capabilities that a library offers; else for one.
        timeout: Seconds that reading a file, or one build of it, may take.
        memory_mb: Memory that a child process may take.
    """

    files: Mapping[Flavour, bytes]
    engine: EngineConfig
    every: bool
    timeout: float
    memory_mb: int

    @classmethod
    def of(
        cls,
        files: Mapping[Flavour, bytes],
        engine: EngineConfig,
        limits: ExportConfig,
        *,
        every: bool,
    ) -> AskedFiles:
        """Return the questions under a configuration."""
        engine = engine.model_copy(update={"dla": None})  # the GPU is asked about alone
        return cls(files, engine, every, limits.ask_timeout, limits.ask_memory_mb)


@dataclass(frozen=True)
class LibraryAnswers:
    """What the installed libraries said.

    Attributes:
        verdicts: The verdicts on each file, one for each library.
        remarks: A sentence for each library that could not be asked, or that none is installed.
    """

    verdicts: dict[Flavour, list[FileVerdict]]
    remarks: list[str]

    def figures(self) -> dict[str, Figures]:
        """Return the figures of each file that was asked about."""
        return {
            flavour: {TENSORRT: [verdict.to_figures() for verdict in verdicts]}
            for flavour, verdicts in self.verdicts.items()
        }


def _how_to_install() -> str:
    return (
        "NVIDIA's own parser and builder were not asked, since neither TensorRT nor TensorRT for "
        f"RTX is installed; `{install_command('tensorrt-rtx')}` brings the latter, which needs no "
        "GPU"
    )


def ask_libraries(asked: AskedFiles, report: ProgressReporter | None = None) -> LibraryAnswers:
    """Ask each library that is installed about each file that its back end runs.

    Raises:
        ExportError: There is no room for the files that are handed over.
    """
    report = report or NullReporter()
    installed = [LIBRARIES[name] for name in libraries.installed_backends()]
    answers = LibraryAnswers({}, [] if installed else [_how_to_install()])
    for library in installed:
        try:
            verdicts = _ask_library(library, asked, report)
        except _CannotStartError as error:
            answers.remarks.append(f"{library.title} is installed but cannot be asked: {error}")
            continue
        for flavour, verdict in verdicts.items():
            answers.verdicts.setdefault(flavour, []).append(verdict)
    return answers


def add_verdicts(context: ExportContext, *, every: bool) -> list[str]:
    """Ask about the files of an export, and add the verdicts to their figures.

    Args:
        every: Build for all compute capabilities; else for one, as every export does.

    Returns:
        A sentence for each library that could not be asked, or that none is installed.
    """
    files = {flavour: context.graph(flavour) for flavour in FLAVOURS if context.has(flavour)}
    asked = AskedFiles.of(files, context.site.config.engine, context.config, every=every)
    try:
        answers = ask_libraries(asked, context.report)
    except ExportError as error:  # hours of work are not lost for it
        return [str(error)]
    for flavour, figures in answers.figures().items():
        context.figures[flavour] |= figures
    return answers.remarks if every or libraries.installed_backends() else []


def ask_about_bundle(
    bundle: Bundle, engine: EngineConfig, limits: ExportConfig, report: ProgressReporter
) -> LibraryAnswers:
    """Ask about the files of a bundle, for all compute capabilities.

    Raises:
        ExportError: There is no room for the files that are handed over.
        BundleError: A file is damaged.
    """
    files = {
        name: bundle.read(spec.file)
        for name, spec in FLAVOURS.items()
        if bundle.holds(name) and any(library in spec.backends for library in LIBRARIES)
    }
    return ask_libraries(AskedFiles.of(files, engine, limits, every=True), report)


class _CannotStartError(Exception):
    """A library that does not load or start on this machine; the message is its own words."""


def _ask_library(
    library: TensorRTLibrary, asked: AskedFiles, report: ProgressReporter
) -> dict[Flavour, FileVerdict]:
    """Ask one library; a file that ends the child is told apart, and the others are asked anew.

    Raises:
        _CannotStartError: The library does not load or start.
    """
    open_files = [name for name in asked.files if library.backend in FLAVOURS[name].backends]
    verdicts: dict[Flavour, FileVerdict] = {}
    while open_files:
        record, end = _run_worker(library, asked, open_files, report)
        if record.cannot_start or record.version is None:
            raise _CannotStartError(record.cannot_start or f"it {end.told()}")
        verdicts |= record.verdicts
        left = [name for name in open_files if name not in record.ended]
        if left:  # the first of them ended the child
            verdicts[left[0]] = record.broken_off(left[0], end)
        open_files = left[1:]
    return verdicts


def _run_worker(
    library: TensorRTLibrary, asked: AskedFiles, flavours: list[Flavour], report: ProgressReporter
) -> tuple[_Record, ChildEnd]:
    """Let a child process ask about files, one after the other."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgeseg-check-") as name:  # mode 0700
            folder = Path(name)
            for flavour in flavours:
                (folder / FLAVOURS[flavour].file).write_bytes(asked.files[flavour])
            job = {
                "library": library.backend,
                "every": asked.every,
                "engine": asked.engine.model_dump(),
                "files": flavours,
            }
            write_json(folder / library_worker.JOB, job)
            record = _Record(library, folder / library_worker.ANSWERS, report)
            end = run_child(
                library_worker.__name__,
                folder,
                timeout=asked.timeout,
                memory_mb=asked.memory_mb,
                moved_on=record.moved_on,
            )
            record.read_on()
    except OSError as error:
        raise ExportError(
            f"{library.title} cannot be asked about the files in {tempfile.gettempdir()} "
            f"({error.strerror}); make room there, or set TMPDIR to a folder with room"
        ) from None
    return record, end


class _Record:
    """What a child has answered so far.

    Attributes:
        version: The library's version, None until it is loaded.
        cannot_start: Why the library cannot be loaded or started; empty if it can.
        verdicts: The verdicts on the files that were begun.
        ended: The files that were asked about to the end.
    """

    def __init__(self, library: TensorRTLibrary, path: Path, report: ProgressReporter) -> None:
        self.version: str | None = None
        self.cannot_start = ""
        self.verdicts: dict[Flavour, FileVerdict] = {}
        self.ended: set[Flavour] = set()
        self._library, self._path, self._report = library, path, report
        self._read = self._targets = 0
        self._step, self._began = "", time.monotonic()

    def moved_on(self) -> bool:
        """Return whether there was a new answer, or the library is still being loaded."""
        loading = self.version is None and time.monotonic() - self._began < LOADING_SECONDS
        return self.read_on() or loading

    def read_on(self) -> bool:
        """Take in what was answered since; return whether there was anything."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]  # the last one may be half written
        except OSError:  # it was not begun yet
            return False
        new = lines[self._read :]
        for line in new:
            self._take_in(json.loads(line))
        self._read = len(lines)
        return bool(new)

    def broken_off(self, flavour: Flavour, end: ChildEnd) -> FileVerdict:
        """Return the verdict on a file on which the child ended before its time."""
        verdict = self.verdicts.get(flavour) or self._first_verdict()
        return replace(
            verdict, unfinished=f"{self._step} {end.told()}{REMEDIES.get(end.reason, '')}"
        )

    def _first_verdict(self) -> FileVerdict:
        return FileVerdict(self._library.backend, self.version or "")

    def _take_in(self, answer: dict[str, Any]) -> None:  # Any: JSON
        if "cannot_start" in answer:
            self.cannot_start = answer["cannot_start"]
        elif "version" in answer:
            self.version, self._targets = answer["version"], len(answer["targets"])
        else:
            self._take_in_verdict(answer["file"], answer)

    def _take_in_verdict(self, flavour: Flavour, answer: dict[str, Any]) -> None:  # Any: JSON
        verdict = self.verdicts.get(flavour)
        if verdict is None:
            verdict = self._first_verdict()
            title = f"{verdict.title} on {FLAVOURS[flavour].file}"
            self._report.start(title, 1 + self._targets)
        if "begins" in answer:
            self._step = answer["begins"]
        elif "layers" in answer:
            verdict = replace(verdict, parsed=True, layers=answer["layers"])
            self._report.advance(note=f"{verdict.layers} layers")
        elif "errors" in answer:
            errors = tuple(ParserFault(**error) for error in answer["errors"])
            verdict = replace(verdict, errors=errors)
            self._report.advance(note="not read")
        elif "build" in answer:
            build = BuildVerdict(**answer["build"])
            verdict = replace(verdict, builds=(*verdict.builds, build))
            self._report.advance(note=f"{build.compute or 'this GPU'}: {build.seconds:.1f} s")
        elif "warnings" in answer:
            verdict = replace(verdict, warnings=tuple(answer["warnings"]))
            self.ended.add(flavour)
        self.verdicts[flavour] = verdict
