"""`edgeseg bench`: time every file of a bundle, or edge networks to choose from, interleaved in one
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import Backend, BundleArgument, Threads
from edgeseg.cli.shared.options import ImageSize, Json, Set, merge_overrides
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.bundle import Flavour
    from edgeseg.imaging.array_types import Image
    from edgeseg.imaging.decoding.depth_range import DepthRange

Frames = Annotated[
    int | None, typer.Option(min=2, help="Frames timed for each file, 100 if left out.")
]
Source = Annotated[
    str | None,
    typer.Option(
        help="Video, folder or glob to take frames from; the bundle's own frames if left out."
    ),
]
Students = Annotated[
    bool, typer.Option("--students", help="Time edge networks to choose from instead.")
]
Student = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ARCH/ENCODER", help="Time this edge network instead of the usual ones, repeatable."
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(min=2, max=64, help="Number of classes of the edge networks, outside of a site."),
]


def bench(
    bundle: BundleArgument = None,
    frames: Frames = None,
    source: Source = None,
    backend: Backend = None,
    threads: Threads = None,
    students: Students = False,
    student: Student = None,
    classes: Classes = None,
    imgsz: ImageSize = None,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Time all files of a bundle, FP32 and INT8 and others: per stage, end to end, against FP32."""
    if students or student:
        from edgeseg.cli.bundle.bench_students import bench_students

        not_for_students = {
            "BUNDLE": bundle,
            "--frames": frames,
            "--source": source,
            "--backend": backend,
        }
        bench_students(
            student, classes, imgsz, threads, set_, as_json=as_json, without=not_for_students
        )
        return
    for_students = {"--classes": classes, "--imgsz": imgsz}
    _bench_bundle(
        bundle, frames or 100, source, backend, threads, set_, as_json=as_json, without=for_students
    )


def _bench_bundle(
    bundle: Path | None,
    frames: int,
    source: str | None,
    backend: str | None,
    threads: int | None,
    set_: list[str] | None,
    *,
    as_json: bool,
    without: Mapping[str, object],
) -> None:
    """Time the files of a bundle in turns and print the table.

    Args:
        without: Options that go with --students only, by name.

    Raises:
        ConfigError: One of them was given, or there is no frame to time on.
    """
    from edgeseg.bundle.flavours import FLAVOURS, FP32
    from edgeseg.bundle.golden_frames import read_golden_frames
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.errors import ConfigError
    from edgeseg.processor import available_cores
    from edgeseg.runtime.backends.open_runner import resolve_backend
    from edgeseg.runtime.benchmark import benchmark_bundle, timing_statistics

    for name, value in without.items():
        if value is not None:
            raise ConfigError(
                f"{name} goes with --students; a bundle's own is fixed, so leave it out"
            )
    _, opened, config = open_bundle(
        bundle, merge_overrides("infer", set_, backend=backend, threads=threads)
    )
    chosen_backend = resolve_backend(config.infer.backend)
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
            backend=chosen_backend,
            frames=frames,
            threads=threads,
            golden=golden,
            engine=config.engine,
            report=bar,
        )
    figures = {
        flavour: timing_statistics(timing, timings[FP32]) for flavour, timing in timings.items()
    }
    agreement = {FLAVOURS[flavour].file: timing.agreement for flavour, timing in timings.items()}
    if as_json:
        facts = {
            "bundle": str(opened.path),
            "backend": chosen_backend,
            "threads": threads,
            "frames": frames,
        }
        print(to_json({**facts, "files": figures, "agreement": agreement}))
    else:
        _print_table(figures)
    skipped = [FLAVOURS[flavour].file for flavour in opened.flavours() if flavour not in timings]
    notes = [
        f"{frames} frames each on {chosen_backend}, {threads} threads, one frame after another"
    ]
    notes += [f"not for {chosen_backend}: {', '.join(skipped)}"] if skipped else []
    shares = ", ".join(
        f"{name} {share:.2f} %" for name, share in agreement.items() if share is not None
    )
    notes += (
        [f"pixels of the golden frames as FP32 gave them at export: {shares}"] if shares else []
    )
    notes.append(
        f"next: edgeseg infer {shell_word(opened.path)} --source ... does decoding, inference and "
        "writing side by side"
    )
    for note in notes:
        say(note)


def _print_table(figures: dict[Flavour, dict[str, dict[str, float]]]) -> None:
    from rich.table import Table

    from edgeseg.bundle import FLAVOURS
    from edgeseg.cli.shared.console import table_console

    table = Table("file", "stage", "median ms", "p95 ms", "FPS", "against FP32", box=None)
    for flavour, stages in figures.items():
        for index, (stage, row) in enumerate(stages.items()):
            table.add_row(
                "" if index else FLAVOURS[flavour].file,
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
