"""`edgeseg bench`: time every file of a bundle, interleaved in one run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.device import Backend, BundleArgument, Threads
from edgeseg.cli.options import Json, Set, overrides

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle
    from edgeseg.runtime.frames import Image

Address = Annotated[
    str | None, typer.Option(help="Video, folder or glob to take frames from; the bundle's own frames if left out.")
]


def bench(
    bundle: BundleArgument = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames timed for each file.")] = 100,
    source: Address = None,
    backend: Backend = None,
    threads: Threads = None,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Time FP32, INT8 and whatever else the bundle holds: per stage, end to end, and against FP32."""
    from rich.console import Console
    from rich.table import Table

    from edgeseg.bundle import GRAPHS
    from edgeseg.cli.device import place
    from edgeseg.cli.progress import console, report
    from edgeseg.runtime import bench as timer
    from edgeseg.runtime.runner import cores, resolve_backend

    _, opened, config = place(bundle, overrides("infer", set_, backend=backend, threads=threads))
    chosen, threads = resolve_backend(config.infer.backend), config.infer.threads or cores()
    images = _images(opened, source, frames)
    with report() as bar:
        timings = timer.bench(opened, images, backend=chosen, frames=frames, threads=threads, report=bar)
    figures = {flavour: timer.figures(timing, timings["fp32"]) for flavour, timing in timings.items()}
    if as_json:
        print(
            json.dumps(
                {"bundle": str(opened.path), "backend": chosen, "threads": threads, "frames": frames, "files": figures}
            )
        )
    else:
        table = Table("file", "stage", "median ms", "p95 ms", "FPS", "against FP32", box=None)
        for flavour, stages in figures.items():
            for stage, row in stages.items():
                table.add_row(
                    GRAPHS[flavour] if stage == timer.STAGES[0] else "", "end to end" if stage == "total" else stage,
                    f"{row['median_ms']:.2f}", f"{row['p95_ms']:.2f}", f"{row['fps']:.1f}", f"{row['ratio']:.2f}x",
                )  # fmt: skip
        Console(width=None if sys.stdout.isatty() else 120).print(table)
    skipped = [name for flavour, name in GRAPHS.items() if name in opened.manifest.files and flavour not in timings]
    note = f"; not for {chosen}: {', '.join(skipped)}" if skipped else ""
    console.print(
        f"{frames} frames each on {chosen}, {threads} threads, one frame after another{note}\n"
        f"next: edgeseg infer {opened.path} --source ... runs decoding, inference and writing side by side",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _images(bundle: Bundle, source: str | None, frames: int) -> list[Image]:
    """Real frames to time on.

    Raises:
        ConfigError: there are none.
        SourceError: the source cannot be read.
    """
    from itertools import islice
    from threading import Event

    from edgeseg.errors import ConfigError
    from edgeseg.runtime.bench import golden_frames
    from edgeseg.runtime.sources import open_source

    if source is None:
        images = golden_frames(bundle)
        if not images:
            raise ConfigError(f"{bundle.path} brings no frames along; name some with --source VIDEO or --source FOLDER")
        return images
    opened = open_source(source)
    try:
        return [frame.image for frame in islice(opened.frames(Event()), min(frames, 32))]
    finally:
        opened.close()
