"""How long `import edgeseg` and `edgeseg --help` take: whole processes, medians of 15 runs after a
first one.

    python benchmarks/start_up.py

The limits are for the time on the clock of an idle machine; processor time hardly depends on what
else runs.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time

import edgeseg

RUNS = 15
HELP = "import sys; sys.argv = ['edgeseg', '--help']; from edgeseg.cli.start import main; main()"
CASES = {  # name: (program, limit in seconds)
    "python": ("pass", None),
    "import edgeseg": ("import edgeseg", 0.1),
    "edgeseg --help": (HELP, 0.5),
}


def seconds(program: str) -> tuple[float, float]:
    """Clock and processor time of one process that runs `program`."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
    clock, after = time.perf_counter() - start, os.times()
    used = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return clock, used


def main() -> int:
    """Print the table and one JSON line; 1 if a limit is broken."""
    python = platform.python_version()
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(
        f"edgeseg {edgeseg.__version__}, Python {python}, {platform.machine()}, "
        f"load {load:.1f} a core, {RUNS} runs\n"
    )
    print(f"{'seconds':16}{'median':>9}{'fastest':>9}{'slowest':>9}{'limit':>9}{'processor':>11}")
    figures, within = {}, True
    for name, (program, limit) in CASES.items():
        seconds(program)
        runs = [seconds(program) for _ in range(RUNS)]
        clock, used = [run[0] for run in runs], statistics.median(run[1] for run in runs)
        median = statistics.median(clock)
        figures[name] = {"median": median, "min": min(clock), "max": max(clock), "processor": used}
        within = within and (limit is None or median <= limit)
        shown = "" if limit is None else f"{limit:.1f}"
        print(f"{name:16}{median:9.3f}{min(clock):9.3f}{max(clock):9.3f}{shown:>9}{used:11.3f}")
    rounded = {
        name: {key: round(value, 4) for key, value in row.items()} for name, row in figures.items()
    }
    print(
        "\n"
        + json.dumps(
            {"benchmark": "start_up", "seconds": rounded, "load": round(load, 2), "within": within}
        )
    )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
