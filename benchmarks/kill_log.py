"""Kills the writer of a frame log: nothing acknowledged may be lost, nothing corrupt.

    python benchmarks/kill_log.py [--kills 50]
        [--bundle BUNDLE --source CLIP [arguments of edgeseg infer ...]]

First a process that only writes records, as fast as it can, is killed at random moments after its
first acknowledgement (before it there is only the start of the interpreter to hit). Then, given a
bundle and a clip, `edgeseg infer --log` is killed at moments spread evenly over a whole run. After
each kill the next start must work. A kill -9 cannot show a missing fsync: that takes a power cut.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import edgeseg
from edgeseg.config import LogConfig, validate_config
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.reader import iter_records, verify_log

LONGEST_WRITING = 0.2  # seconds that the bare writer lives after its first record at most


def write_until_killed(folder: Path) -> None:
    """Put records until killed, printing the name of each once it is acknowledged."""
    image = np.random.default_rng().integers(0, 256, (200, 300, 3), np.uint8)
    config = validate_config(LogConfig, {"min_free_bytes": 0}, "benchmark")
    with FrameLog.open(folder, config, device="writer", model="none", threshold=0.5) as log:
        for number in range(10**9):
            image[0, 0, 0] = number % 256
            mask = image[..., 0] // 32
            path = log.put(
                image,
                camera="c",
                score=0.5,
                mask=mask,
                entropy=None,
                monotonic_ns=time.monotonic_ns(),
            )
            print(path.name, flush=True)


def kill_writer(folder: Path, kills: int, generator: random.Random) -> dict[str, int]:
    """Kill the bare writer again and again; return what was lost, damaged or left behind."""
    acknowledged: set[str] = set()
    lost = bad = torn = 0
    for _ in range(kills):
        command = [sys.executable, __file__, "--write", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged.add(process.stdout.readline().strip())
            time.sleep(generator.uniform(0, LONGEST_WRITING))
            process.kill()
            acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
        lost += len(acknowledged - {path.name for path in iter_records(folder)})
        bad += len(verify_log(folder).bad)
        torn += len(list((folder / "tmp").iterdir()))
    starts = reopen(folder)
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "lost": lost,
        "bad": bad,
        "torn": torn,
        **starts,
    }


def kill_infer(
    folder: Path, command: list[str], kills: int, generator: random.Random
) -> dict[str, int]:
    """Kill `edgeseg infer --log` again and again; return what was lost, damaged or left behind."""
    began = time.monotonic()
    run_to_the_end(command, folder.with_name("whole"))
    length = time.monotonic() - began
    known: set[str] = set()
    lost = bad = torn = busy = early = 0
    for _ in range(kills):
        before = len(known)
        with subprocess.Popen(
            [*command, "--log", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as run:
            try:
                code = run.wait(generator.uniform(0, length))
            except subprocess.TimeoutExpired:
                known |= record_names(folder)
                run.kill()
            else:
                early += 1
                if code:
                    raise SystemExit(f"a start after a kill ended with exit code {code}")
        there = record_names(folder)
        lost += len(known - there)
        known = there
        busy += len(known) > before
        if (folder / "ready").is_dir():
            bad += len(verify_log(folder).bad)
            torn += len(list((folder / "tmp").iterdir()))
    run_to_the_end(command, folder)
    return {
        "kills": kills - early,
        "while_logging": busy,
        "records": len(known),
        "lost": lost,
        "bad": bad,
        "torn": torn,
        **reopen(folder),
    }


def record_names(folder: Path) -> set[str]:
    """Return the file names of the records that are there."""
    return {path.name for path in iter_records(folder)} if (folder / "ready").is_dir() else set()


def run_to_the_end(command: list[str], folder: Path) -> None:
    """Let `edgeseg infer` run to its end."""
    subprocess.run([*command, "--log", str(folder)], stdout=subprocess.DEVNULL, check=True)


def reopen(folder: Path) -> dict[str, int]:
    """Open the log once more, which must work and tidy up."""
    config = validate_config(LogConfig, {"min_free_bytes": 0}, "benchmark")
    with FrameLog.open(folder, config, device="writer", model="none", threshold=0.5) as log:
        return {"starts": log.boot, "leftovers": len(list((folder / "tmp").iterdir()))}


def main() -> int:
    """Print the table and one JSON line; 1 if anything was lost or bad."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--source")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given, more = parser.parse_known_args()
    if given.write is not None:
        write_until_killed(given.write)
        return 0
    generator = random.Random(given.seed)
    work = Path(tempfile.mkdtemp(prefix="kill_log-"))
    try:
        results = {"writer": kill_writer(work / "writer", given.kills, generator)}
        if given.bundle is not None and given.source is not None:
            command = [
                sys.executable,
                "-m",
                "edgeseg.cli.app",
                "infer",
                str(given.bundle),
                "--source",
                given.source,
                *more,
            ]
            results["infer"] = kill_infer(work / "infer", command, given.kills, generator)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(
        f"edgeseg {edgeseg.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, seed {given.seed}\n"
    )
    for name, result in results.items():
        print(
            f"{name}: "
            + ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in result.items())
        )
    clean = all(
        result[key] == 0 for result in results.values() for key in ("lost", "bad", "leftovers")
    )
    print(
        "\n" + json.dumps({"benchmark": "kill_log", "seed": given.seed, **results, "clean": clean})
    )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
