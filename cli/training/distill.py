"""`edgeseg distill`: the edge model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared import options

Run = Annotated[
    Path | None, typer.Argument(help="The site model's run; the newest train run if left out.")
]


def distill(
    run: Run = None,
    encoder: options.Encoder = None,
    imgsz: options.ImageSize = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    max_memory: options.MaxMemory = None,
    device: options.Device = None,
    devices: options.Devices = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    seed: options.Seed = None,
    init: options.Init = None,
    resume: options.Resume = False,
    as_json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Distil the site model into the small edge model that ships."""
    flags = options.training_flags(
        encoder=encoder,
        imgsz=imgsz,
        steps=steps,
        batch=batch,
        max_memory=max_memory,
        device=device,
        devices=devices,
        workers=workers,
        weights=weights,
        seed=seed,
    )
    site, overrides = options.open_site("distill", set_, flags)
    teacher = run if resume else run or site.newest_finished_run("train")
    out, config = options.open_run(site, site.config.distill, "distill", overrides, resume=resume)

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.cli.training.train import print_result
    from edgeseg.training.distill import distill as distill_model

    with progress_bar() as bar, options.discard_if_refused(out, resume=resume):
        result = distill_model(site, config, teacher, out, resume=resume, init=init, report=bar)
    print_result(result, as_json=as_json, next_command="edgeseg export --int8")
