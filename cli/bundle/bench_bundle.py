"""`edgeseg bench BUNDLE`: every file of a bundle, or of all bundles in a folder, timed in turns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cli.shared.options import merge_overrides
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle
    from edgeseg.bundle.flavours import Backend as BackendName
    from edgeseg.bundle.flavours import Flavour
    from edgeseg.imaging.array_types import Image
    from edgeseg.imaging.decoding.depth_range import DepthRange
    from edgeseg.runtime.backends.base import BackendChoice
    from edgeseg.runtime.backends.measured_choice import MeasuredFile
    from edgeseg.runtime.benchmark import FlavourTiming, TimedFile

Figures = dict[str, dict[str, float]]


def bench_bundles(
    path: Path | None,
    frames: int,
    source: str | None,
    backend: str | None,
    threads: int | None,
    set_: list[str] | None,
    *,
    as_json: bool,
    without: Mapping[str, object],
) -> None:
    """Time a bundle, or every bundle below a folder that is none, and print a table of each.

    Args:
        path: The bundle or folder; the site's current bundle if left out.
        without: Options that go with --students only, by name.

    Raises:
        ConfigError: One of them was given, or there is no frame to time on.
        BundleError: A bundle cannot be used, or there is none.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.errors import ConfigError

    for name, value in without.items():
        if value is not None:
            raise ConfigError(
                f"{name} goes with --students and chooses among networks; a bundle is one already, "
                "so leave it out"
            )
    overrides = merge_overrides("infer", set_, backend=backend, threads=threads)
    several = _bundles_below(path) if path is not None else []
    all_facts = []
    bundles: list[Path | None] = [*several] or [path]
    for bundle in bundles:
        if several:
            say(str(bundle))
        facts = _bench_bundle(bundle, frames, source, overrides, show_table=not as_json)
        all_facts.append(facts)
    if as_json:
        print(to_json({"bundles": all_facts} if several else all_facts[0]))


def _bundles_below(path: Path) -> list[Path]:
    """Return the bundles in a folder that is none itself, at most two levels down."""
    from edgeseg.bundle import MANIFEST

    if (path / MANIFEST).exists() or not path.is_dir():
        return []
    found = {each.parent for depth in ("*", "*/*") for each in path.glob(f"{depth}/{MANIFEST}")}
    real = {bundle.resolve(): bundle for bundle in sorted(found)}  # `current` is a link to one
    return sorted(real.values())


def _bench_bundle(
    bundle: Path | None, frames: int, source: str | None, overrides: list[str], *, show_table: bool
) -> dict[str, Any]:  # Any: JSON
    """Time the files of a bundle in turns, print notes and perhaps the table, and return it all."""
    from edgeseg.bundle.flavours import FLAVOURS, FP32
    from edgeseg.bundle.golden_frames import read_golden_frames
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.errors import ConfigError
    from edgeseg.processor import available_cores
    from edgeseg.runtime.benchmark import (
        TimedFile,
        benchmark_bundle,
        measured_files,
        timing_statistics,
    )

    _, opened, config = open_bundle(bundle, overrides)
    backends = _backends_to_time(config.infer.backend)
    chosen_backend = backends[0]
    threads = config.infer.threads or available_cores()
    golden = read_golden_frames(opened)
    if source is not None:
        images = _read_images(source, frames, opened.manifest.depth_range)
    elif golden is not None:
        images = golden.images
    else:
        raise ConfigError(
            f"{opened.path} brings no frames along; name some with --source VIDEO or "
            "--source FOLDER"
        )
    with progress_bar() as bar:
        timings = benchmark_bundle(
            opened,
            images,
            backends=backends,
            frames=frames,
            threads=threads,
            golden=golden,
            engine=config.engine,
            report=bar,
        )
    base = timings[TimedFile(chosen_backend, FP32)]
    figures = {file: timing_statistics(timing, base) for file, timing in timings.items()}
    choice, choice_note = _keep_choice(opened, threads, frames, backends, timings)
    manifest = opened.manifest
    passed = {(file.backend, file.flavour): file.passed for file in measured_files(opened, timings)}
    facts = {
        "bundle": str(opened.path),
        "arch": manifest.provenance.get("arch", ""),
        "encoder": manifest.provenance.get("encoder", ""),
        "height": manifest.height,
        "width": manifest.width,
        "backend": chosen_backend,
        "threads": threads,
        "frames": frames,
        **_as_json(chosen_backend, figures, timings, passed),
    }
    for engine in backends[1:]:
        facts[engine] = _as_json(engine, figures, timings, passed)
    if choice is not None:
        facts["auto"] = {"backend": choice.backend, "flavour": choice.flavour}
    if show_table:
        _print_table(figures, chosen_backend)
    skipped = [
        FLAVOURS[flavour].file
        for flavour in opened.flavours()
        if TimedFile(chosen_backend, flavour) not in timings
    ]
    notes = [
        f"{frames} frames each on {' and '.join(backends)}, {threads} threads, one frame after "
        "another"
    ]
    notes += [f"not for {chosen_backend}: {', '.join(skipped)}"] if skipped else []
    shares = ", ".join(
        f"{_name(file, chosen_backend)} {timing.agreement:.2f} %"
        for file, timing in timings.items()
        if timing.agreement is not None
    )
    notes += (
        [f"pixels of the golden frames as FP32 gave them at export: {shares}"] if shares else []
    )
    notes += [choice_note] if choice_note else []
    notes.append(
        f"next: edgeseg infer {shell_word(opened.path)} --source ... does decoding, inference and "
        "writing side by side"
    )
    for note in notes:
        say(note)
    return facts


