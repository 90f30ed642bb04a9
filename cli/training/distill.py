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


def _network_flags(student: str | None, encoder: str | None) -> dict[str, object]:
    """Return the settings by which a network named on the command line replaces the one that
    edgeseg.toml has. Weights and rate stay where its encoder is the same.
    """
    from edgeseg.config.named_students import NAMED_STUDENTS, NETWORK_KEYS
    from edgeseg.site import Site

    if student is None:
        return {"student": '""'} if encoder is not None else {}
    named = dict(NAMED_STUDENTS.get(student, {}))
    if named and Site.open().config.distill.encoder == named["encoder"]:
        named = {key: named[key] for key in NETWORK_KEYS}
    return {"student": student, **named}


def _refuse_beside_budget(
    student: str | None, encoder: str | None, given: list[str], *, resume: bool
) -> None:
    from edgeseg.errors import ConfigError

    keys = [text.partition("=")[0].strip() for text in given]
    networks = [key for key in keys if key in ("distill.arch", "distill.encoder")]
    others = {"--student": student, "--encoder": encoder, "--set": networks, "--resume": resume}
    for option, value in others.items():
        if value:
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
    tracker: options.Trackers = None,
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
        trackers=tracker or None,
    )
    given = {key: value for key, value in flags.items() if value is not None}
    site, overrides = options.open_site("distill", set_, _network_flags(student, encoder) | given)
    if budget is not None:
        _refuse_beside_budget(student, encoder, set_ or [], resume=resume)
        from edgeseg.cli.training.student_budget import settings_within

        chosen = settings_within(site, budget)
        site, overrides = options.open_site("distill", set_, chosen | given)
    site, overrides = fit_machine(site, "distill", overrides, preset, resume=resume)
    teacher = run if resume else run or site.newest_finished_run("train")
    out, config = options.open_run(site, site.config.distill, "distill", overrides, resume=resume)

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.cli.training.train import print_result
    from edgeseg.training.distill import distill as distill_model

    with progress_bar() as bar, options.discard_if_refused(out, resume=resume):
        result = distill_model(site, config, teacher, out, resume=resume, init=init, report=bar)
    print_result(result, as_json=as_json, next_command="edgeseg export --int8")
