"""`edgeseg distill`: the edge model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.cli.shared.presets import Preset, fit_machine

Run = Annotated[
    Path | None, typer.Argument(help="The site model's run; the newest train run if left out.")
]
Student = Annotated[str | None, typer.Option(help="{distill.student}")]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="15ms|30fps[@FILE]",
        help="Take the most accurate student whose INT8 file keeps this time a frame on this "
        "machine, or on the device where FILE is what `edgeseg bench BUNDLES --json` printed.",
    ),
]


def named_settings(student: str) -> dict[str, object]:
    """Return what a student's name stands for."""
    from edgeseg.config import named_students

    return {"student": student} | dict(named_students.NAMED_STUDENTS.get(student, {}))


def _refuse_beside_budget(student: str | None, encoder: str | None, *, resume: bool) -> None:
    from edgeseg.errors import ConfigError

    for option, given in (("--student", student), ("--encoder", encoder), ("--resume", resume)):
        if given:
            raise ConfigError(f"--budget and {option} disagree; leave one of them out")


def distill(
    run: Run = None,
    student: Student = None,
    budget: Budget = None,
    preset: Preset = None,
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
        student=student,
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
    given = {key: value for key, value in flags.items() if value is not None}
    # On the command line a network replaces the one that edgeseg.toml has, by name or by its parts.
    flags = (named_settings(student) if student else {"student": '""'} if encoder else {}) | given
    site, overrides = options.open_site("distill", set_, flags)
    if budget is not None:
        _refuse_beside_budget(student, encoder, resume=resume)
        from edgeseg.cli.training.student_budget import settings_within

        flags |= settings_within(site, budget)
        site, overrides = options.open_site("distill", set_, flags)
    site, overrides = fit_machine(site, "distill", overrides, preset, resume=resume)
    teacher = run if resume else run or site.newest_finished_run("train")
    out, config = options.open_run(site, site.config.distill, "distill", overrides, resume=resume)

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.cli.training.train import print_result
    from edgeseg.training.distill import distill as distill_model

    with progress_bar() as bar, options.discard_if_refused(out, resume=resume):
        result = distill_model(site, config, teacher, out, resume=resume, init=init, report=bar)
    print_result(result, as_json=as_json, next_command="edgeseg export --int8")
