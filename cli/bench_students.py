"""`edgeseg bench --students`: which edge networks are fast here, and how good those are that were
trained.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.export.student_benchmark import Speed, Student, Trained
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
    """Measure and print.

    Args:
        names: ARCH/ENCODER each; the usual ones if left out.
        without: options that disagree with this one, by name.

    Raises:
        ConfigError: an option that does not fit, or no number of classes.
        TrainError: a student cannot be built.
    """
    from edgeseg.cli.shared import options
    from edgeseg.cli.shared.bundle_options import settings, site_here
    from edgeseg.config import ClassSpec
    from edgeseg.errors import ConfigError
    from edgeseg.runtime.backends.open_runner import available_cores

    for option, value in without.items():
        if value is not None:
            raise ConfigError(
                f"{option} and --students disagree: no bundle is timed; leave one of them out"
            )
    given = options.overrides(
        "infer", options.overrides("distill", set_, imgsz=options.size(imgsz)), threads=threads
    )
    site = site_here(given)
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
    config = settings(site, nameless, given)
    number, (height, width), threads = (
        len(config.classes),
        config.distill.imgsz,
        config.infer.threads or available_cores(),
    )
    wanted = _students(names)

    from edgeseg.cli.shared.console import report
    from edgeseg.export.student_benchmark import measure, pictures, trained

    with report() as progress:
        found = measure(
            wanted, number, pictures(site, (height, width)), threads=threads, report=progress
        )
    known = {one.student: trained(site, one.student) if site else None for one in found}
    if as_json:
        facts: dict[str, Any] = {
            "height": height,
            "width": width,
            "classes": number,
            "threads": threads,
        }  # Any: JSON
        print(json.dumps(facts | {"students": [_row(one, known[one.student]) for one in found]}))
    else:
        _table(found, known)
    _notes(found, known, site, f"{width}x{height}, {number} classes, {threads} threads")


def _students(names: list[str] | None) -> tuple[Student, ...]:
    from edgeseg.errors import ConfigError
    from edgeseg.export.student_benchmark import STUDENTS, Student

    found = []
    for name in names or ["/".join(student) for student in STUDENTS]:
        arch, slash, encoder = name.partition("/")
        if not (arch and slash and encoder):
            raise ConfigError(
                f"--student {name!r} is not ARCH/ENCODER; write it like --student "
                "lraspp/mobilenetv2_100"
            )
        found.append(Student(arch, encoder))
    return tuple(dict.fromkeys(found))


def _row(one: Speed, run: Trained | None) -> dict[str, Any]:  # Any: JSON
    return {
        "arch": one.student.arch,
        "encoder": one.student.encoder,
        "parameters": one.parameters,
        "fp32_ms": one.fp32,
        "int8_ms": one.int8,
        "speedup": one.speedup,
        "quantised": one.quantized,
        "convolutions": one.convolutions,
        "conversions": one.conversions,
        "miou": run and run.miou,
        "run": run and str(run.run),
    }


def _table(found: list[Speed], known: Mapping[Student, Trained | None]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEAD, box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for one in sorted(found, key=lambda one: one.int8):
        run = known[one.student]
        miou = f"{run.miou:.1f} ({run.run.parent.name}/{run.run.name})" if run else "-"
        table.add_row(
            *one.student,
            f"{one.parameters / 1e6:.2f}",
            f"{one.fp32:.1f}",
            f"{one.int8:.1f}",
            f"{one.speedup:.2f}x",
            f"{one.quantized} of {one.convolutions}",
            miou,
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _notes(
    found: list[Speed], known: Mapping[Student, Trained | None], site: Site | None, what: str
) -> None:
    from edgeseg.cli.shared.console import say

    notes = [f"{what}; random weights, the fastest of interleaved runs, pictures in and masks out"]
    unknown = [one.student for one in found if known[one.student] is None]
    if unknown:
        fastest = min(
            unknown, key=lambda student: next(one.int8 for one in found if one.student == student)
        )
        scratch = " --weights none" if fastest.arch in ("stdc", "ddrnet") else ""
        command = (
            f"edgeseg distill --encoder {fastest.encoder}{scratch} --set "
            f"distill.arch={fastest.arch}"
        )
        notes.append(
            f"no mIoU yet for {len(unknown)} of them; to get "
            f"one{'' if site else ', in a site'}: {command}"
        )
    for note in notes:
        say(note)
