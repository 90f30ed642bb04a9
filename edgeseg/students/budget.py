"""The most accurate student whose INT8 file takes no longer than a frame may."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import ConfigError
from edgeseg.models.student_networks import RANKED, Student
from edgeseg.site import Site
from edgeseg.students.candidates import Size
from edgeseg.students.trials import RESULTS_FILE, VERB

FORM = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|fps)(@(?P<file>.+))?", re.IGNORECASE)


class Budget(NamedTuple):
    """What a frame may take.

    Attributes:
        milliseconds: Of the whole file, picture in and mask out.
        device_file: What `edgeseg bench --json` printed on the device; None for this machine.
    """

    milliseconds: float
    device_file: Path | None


class TimedStudent(NamedTuple):
    """A student and its time.

    Attributes:
        student: Its arch and encoder.
        size: (height, width) in pixels.
        milliseconds: Of its fastest file, a frame.
    """

    student: Student
    size: Size
    milliseconds: float


def parse_budget(text: str) -> Budget:
    """Return the budget of "15ms", "30fps" or "30fps@device.json".

    Raises:
        ConfigError: The text is none of these.
    """
    found = FORM.fullmatch(text.strip())
    if found is None or not float(found["number"]):
        raise ConfigError(
            f"--budget {text!r} is no time; write 15ms or 30fps, or 30fps@FILE with what `edgeseg "
            "bench --json` printed on the device"
        )
    number = float(found["number"])
    milliseconds = number if found["unit"].lower() == "ms" else 1000 / number
    return Budget(milliseconds, Path(found["file"]) if found["file"] else None)


def read_device_file(path: Path) -> list[TimedStudent]:
    """Return the students that `edgeseg bench FOLDER --json` timed on a device.

    Raises:
        ConfigError: The file is missing or is something else.
    """
    try:
        facts = json.loads(path.read_bytes())
        rows = facts.get("bundles", [facts])
        timed = [_timed(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path} is not what `edgeseg bench BUNDLES --json` prints; run it on the device on "
            "bundles of students, and name its output"
        ) from None
    return timed


def _timed(row: dict[str, Any]) -> TimedStudent:  # Any: JSON
    engines = [row, *(row[engine] for engine in ("openvino",) if engine in row)]
    times = [file["total"]["median_ms"] for each in engines for file in each["files"].values()]
    student = Student(str(row["arch"]), str(row["encoder"]))
    return TimedStudent(student, (int(row["height"]), int(row["width"])), float(min(times)))


def ranking(site: Site) -> list[Student]:
    """Return students from the least to the most accurate: as the newest finished trials of the
    site have them, those that were not tried as on CamVid (benchmarks/RESULTS.md).
    """
    usual = list(RANKED)
    try:
        newest = site.newest_run(VERB)
        rows = json.loads((newest / RESULTS_FILE).read_bytes())["students"] if newest else []
    except (OSError, ValueError, KeyError, TypeError):
        rows = []
    tried: dict[Student, float] = {}
    for row in rows:
        if row["int8_miou"] is not None:
            student = Student(row["arch"], row["encoder"])
            tried[student] = max(row["int8_miou"], tried.get(student, 0.0))
    own = sorted(tried, key=lambda student: tried[student])
    return [student for student in usual if student not in tried] + own


def choose(budget: Budget, timed: Sequence[TimedStudent], order: Sequence[Student]) -> TimedStudent:
    """Return the most accurate student within the budget.

    Args:
        budget: What a frame may take.
        timed: Students with their times.
        order: Students from the least to the most accurate.

    Raises:
        ConfigError: None of them is known or fast enough.
    """
    known = [each for each in timed if each.student in order]
    fitting = [each for each in known if each.milliseconds <= budget.milliseconds]
    if not known:
        raise ConfigError(
            "none of the students that were timed has a known accuracy; try them with `edgeseg "
            "bench --students --accuracy`"
        )
    if not fitting:
        best = min(known, key=lambda each: each.milliseconds)
        raise ConfigError(
            f"the fastest student, {'/'.join(best.student)} at {best.size[0]}x{best.size[1]}, "
            f"takes {best.milliseconds:.1f} ms and the budget is {budget.milliseconds:.1f} ms; "
            "take a smaller --imgsz or a larger --budget"
        )
    return max(fitting, key=lambda each: order.index(each.student))
