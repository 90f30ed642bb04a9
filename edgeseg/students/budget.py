"""The most accurate student whose INT8 file takes no longer than a frame may."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.bundle.flavours import INT8_FLAVOURS
from edgeseg.disk.stored_paths import home_path
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
        milliseconds: Of its fastest INT8 file, the median over frames.
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
    """Return the students whose INT8 files `edgeseg bench FOLDER --json` timed on a device.

    Files that did not give the golden frames the right classes there do not count.

    Raises:
        ConfigError: The file is missing or is something else.
    """
    path = home_path(path)
    try:
        facts = json.loads(path.read_bytes())
        rows = facts.get("bundles", [facts])
        timed = [_timed(row) for row in rows]
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; run `edgeseg bench BUNDLES --json` on the device and bring "
            "its output here"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path} is not what `edgeseg bench BUNDLES --json` prints; run it on the device on "
            "bundles of students, and name its output"
        ) from None
    return [each for each in timed if each is not None]


def _timed(row: Mapping[str, Any]) -> TimedStudent | None:  # Any: JSON
    engines = [row, *(row[engine] for engine in ("openvino",) if engine in row)]
    times = [
        figures["total"]["median_ms"]
        for engine in engines
        for flavour, figures in engine["files"].items()
        if flavour in INT8_FLAVOURS and engine["passed"][flavour]
    ]
    student = Student(str(row["arch"]), str(row["encoder"]))
    size = (int(row["height"]), int(row["width"]))
    return TimedStudent(student, size, float(min(times))) if times else None


def ranking(site: Site, size: Size) -> list[Student]:
    """Return students from the least to the most accurate.

    The order is that of CamVid (benchmarks/RESULTS.md); among students that the site's newest
    trials at this size compared, it is theirs. One that only the site knows stands above those
    that it beat there.
    """
    own = _tried(site, size)
    order = list(RANKED)
    places = [place for place, student in enumerate(order) if student in own]
    known = sorted((order[place] for place in places), key=lambda student: own[student])
    for place, student in zip(places, known):
        order[place] = student
    for student in sorted(set(own) - set(order), key=lambda student: own[student]):
        beaten = [order.index(each) for each in own if each in order and own[each] < own[student]]
        order.insert(max(beaten, default=-1) + 1, student)
    return order


def _tried(site: Site, size: Size) -> dict[Student, float]:
    """Return the mIoU of the students whose INT8 files passed in the site's newest trials."""
    for run in reversed(site.runs(VERB)):
        try:
            rows = json.loads((run / RESULTS_FILE).read_bytes())["students"]
            return {
                Student(row["arch"], row["encoder"]): float(row["int8_miou"])
                for row in rows
                if (row["height"], row["width"]) == tuple(size)
                and row["int8_miou"] is not None
                and not row["refused"]
                and not row["failed"]
            }
        except (OSError, ValueError, KeyError, TypeError):
            continue  # trials that were not finished, or of another version
    return {}


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
