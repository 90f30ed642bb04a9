"""`edgeseg bench --students`: the speed of edge networks here, and the mIoU of those that were
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.export.student_benchmark import StudentSpeed, TrainedStudent
    from edgeseg.models.student_networks import Student
    from edgeseg.site import Site

HEAD = (
    "arch",
    "encoder",
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
    imgsz: str | None,
    threads: int | None,
    set_: list[str] | None,
    *,
    as_json: bool,
    without: Mapping[str, object],
) -> None:
    """Time edge networks with random weights in turns and print the table.

    Args:
        names: ARCH/ENCODER each; the usual ones if left out.
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
    given = options.merge_overrides(
        "infer",
        options.merge_overrides("distill", set_, imgsz=options.parse_size(imgsz)),
        threads=threads,
    )
    site = find_site(given)
    if site is not None and classes is not None:
        raise ConfigError(
            "--classes and the edgeseg.toml here disagree: the site knows its own; leave "
            "--classes out"
        )
    if site is None and classes is None:
        raise ConfigError(
            "there is no site here to tell the number of classes; give it with --classes"
        )
    nameless = [
        ClassSpec(name=f"class{place}", color=f"#{place:06x}") for place in range(classes or 0)
    ]
    config = site_configuration(site, nameless, given)
    number_of_classes = len(config.classes)
    height, width = config.distill.imgsz
    threads = config.infer.threads or available_cores()
    chosen_students = _students(names)

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.export.student_benchmark import (
        benchmark_images,
        benchmark_students,
        newest_trained_run,
    )

    with progress_bar() as bar:
        images = benchmark_images(site, (height, width))
        speeds = benchmark_students(
            chosen_students, number_of_classes, images, threads=threads, report=bar
        )
    trainings = {
        speed.student: newest_trained_run(site, speed.student) if site else None for speed in speeds
    }
    if as_json:
        facts = {
            "height": height,
            "width": width,
            "classes": number_of_classes,
            "threads": threads,
            "students": [_row(speed, trainings[speed.student]) for speed in speeds],
        }
        print(to_json(facts))
    else:
        _print_table(speeds, trainings)
    what = f"{width}x{height}, {number_of_classes} classes, {threads} threads"
    _print_notes(speeds, trainings, site, what)


def _students(names: list[str] | None) -> tuple[Student, ...]:
    from edgeseg.errors import ConfigError
    from edgeseg.models.student_networks import STUDENTS, Student

    students = []
    for name in names or ["/".join(student) for student in STUDENTS]:
        arch, slash, encoder = name.partition("/")
        if not (arch and slash and encoder):
            raise ConfigError(
                f"--student {name!r} is not ARCH/ENCODER; write it like --student "
                "lraspp/mobilenetv2_100"
            )
        students.append(Student(arch, encoder))
    return tuple(dict.fromkeys(students))


def _row(speed: StudentSpeed, run: TrainedStudent | None) -> dict[str, Any]:  # Any: JSON
    return {
        "arch": speed.student.arch,
        "encoder": speed.student.encoder,
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
    for column in table.columns[2:]:
        column.justify = "right"
    for speed in sorted(speeds, key=lambda speed: speed.int8):
        run = trainings[speed.student]
        miou = f"{run.miou:.1f} ({run.run.parent.name}/{run.run.name})" if run else "-"
        table.add_row(
            *speed.student,
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
    from edgeseg.models.student_networks import WITHOUT_WEIGHTS

    notes = [f"{what}; random weights, the fastest of interleaved runs, pictures in and masks out"]
    untrained = [speed for speed in speeds if trainings[speed.student] is None]
    if untrained:
        fastest = min(untrained, key=lambda speed: speed.int8).student
        scratch = " --weights none" if fastest.arch in WITHOUT_WEIGHTS else ""
        command = (
            f"edgeseg distill --encoder {fastest.encoder}{scratch} --set "
            f"distill.arch={fastest.arch}"
        )
        notes.append(
            f"no mIoU yet for {len(untrained)} of them; to get "
            f"one{'' if site else ', in a site'}: {command}"
        )
    for note in notes:
        say(note)
