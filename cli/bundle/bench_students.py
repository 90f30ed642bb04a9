"""`edgeseg bench --students`: the speed of edge networks here, and the mIoU of those that were
trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.cli.bundle.bench_trials import TrialOptions
    from edgeseg.models.student_networks import Student
    from edgeseg.site import Site
    from edgeseg.students.candidates import Size
    from edgeseg.students.speed import StudentSpeed, TrainedStudent

HEAD = (
    "arch",
    "encoder",
    "size",
    "M parameters",
    "FP32 ms",
    "INT8 ms",
    "speed-up",
    "INT8 convolutions",
    "mIoU on val",
)


def bench_students(
    names: list[str] | None,
    classes: int | None,
    sizes: str | None,
    trials: TrialOptions,
    threads: int | None,
    set_: list[str] | None,
    *,
    as_json: bool,
    without: Mapping[str, object],
) -> None:
    """Time edge networks with random weights in turns and print the table, or train them as well.

    Args:
        names: ARCH/ENCODER, or a student's own name, each; the usual ones if left out.
        sizes: "192x256", more of them with commas between; the site's if left out.
        without: Options that disagree with this one, by name.

    Raises:
        ConfigError: An option that does not fit, or no number of classes.
        TrainError: A student cannot be built.
    """
    from edgeseg.cli.shared import options
    from edgeseg.cli.shared.bundle_options import find_site, site_configuration
    from edgeseg.config import ClassSpec
    from edgeseg.errors import ConfigError
    from edgeseg.processor import available_cores

    for option, value in without.items():
        if value is not None:
            raise ConfigError(
                f"{option} and --students disagree: no bundle is timed; leave one of them out"
            )
    trials.refuse_without_accuracy()
    given = options.merge_overrides("infer", set_, threads=threads)
    site = find_site(given)
    if site is not None and classes is not None:
        raise ConfigError(
            "--classes and the edgeseg.toml here disagree: the site knows its own; leave "
            "--classes out"
        )
    if site is None and trials.accuracy:
        raise ConfigError("--accuracy trains on a site's frames; go into a site")
    if site is None and classes is None:
        raise ConfigError(
            "there is no site here to tell the number of classes; give it with --classes"
        )
    nameless = [
        ClassSpec(name=f"class{place}", color=f"#{place:06x}") for place in range(classes or 0)
    ]
    config = site_configuration(site, nameless, given)
    number_of_classes = len(config.classes)
    threads = config.infer.threads or available_cores()
    chosen_students = _students(names)
    chosen_sizes = _sizes(sizes) or [config.distill.imgsz]
    if trials.accuracy and site is not None:
        from edgeseg.cli.bundle.bench_trials import bench_trials

        bench_trials(
            site,
            chosen_students,
            chosen_sizes,
            trials,
            not_to_resume={
                "--student": names,
                "--sizes": sizes,
                "--teacher": trials.teacher,
                "--steps": trials.steps,
                "--set": [text for text in set_ or [] if not text.startswith("infer.")],
            },
            threads=threads,
            as_json=as_json,
        )
        return

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.students.speed import benchmark_images, benchmark_students, newest_trained_run

    speeds: list[StudentSpeed] = []
    with progress_bar() as bar:
        for size in chosen_sizes:
            images = benchmark_images(site, size)
            speeds += benchmark_students(
                chosen_students, number_of_classes, images, threads=threads, report=bar
            )
    trainings = {
        speed.student: newest_trained_run(site, speed.student) if site else None for speed in speeds
    }
    if as_json:
        facts = {
            "height": chosen_sizes[0][0],
            "width": chosen_sizes[0][1],
            "classes": number_of_classes,
            "threads": threads,
            "students": [_row(speed, trainings[speed.student]) for speed in speeds],
        }
        print(to_json(facts))
    else:
        _print_table(speeds, trainings)
    shown = " and ".join(f"{width}x{height}" for height, width in chosen_sizes)
    what = f"{shown}, {number_of_classes} classes, {threads} threads"
    _print_notes(speeds, trainings, site, what)


def _students(names: list[str] | None) -> tuple[Student, ...]:
    from edgeseg.models.student_networks import STUDENTS
    from edgeseg.students.candidates import parse_student

    return tuple(dict.fromkeys(parse_student(name) for name in names)) if names else STUDENTS


def _sizes(text: str | None) -> list[Size]:
    """Return the sizes of "192x256,384x512".

    Raises:
        ConfigError: One is no size, or no network takes it.
    """
    from edgeseg.cli.shared.options import parse_size
    from edgeseg.config import DistillConfig, validate_config

    parts = text.split(",") if text else []
    values = [json.loads(parse_size(part.strip()) or "") for part in parts]
    return [
        validate_config(DistillConfig, {"imgsz": value}, "the command line").imgsz
        for value in values
    ]


def _row(speed: StudentSpeed, run: TrainedStudent | None) -> dict[str, Any]:  # Any: JSON
    return {
        "arch": speed.student.arch,
        "encoder": speed.student.encoder,
        "height": speed.size[0],
        "width": speed.size[1],
        "parameters": speed.parameters,
        "fp32_ms": speed.fp32,
        "int8_ms": speed.int8,
        "speedup": speed.speedup,
        "quantised": speed.quantized,
        "convolutions": speed.convolutions,
        "conversions": speed.conversions,
        "miou": run and run.miou,
        "run": run and str(run.run),
    }


def _print_table(
    speeds: list[StudentSpeed], trainings: Mapping[Student, TrainedStudent | None]
) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import table_console

    table = Table(*HEAD, box=None)
    for column in table.columns[3:]:
        column.justify = "right"
    for speed in sorted(speeds, key=lambda speed: speed.int8):
        run = trainings[speed.student]
        miou = f"{run.miou:.1f} ({run.run.parent.name}/{run.run.name})" if run else "-"
        table.add_row(
            *speed.student,
            f"{speed.size[0]}x{speed.size[1]}",
            f"{speed.parameters / 1e6:.2f}",
            f"{speed.fp32:.1f}",
            f"{speed.int8:.1f}",
            f"{speed.speedup:.2f}x",
            f"{speed.quantized} of {speed.convolutions}",
            miou,
        )
    table_console(140).print(table)


def _print_notes(
    speeds: list[StudentSpeed],
    trainings: Mapping[Student, TrainedStudent | None],
    site: Site | None,
    what: str,
) -> None:
    from edgeseg.cli.shared.console import say
    from edgeseg.config import DistillConfig
    from edgeseg.students.candidates import Candidate, distill_command

    notes = [f"{what}; random weights, the fastest of interleaved runs, pictures in and masks out"]
    untrained = [speed for speed in speeds if trainings[speed.student] is None]
    if untrained:
        fastest = min(untrained, key=lambda speed: speed.int8)
        config = site.config.distill if site else DistillConfig()
        command = distill_command(Candidate(fastest.student, fastest.size), config)
        notes.append(
            f"no mIoU yet for {len(untrained)} of them; to get "
            f"one{'' if site else ', in a site'}: {command}"
        )
    for note in notes:
        say(note)