def _backends_to_time(configured: BackendChoice) -> list[BackendName]:
    """Return the back ends to time side by side; where "auto" ends on the CPU all that run there.

    Raises:
        DependencyError: What the back end needs is not installed.
    """
    from edgeseg.runtime.backends.open_runner import resolve_backend
    from edgeseg.runtime.backends.openvino import library

    chosen = resolve_backend(configured)
    beside = configured == "auto" and chosen == "cpu" and library.is_installed()
    return [chosen, "openvino"] if beside else [chosen]


def _keep_choice(
    bundle: Bundle,
    threads: int,
    frames: int,
    backends: list[BackendName],
    timings: Mapping[TimedFile, FlavourTiming],
) -> tuple[MeasuredFile | None, str]:
    """Keep what was measured where all engines of the CPU took part.

    Returns:
        What `--backend auto` takes from now on, and a sentence about it; neither where too little
        was measured.
    """
    from edgeseg.bundle.flavours import FLAVOURS
    from edgeseg.runtime.backends.measured_choice import LEAST_FRAMES, keep_measurement
    from edgeseg.runtime.backends.openvino import library
    from edgeseg.runtime.benchmark import measured_files

    every_engine = backends[0] == "cpu" and (len(backends) > 1 or not library.is_installed())
    if not every_engine or frames < LEAST_FRAMES:
        return None, ""
    measurement, kept = keep_measurement(bundle, threads, measured_files(bundle, timings))
    best = measurement.fastest()
    if best is None or not kept:
        return None, ""
    wrong = ", ".join(
        f"{FLAVOURS[file.flavour].file} on {file.backend}"
        for file in measurement.files
        if not file.passed
    )
    return best, (
        f"{FLAVOURS[best.flavour].file} on {best.backend} is the fastest here"
        + (f" of those that passed (not {wrong})" if wrong else "")
        + f", so --backend auto takes it on {threads} threads"
    )


def _as_json(
    backend: BackendName,
    figures: Mapping[TimedFile, Figures],
    timings: Mapping[TimedFile, FlavourTiming],
    passed: Mapping[tuple[BackendName, Flavour], bool],
) -> dict[str, Any]:  # Any: JSON
    """Return the figures of one engine, by flavour and by file.

    Args:
        passed: Whether a file gave the golden frames the classes that it should.
    """
    from edgeseg.bundle import FLAVOURS

    own = [file for file in figures if file.backend == backend]
    return {
        "files": {file.flavour: figures[file] for file in own},
        "passed": {file.flavour: passed[backend, file.flavour] for file in own},
        "agreement": {FLAVOURS[file.flavour].file: timings[file].agreement for file in own},
    }


def _name(file: TimedFile, chosen: BackendName) -> str:
    """Return the file's name, with its engine where that is not the usual one."""
    from edgeseg.bundle import FLAVOURS

    name = FLAVOURS[file.flavour].file
    return name if file.backend == chosen else f"{name} on {file.backend}"


def _print_table(figures: Mapping[TimedFile, Figures], chosen: BackendName) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import table_console

    table = Table("file", "stage", "median ms", "p95 ms", "FPS", "against FP32", box=None)
    for file, stages in figures.items():
        for index, (stage, row) in enumerate(stages.items()):
            table.add_row(
                "" if index else _name(file, chosen),
                "end to end" if stage == "total" else stage,
                f"{row['median_ms']:.2f}",
                f"{row['p95_ms']:.2f}",
                f"{row['fps']:.1f}",
                f"{row['ratio']:.2f}x",
            )
    table_console(120).print(table)


def _read_images(source: str, frames: int, depth: DepthRange | None) -> list[Image]:
    """Return up to 32 frames of a source to time on.

    Raises:
        SourceError: It cannot be read.
    """
    from itertools import islice
    from threading import Event

    from edgeseg.runtime.sources.open_source import open_source

    opened = open_source(source, depth=depth)
    try:
        return [frame.image for frame in islice(opened.frames(Event()), min(frames, 32))]
    finally:
        opened.close()
