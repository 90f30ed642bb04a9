"""`edgeseg distill --budget`: the student is chosen by what a frame may take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.models.student_networks import Student
    from edgeseg.site import Site
    from edgeseg.students.budget import TimedStudent


def settings_within(site: Site, text: str) -> dict[str, Any]:  # Any: values of settings
    """Return the settings of `[distill]` that the most accurate student within the budget needs.

    Without a device's file the students are timed here, with random weights.

    Args:
        site: Whose classes and input size count.
        text: The budget, such as "15ms" or "30fps@device.json".

    Raises:
        ConfigError: The budget cannot be read, or no student is known to keep it.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.errors import ConfigError
    from edgeseg.models.student_networks import WITHOUT_WEIGHTS
    from edgeseg.students.budget import choose, parse_budget, ranking, read_device_file

    budget = parse_budget(text)
    config = site.config.distill
    order = ranking(site, config.imgsz)
    if budget.device_file is None:
        if config.devices * config.nodes > 1:
            raise ConfigError(
                "--budget times networks, which every process of several devices would do; name a "
                "device's file behind it, or the network with --student"
            )
        timed, where = _time_here(site, order), "here"
    else:
        everything, where = read_device_file(budget.device_file), f"by {budget.device_file.name}"
        timed = [each for each in everything if each.size == tuple(config.imgsz)]
        if not everything:
            raise ConfigError(
                f"{budget.device_file} has no INT8 file that gave the right classes there; see the "
                "agreement in its table, or export with --qat"
            )
        if not timed:
            sizes = sorted({f"{height}x{width}" for _, (height, width), _ in everything})
            raise ConfigError(
                f"{budget.device_file} has times at {', '.join(sizes)}, not at "
                f"{config.imgsz[0]}x{config.imgsz[1]}; give one of these with --imgsz"
            )
    chosen = choose(budget, timed, order)
    arch, encoder = chosen.student
    say(
        f"student {arch}/{encoder}: {chosen.milliseconds:.1f} ms a frame {where}, of "
        f"{budget.milliseconds:.1f} ms; {_others(timed, chosen)}"
    )
    settings: dict[str, Any] = {"student": '""', "arch": arch, "encoder": encoder}
    if arch in WITHOUT_WEIGHTS:
        settings |= {"weights": "none", "encoder_lr": config.decoder_lr}
    elif encoder != config.encoder:
        settings["weights"] = "imagenet"
    return settings


def _time_here(site: Site, students: Sequence[Student]) -> list[TimedStudent]:
    """Time students with random weights."""
    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.processor import available_cores
    from edgeseg.students.budget import TimedStudent
    from edgeseg.students.speed import benchmark_images, benchmark_students

    size = site.config.distill.imgsz
    threads = site.config.infer.threads or available_cores()
    with progress_bar() as bar:
        speeds = benchmark_students(
            students,
            len(site.config.classes),
            benchmark_images(site, size),
            threads=threads,
            report=bar,
        )
    return [TimedStudent(speed.student, speed.size, speed.int8_median) for speed in speeds]


def _others(timed: list[TimedStudent], chosen: TimedStudent) -> str:
    others = [
        f"{'/'.join(each.student)} {each.milliseconds:.1f}" for each in timed if each != chosen
    ]
    return f"others take {', '.join(others)}" if others else "no other was timed"
