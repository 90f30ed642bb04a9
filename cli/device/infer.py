"""`edgeseg infer`: run a bundle on a camera, a video or pictures."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import Backend, BundleArgument, Precision, Threads
from edgeseg.cli.shared.options import Set, merge_overrides
from edgeseg.cli.shared.terminal_text import shell_word

if TYPE_CHECKING:
    from edgeseg.runtime.inference import InferenceResult, OutputTargets

AUTO = Path("auto")
Source = Annotated[
    str,
    typer.Option(
        help="Camera number, /dev/videoN, csi://N, rtsp://..., a video, a folder or a quoted glob."
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH|auto", help="Overlay: a video such as out.mp4, or a folder of pictures."
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(metavar="DIR|auto", help="Predicted masks, palette PNGs of class ids."),
]
Log = Annotated[
    Path | None,
    typer.Option(metavar="DIR|auto", help="Frame log: keeps frames that the model doubts."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="End after so many frames.")]
Camera = Annotated[
    str | None, typer.Option(help="Name of the camera in logs; from the source if left out.")
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print a JSON line per frame on stdout.")]


def infer(
    source: Source,
    bundle: BundleArgument = None,
    save: Save = None,
    masks: Masks = None,
    log: Log = None,
    limit: Limit = None,
    camera: Camera = None,
    backend: Backend = None,
    precision: Precision = None,
    threads: Threads = None,
    as_json: JsonLines = False,
    set_: Set = None,
) -> None:
    """Run a bundle on a source. Needs no torch; `--save auto` and the like write to
    runs/infer/expN.
    """
    from edgeseg.atomic_files import write_atomic, write_json
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.config import to_toml
    from edgeseg.disk.stored_paths import home_path
    from edgeseg.runtime.inference import OutputTargets, default_overlay_path
    from edgeseg.runtime.inference import infer as run_inference
    from edgeseg.runtime.sources.open_source import open_source
    from edgeseg.runtime.sources.source_names import safe_name
    from edgeseg.site import make_run_folder

    overrides = merge_overrides(
        "infer", set_, backend=backend, precision=precision, threads=threads
    )
    site, opened, config = open_bundle(bundle, overrides)
    # "--save=~/out" reaches us as it is: shells expand ~ only at the beginning of a word.
    save, masks, log = (path and home_path(path) for path in (save, masks, log))
    stop, folder = Event(), None
    with progress_bar() as bar, stopping(stop):
        frames = open_source(
            source,
            camera=safe_name(camera) if camera else None,
            on_message=bar.say,
            depth=opened.manifest.depth_range,
        )
        if AUTO in (save, masks, log):
            folder = make_run_folder(site.root if site else Path.cwd(), "infer")
            write_atomic(folder / "config.toml", to_toml(config).encode())
            save = default_overlay_path(frames, folder) if save == AUTO else save
            masks = folder / "masks" if masks == AUTO else masks
            log = folder / "log" if log == AUTO else log
        outputs = OutputTargets(
            save=save, masks=masks, log=log, json_lines=sys.stdout if as_json else None
        )
        result = run_inference(
            opened,
            frames,
            outputs,
            config.infer,
            config.log,
            engine=config.engine,
            limit=limit,
            stop=stop,
            report=bar,
        )
    if folder is not None:
        write_json(folder / "metrics.json", result.as_dict())
    if result.reader_gone:  # or Python would complain about the closed pipe when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print_result(result, outputs)
    say(f"next: {_next_command(outputs, bundle)}")


@contextmanager
def stopping(stop: Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM sets `stop`, so that work in progress is finished; the second one
    interrupts.
    """

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_result(result: InferenceResult, outputs: OutputTargets) -> None:
    """Print how the run went, on stderr."""
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say

    summary, statistics = result.summary, result.summary.statistics
    beside = f", {result.streams} at once" if result.streams > 1 else ""
    say(
        f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} FPS "
        f"({result.flavour} on {result.backend}{beside}); ended by {summary.ended}"
    )
    table = Table("ms per frame", "p50", "p95", "p99", box=None)
    for stage, values in summary.stages.items():
        table.add_row(stage, *(f"{value:.1f}" for value in values))
    console.print(table)
    lines = []
    if statistics.dropped or statistics.reconnects:
        lines.append(
            f"dropped {statistics.dropped} older frames, reconnected {statistics.reconnects} times"
        )
    if statistics.unreadable:
        shown = ", ".join(statistics.unreadable[:5]) + (
            " ..." if len(statistics.unreadable) > 5 else ""
        )
        lines.append(f"{len(statistics.unreadable)} unreadable files left out: {shown}")
    lines += statistics.notes
    if result.invalid_scores:
        lines.append(f"{result.invalid_scores} frames have a score that is no number from 0 to 1")
    if result.logged is not None:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in sorted(result.log_counts.items())
        )
        lines.append(f"logged {result.logged} frames ({reasons})")
        lines += [result.log_problem] if result.log_problem else []
    places = {"overlay": outputs.save, "masks": outputs.masks, "frame log": outputs.log}
    lines += [f"{what}: {path}" for what, path in places.items() if path is not None]
    for line in lines:
        say(line)


def _next_command(outputs: OutputTargets, bundle: Path | None) -> str:
    if outputs.log is not None:
        return f"edgeseg log ls {shell_word(outputs.log)}"
    named = f" {shell_word(bundle)}" if bundle else ""
    if outputs.save is not None:
        return f"edgeseg infer{named} --source ... --log auto keeps the frames worth labelling"
    return f"edgeseg infer{named} --source ... --save auto draws the predictions"
