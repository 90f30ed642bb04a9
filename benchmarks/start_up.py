"""How long `import edgeseg` and `edgeseg --help` take: whole processes, medians of 15 runs after a first one.

python benchmarks/start_up.py
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time

import edgeseg

RUNS = 15
HELP = "import sys; sys.argv = ['edgeseg', '--help']; from edgeseg.cli.app import main; main()"
CASES = {  # name: (program, limit in seconds)
    "python": ("pass", None),
    "import edgeseg": ("import edgeseg", 0.1),
    "edgeseg --help": (HELP, 0.5),
}


def seconds(program: str) -> float:
    """Wall time of one process that runs `program`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> int:
    """Print the table and one JSON line; 1 if a limit is broken."""
    print(
        f"edgeseg {edgeseg.__version__}, Python {platform.python_version()}, {platform.machine()}, {RUNS} runs each\n"
    )
    print(f"{'':16}{'median s':>10}{'fastest':>10}{'slowest':>10}{'limit':>8}")
    figures, within = {}, True
    for name, (program, limit) in CASES.items():
        seconds(program)
        times = [seconds(program) for _ in range(RUNS)]
        median = statistics.median(times)
        figures[name] = {"median": round(median, 4), "min": round(min(times), 4), "max": round(max(times), 4)}
        within = within and (limit is None or median <= limit)
        print(f"{name:16}{median:10.3f}{min(times):10.3f}{max(times):10.3f}{'' if limit is None else limit:>8}")
    print("\n" + json.dumps({"benchmark": "start_up", "seconds": figures, "within": within}))
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
