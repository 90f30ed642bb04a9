"""The race itself: persistent processes take turns, round by round, in a new order each."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.race.forms import EDGESEG, ONNXRUNTIME, Form
from edgeseg.errors import EdgesegError

WORKER = Path(__file__).with_name("worker.py")
Round = dict[str, float]  # fps, cpu_ms and peak_mb
Rounds = dict[str, dict[str, list[Round]]]  # by form and part


class RaceError(EdgesegError):
    """The race cannot be run."""


@dataclass(frozen=True)
class Course:
    """What all forms have in common.

    Attributes:
        clip: The video.
        size: (height, width) of the networks' input.
        threads: Cores that each process may use.
        frames: Frames of a round.
        rounds: Number of rounds.
    """

    clip: str
    size: tuple[int, int]
    threads: int
    frames: int
    rounds: int


class Racer:
    """A worker process, which holds one form and one part loaded."""

    def __init__(self, python: str, form: Form, part: str, course: Course, log: Path) -> None:
        """Start the process; `started` waits until it is ready."""
        self.name, self.part, self._log = form.name, part, log
        height, width = course.size
        command = [python, str(WORKER), json.dumps(form.facts()), "--part", part]
        command += ["--clip", course.clip, "--size", str(height), str(width)]
        command += ["--threads", str(course.threads)]
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(log.parent, course.threads),
            )
        self.versions: dict[str, str] = {}

    def started(self) -> None:
        """Wait until the form is loaded and warm."""
        self.versions = self._answer()["versions"]

    def run(self, frames: int) -> Round:
        """Run so many frames, alone among the racers."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"frames": frames}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer tells
        answer = self._answer()
        return {
            "fps": frames / answer["seconds"],
            "cpu_ms": 1000 * answer["cpu"] / frames,
            "peak_mb": answer["peak_mb"],
        }

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise RaceError(
                f"{self.name} ({self.part}) ended with {last[0] if last else 'no word'}; "
                f"{self._log} has the rest"
            )
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment(folder: Path, threads: int) -> dict[str, str]:
    """Return the variables of a process: so many threads, and nothing fetched or installed."""
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "YOLO_CONFIG_DIR": str(folder.resolve()),
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
    }


def python_of(form: Form, part: str, peer_python: str | None) -> str:
    """Return the interpreter that has what a form needs.

    Raises:
        RaceError: The form needs the peer's environment, and there is none.
    """
    own = form.engine == ONNXRUNTIME if part == "network" else form.side == EDGESEG
    if own:
        return sys.executable
    if peer_python is None:
        raise RaceError(
            f"{form.name} runs in the peer's environment; give --peer-python, or --make-peer-env"
        )
    return peer_python


def race(
    forms: Sequence[Form],
    course: Course,
    peer_python: str | None,
    folder: Path,
    seen: Rounds,
    keep: Callable[[dict[str, str]], None],
) -> None:
    """Run the rounds that are missing; `seen` grows round by round.

    Args:
        forms: What races.
        course: What they have in common.
        peer_python: The interpreter of the peer's environment.
        folder: Where each process keeps its log.
        seen: Rounds of an earlier start.
        keep: Saves `seen` after each round; is given the engines' versions.

    Raises:
        RaceError: A form cannot be loaded or run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = min(
        (len(seen.get(form.name, {}).get(part, [])) for form in forms for part in form.parts),
        default=0,
    )
    if done >= course.rounds:
        return
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        racers: list[Racer] = []
        for form, part in [(each, part) for each in forms for part in each.parts]:
            log = folder / f"racer-{course.threads}-{len(racers)}.log"
            racer = Racer(python_of(form, part, peer_python), form, part, course, log)
            stack.callback(racer.close)
            racer.started()  # one after another: loading takes memory and time of its own
            versions |= racer.versions
            racers.append(racer)
        for number in range(done, course.rounds):
            for racer in random.sample(racers, len(racers)):
                rounds = seen.setdefault(racer.name, {}).setdefault(racer.part, [])
                del rounds[number:]  # of a round that was cut short
                rounds.append(racer.run(course.frames))
            keep(versions)
            load = os.getloadavg()[0]
            print(f"round {number + 1} of {course.rounds}, load {load:.1f}", flush=True)


def summarize(own: Sequence[Round], base: Sequence[Round]) -> dict[str, float]:
    """Return the medians of one form and part, and its ratios to a base of the same rounds.

    A ratio above 1 says that the form is faster, or needs less processor time, than the base.
    """
    pairs = list(zip(own, base))
    return {
        "fps": statistics.median(each["fps"] for each in own),
        "best_fps": max(each["fps"] for each in own),
        "cpu_ms": statistics.median(each["cpu_ms"] for each in own),
        "peak_mb": max(each["peak_mb"] for each in own),
        # Round by round, so that a machine that slows down hurts both sides of each ratio.
        "fps_ratio": statistics.median(mine["fps"] / its["fps"] for mine, its in pairs),
        "cpu_ratio": statistics.median(its["cpu_ms"] / mine["cpu_ms"] for mine, its in pairs),
    }
