"""The demo from start to end: every step of `demo_steps` in order, each noted in `demo.json` when
it is done.

Run again on the same folder, the demo goes on where it was.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from edgeseg.atomic_files import write_json
from edgeseg.demo.demo_result import DemoResult, StepOutput, summarize_demo
from edgeseg.demo.demo_site import QUICK, DemoSize
from edgeseg.demo.demo_steps import STEPS, DemoContext
from edgeseg.progress import NullReporter, ProgressReporter


def run_demo(
    folder: Path,
    *,
    quick: bool = False,
    size: DemoSize | None = None,
    report: ProgressReporter | None = None,
) -> DemoResult:
    """Do everything that is not done yet in `folder`.

    Args:
        folder: An empty folder, or that of a demo that was cut off.
        quick: Take a few steps on a few tiny frames, to see that all parts work; the figures mean
            nothing then.
        size: Sizes and steps, instead of the usual ones.
        report: Where progress is told.

    Raises:
        EdgesegError: A step could not be done, in the subclass of that step. Once its cause is
            removed the demo goes on with it.
    """
    report = report or NullReporter()
    size = size or (QUICK if quick else DemoSize())
    state_file = folder / "demo.json"
    done: dict[str, StepOutput] = json.loads(state_file.read_bytes()) if state_file.exists() else {}
    context = DemoContext(folder, size, done, report)
    for number, step in enumerate(STEPS, 1):
        if step.name not in done:
            report.say(f"{number}/{len(STEPS)} {step.title}")
            began = time.monotonic()
            output = step.run(context)
            done[step.name] = {**output, "seconds": round(time.monotonic() - began, 1)}
            write_json(state_file, done)
    return summarize_demo(folder, done)
