"""`edgeseg bench`: time every file of a bundle, or edge networks to choose from, interleaved in one
run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared.bundle_options import Backend, BundleArgument, Threads
from edgeseg.cli.shared.options import Json, Set

Frames = Annotated[
    int | None, typer.Option(min=2, help="Frames timed for each file, 100 if left out.")
]
Source = Annotated[
    str | None,
    typer.Option(
        help="Video, folder or glob to take frames from; the bundle's own frames if left out."
    ),
]
PANEL = "Edge networks to choose from"
Students = Annotated[
    bool,
    typer.Option(
        "--students", help="Time edge networks to choose from instead.", rich_help_panel=PANEL
    ),
]
Student = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ARCH/ENCODER",
        help="Time this edge network, or fast, balanced, accurate, instead of the usual ones, "
        "repeatable.",
        rich_help_panel=PANEL,
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=64,
        help="Number of classes of the edge networks, outside of a site.",
        rich_help_panel=PANEL,
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        "--imgsz",
        metavar="N|HxW,...",
        help="Input sizes to compare, written 192x256,384x512; the site's if left out.",
        rich_help_panel=PANEL,
    ),
]
Accuracy = Annotated[
    bool,
    typer.Option(
        "--accuracy",
        help="Distil each of them from the site model, export with INT8, and show which are on "
        "the frontier of accuracy and time.",
        rich_help_panel=PANEL,
    ),
]
Teacher = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="The site model's run; the newest train run if left out.",
        rich_help_panel=PANEL,
    ),
]
TrialSteps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="Steps of each distillation; the site's if left out.",
        rich_help_panel=PANEL,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, max=10, help="Distillations of each, 1 if left out.", rich_help_panel=PANEL
    ),
]
Start = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ENCODER=FILE",
        help="Weights that an encoder starts from, repeatable; ImageNet's if left out.",
        rich_help_panel=PANEL,
    ),
]
ResumeTrials = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the newest trials of --accuracy as they were begun.",
        rich_help_panel=PANEL,
    ),
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
    sizes: Sizes = None,
    accuracy: Accuracy = False,
    teacher: Teacher = None,
    steps: TrialSteps = None,
    seeds: Seeds = None,
    start: Start = None,
    resume: ResumeTrials = False,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Time all files of a bundle, FP32 and INT8 and others: per stage, end to end, against FP32.
    On a CPU `--backend auto` takes what was fastest here. A folder stands for all bundles in it.
    """
    if students or student:
        from edgeseg.cli.bundle.bench_students import bench_students
        from edgeseg.cli.bundle.bench_trials import TrialOptions

        trials = TrialOptions(accuracy, teacher, steps, seeds, tuple(start or ()), resume)
        not_for_students = {
            "BUNDLE": bundle,
            "--frames": frames,
            "--source": source,
            "--backend": backend,
        }
        bench_students(
            student,
            classes,
            sizes,
            trials,
            threads,
            set_,
            as_json=as_json,
            without=not_for_students,
        )
        return
    for_students = {
        "--classes": classes,
        "--sizes": sizes,
        "--accuracy": accuracy or None,
        "--teacher": teacher,
        "--steps": steps,
        "--seeds": seeds,
        "--start": start or None,
        "--resume": resume or None,
    }
    from edgeseg.cli.bundle.bench_bundle import bench_bundles

    bench_bundles(
        bundle, frames or 100, source, backend, threads, set_, as_json=as_json, without=for_students
    )
