"""`edgeseg bench`: time every file of a bundle, or edge networks to choose from, interleaved in one
run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import Backend, BundleArgument, Threads
from edgeseg.cli.shared.options import ImageSize, Json, Set, overrides

if TYPE_CHECKING:
    from edgeseg.bundle import Flavour
    from edgeseg.imaging.array_types import Image

Address = Annotated[
    str | None,
    typer.Option(
        help="Video, folder or glob to take frames from; the bundle's own frames if left out."
    ),
]


def bench(
    bundle: BundleArgument = None,
    frames: Annotated[
        int | None, typer.Option(min=2, help="Frames timed for each file, 100 if left out.")
    ] = None,
    source: Address = None,
    backend: Backend = None,
    threads: Threads = None,
    students: Annotated[
        bool, typer.Option("--students", help="Time edge networks to choose from instead.")
    ] = False,
    student: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARCH/ENCODER", help="This one instead of the usual ones, repeatable."
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, max=64, help="How many, outside of a site.")
    ] = None,
    imgsz: ImageSize = None,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Time FP32, INT8 and whatever else the bundle holds: per stage, end to end, and against FP32."""
    if students or student:
        from edgeseg.cli.bench_students import bench_students

        no = {"BUNDLE": bundle, "--frames": frames, "--source": source, "--backend": backend}
        bench_students(student, classes, imgsz, threads, set_, as_json=as_json, without=no)
        return
    _bench_bundle(
        bundle,
        frames or 100,
        source,
        backend,
        threads,
        set_,
        as_json=as_json,
        without={"--classes": classes, "--imgsz": imgsz},
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
    without: dict[str, object],
) -> None:
    from edgeseg.bundle.flavours import FLAVOURS, FP32
    from edgeseg.bundle.golden_frames import read_golden_frames
    from edgeseg.cli.shared.bundle_options import place
    from edgeseg.cli.shared.console import report, say
    from edgeseg.errors import ConfigError
    from edgeseg.runtime import benchmark as timer
    from edgeseg.runtime.backends.open_runner import available_cores, resolve_backend

    for name, value in without.items():
        if value is not None:
            raise ConfigError(
                f"{name} goes with --students; a bundle's own is fixed, so leave it out"
            )
    _, opened, config = place(bundle, overrides("infer", set_, backend=backend, threads=threads))
    chosen, threads = (
        resolve_backend(config.infer.backend),
        config.infer.threads or available_cores(),
    )
    golden = read_golden_frames(opened)
    if source is not None:
        images = _images(source, frames)
    elif golden is not None:
        images = golden.images
    else:
        raise ConfigError(
            f"{opened.path} brings no frames along; name some with --source VIDEO or "
            "--source FOLDER"
        )
    with report() as bar:
        timings = timer.benchmark_bundle(
            opened,
            images,
            backend=chosen,
            frames=frames,
            threads=threads,
            golden=golden,
            engine=config.engine,
            report=bar,
        )
    figures = {
        flavour: timer.timing_statistics(timing, timings[FP32])
        for flavour, timing in timings.items()
    }
    agreement = {FLAVOURS[flavour].file: timing.agreement for flavour, timing in timings.items()}
    if as_json:
        facts = {
            "bundle": str(opened.path),
            "backend": chosen,
            "threads": threads,
            "frames": frames,
        }
        print(json.dumps({**facts, "files": figures, "agreement": agreement}))
    else:
        _table(figures)
    skipped = [FLAVOURS[flavour].file for flavour in opened.flavours() if flavour not in timings]
    notes = [f"{frames} frames each on {chosen}, {threads} threads, one frame after another"]
    notes += [f"not for {chosen}: {', '.join(skipped)}"] if skipped else []
    shares = ", ".join(
        f"{name} {share:.2f} %" for name, share in agreement.items() if share is not None
    )
    notes += (
        [f"pixels of the golden frames as FP32 gave them at export: {shares}"] if shares else []
    )
    notes += [
        (
            f"next: edgeseg infer {opened.path} --source ... does decoding, inference and "
            "writing side by side"
        )
    ]
    for note in notes:
        say(note)


def _table(figures: dict[Flavour, dict[str, dict[str, float]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from edgeseg.bundle import FLAVOURS

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
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _images(source: str, frames: int) -> list[Image]:
    """Frames of a source to time on.

    Raises:
        SourceError: it cannot be read.
    """
    from itertools import islice
    from threading import Event

    from edgeseg.runtime.sources.open_source import open_source

    opened = open_source(source)
    try:
        return [frame.image for frame in islice(opened.frames(Event()), min(frames, 32))]
    finally:
        opened.close()
