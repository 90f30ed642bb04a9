"""`edgeseg train`: the site model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options

if TYPE_CHECKING:
    from edgeseg.training.run_folder import RunResult


def train(
    method: Annotated[str | None, typer.Option(help="See `edgeseg methods`.")] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="Add a plug-in to the method, repeatable; see `edgeseg methods`."),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Any timm encoder.")] = None,
    imgsz: options.ImageSize = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    max_memory: options.MaxMemory = None,
    device: options.Device = None,
    devices: options.Devices = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    seed: options.Seed = None,
    init: Annotated[
        Path | None, typer.Option(help="A run whose best weights are the start.")
    ] = None,
    resume: options.Resume = False,
    json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Train the site model on labelled and unlabelled frames."""
    from edgeseg.site import Site

    flags = {
        "method": method,
        "encoder": encoder,
        "imgsz": options.size(imgsz),
        "steps": steps,
        "batch": batch,
        "batch_unlabelled": batch,
        "device": device,
        "devices": devices,
        "workers": workers,
        "max_memory": options.memory(max_memory),
        "weights": options.weights(weights),
        "seed": seed,
        "plugins": plugin or None,
    }
    given = options.overrides("train", set_, **flags)
    site = Site.open(overrides=given)
    out = options.run_folder(site, "train", resume=resume)
    config = options.configuration(site.config.train, out, "train", given, resume=resume)

    from edgeseg.cli.shared.console import report
    from edgeseg.training.train import train as run

    with report() as progress, options.begun(out, resume=resume):
        result = run(site, config, out, resume=resume, init=init, report=progress)
    finish(result, json=json, following="edgeseg distill")


def finish(result: RunResult, *, json: bool, following: str) -> None:
    """Print the per-class table, where things are and what to type next."""
    import json as encoder

    from rich.table import Table

    from edgeseg.cli.shared.console import console, say

    if not result.metrics:
        return  # a child process of --devices
    if json:
        print(encoder.dumps({"run": str(result.path), **result.metrics}))
    table = Table(
        "class",
        "IoU (EMA)",
        "IoU (student)",
        title=f"val after {result.metrics['last']['step']} steps",
    )
    last = result.metrics["last"]
    for name, value in last["ema"]["per_class"].items():
        table.add_row(
            name,
            *(
                "-" if v is None else f"{v:.1f}"
                for v in (value, last["student"]["per_class"][name])
            ),
        )
    table.add_section()
    table.add_row(
        "mIoU", f"{last['ema']['miou']:.2f}", f"{last['student']['miou']:.2f}", style="bold"
    )
    console.print(table)
    best = result.metrics["best"]
    say(
        f"best mIoU {best['miou']:.2f} at step {best['step']}, "
        f"{result.metrics['seconds_per_step']:.3f} s a step"
    )
    say(f"Results saved to {result.path} (look at {result.path / 'val.png'})")
    say(f"Next: {following}")
