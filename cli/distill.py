"""`edgeseg distill`: the edge model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared import options


def distill(
    run: Annotated[
        Path | None, typer.Argument(help="The site model's run; the newest train run if left out.")
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
    """Distil the site model into the small edge model that ships."""
    from edgeseg.site import Site

    flags = {
        "encoder": encoder,
        "imgsz": options.size(imgsz),
        "steps": steps,
        "batch": batch,
        "batch_unlabelled": batch,
        "device": device,
        "devices": devices,
        "workers": workers,
        "weights": options.weights(weights),
        "seed": seed,
        "max_memory": options.memory(max_memory),
    }
    given = options.overrides("distill", set_, **flags)
    site = Site.open(overrides=given)
    teacher = None if resume else run or site.last_run("train")
    out = options.run_folder(site, "distill", resume=resume)
    config = options.configuration(site.config.distill, out, "distill", given, resume=resume)

    from edgeseg.cli.shared.console import report
    from edgeseg.cli.train import finish
    from edgeseg.training.distill import distill as work

    with report() as progress, options.begun(out, resume=resume):
        result = work(site, config, teacher or run, out, resume=resume, init=init, report=progress)
    finish(result, json=json, following="edgeseg export --int8")
