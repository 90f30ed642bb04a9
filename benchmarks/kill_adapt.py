"""kill -9 at random moments of a real round of adaptation: nothing may be corrupt, and the next
start must finish it.

    python benchmarks/kill_adapt.py [--kills 50] [--seed N]

A tiny site of the demo gets a champion and a frame log. Then `edgeseg adapt` is started and killed
at a random moment of a random step, started again and killed again, until the step drawn is one
that is done already: then the round is left to finish, the site put back, and it begins anew.
(Moments drawn over the whole time would nearly all fall on training and export.) The round is the
real one with networks that learn for a few steps; processes are forked from one that has torch
imported already, so that the moments fall on the round and not on the imports. At the end of each
round its networks and graphs must be, byte for byte, those of a round that was never killed. kill
-9 cannot show a missing fsync: that takes a power cut.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import edgeseg
from edgeseg.adapt.publish import open_champion, published_bundles
from edgeseg.adapt.round_context import real_training_steps
from edgeseg.adapt.round_state import STEPS, load_rounds
from edgeseg.atomic_files import replace_link
from edgeseg.cli.app import app
from edgeseg.config import LogConfig, validate_config
from edgeseg.demo.demo_site import QUICK, make_site
from edgeseg.errors import EdgesegError
from edgeseg.export.exporter import export
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.reader import verify_log
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train

RECORDS = 12
COMPARED = (
    "train/weights/best.safetensors",
    "distill/weights/best.safetensors",
    "bundle/model.onnx",
    "bundle/model.int8-cpu.onnx",
    "selected.json",
    "pseudo/statistics.json",
)
SETTINGS = (
    "adapt.min_records=3",
    "adapt.train_steps=12",
    "adapt.distill_steps=12",
    "train.checkpoint_every=3",
    "distill.checkpoint_every=3",
    "export.max_drop=100",
    "adapt.max_class_drop=100",
)


def fork_child(work: Callable[[], Any], quiet: bool = False) -> int:  # Any: the result is not used
    """Fork, do the work, and return the child's process id."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(
            1, signal.SIGKILL
        )  # PR_SET_PDEATHSIG: the child goes when this process goes
        code = 1
        try:
            if quiet:
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 1)
                os.dup2(nothing, 2)
            work()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except Exception:  # noqa: BLE001  # the child must not return into the parent's loop
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def wait_for(child: int) -> int:
    """Return the exit code of the child, once it has come to its end."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_during(child: int, root: Path, step: str, seconds: float) -> int | None:
    """Kill the child `seconds` after its round reaches `step`; its exit code if it came to its end
    before that.
    """
    moment: float | None = None
    while moment is None or time.monotonic() < moment:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if moment is None and current_step(root) == step:
            moment = time.monotonic() + seconds
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def make_adaptable_site(root: Path) -> None:
    """Make a site whose champion has hardly learned from a site model that has a little, and the
    log of a device.
    """
    site = make_site(root, QUICK)
    few_steps, one_step = {"steps": 40, "eval_every": 40, "ema": 0.8}, {"steps": 1, "eval_every": 1}
    teacher = train(
        site, site.config.train.model_copy(update=few_steps), site.make_run_folder("train")
    ).path
    edge = distill(
        site,
        site.config.distill.model_copy(update=one_step),
        teacher,
        site.make_run_folder("distill"),
    ).path
    bundle = export(
        site,
        site.config.export.model_copy(update={"max_drop": 100.0, "max_class_drop": 100.0}),
        edge,
        seq=1,
    ).bundle
    replace_link(site.current_bundle, bundle.name)
    random_source = random.Random(0)
    config = validate_config(LogConfig, {"min_free_bytes": 0}, "benchmark")
    video = cv2.VideoCapture(str(root / "card" / "autumn.mp4"))
    with FrameLog.open(
        root.parent / "log", config, device="box", model="none", threshold=0.1
    ) as log:
        for number in range(RECORDS):
            image = np.ascontiguousarray(video.read()[1][..., ::-1], np.uint8)
            log.put(
                image,
                camera="gauge",
                score=random_source.random(),
                mask=None,
                entropy=None,
                monotonic_ns=number * 10**9,
                candidate=LogCandidate("score", 1.0, ()),
            )


def adapt(root: Path) -> None:
    """Run `edgeseg adapt` as if it were typed."""
    os.chdir(root)
    app(
        [
            "adapt",
            str(root.parent / "log"),
            *(word for text in SETTINGS for word in ("--set", text)),
        ]
    )


def find_faults(root: Path) -> list[str]:
    """Return what is corrupt in the site."""
    found: list[str] = []
    try:
        site = Site.open(root)
        open_champion(site).verify()
        for bundle in published_bundles(site):
            bundle.verify()
        load_rounds(site)
        for frame in site.frames():
            if cv2.imread(str(site.path(frame.image))) is None:
                found.append(f"{frame.image} cannot be read")
        found += verify_log(root.parent / "log").reasons
    except EdgesegError as error:
        found.append(str(error))
    return found


def current_step(root: Path) -> str:
    """Return the step that the newest round stands at."""
    states = load_rounds(Site.open(root))
    return (states[-1].next_step or "over") if states else STEPS[0]


def result_digests(root: Path) -> dict[str, str]:
    """Return digests of what the round has made."""
    folder = root / "rounds" / "0001"
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in COMPARED
        if (folder / name).exists()
    }


@dataclass
class KillTally:
    """The counts of the benchmark.

    Attributes:
        kills_by_step: Kills by the step that the round then stood at.
        corrupt: Sentences on what was found corrupt.
        rounds: Rounds that were begun.
        equal: Rounds that ended byte for byte like one that was never killed.
        failed: Starts that ended with an error.
        leftovers: Temporary files left at the end of a round.
    """

    kills_by_step: Counter[str] = field(default_factory=Counter)
    corrupt: list[str] = field(default_factory=list)
    rounds: int = 0
    equal: int = 0
    failed: int = 0
    leftovers: int = 0

    @property
    def clean(self) -> bool:
        return not (self.corrupt or self.failed or self.leftovers) and self.equal == self.rounds


def run_killed_round(
    root: Path,
    seconds: dict[str, float],
    kills: int,
    random_source: random.Random,
    tally: KillTally,
) -> None:
    """Run one round from its start to its end, killed again and again while kills are left."""
    while (now := current_step(root)) != "over":
        child = fork_child(lambda: adapt(root), quiet=True)
        step = random_source.choice(STEPS)
        if tally.kills_by_step.total() == kills or STEPS.index(step) < STEPS.index(now):
            tally.failed += wait_for(child) != 0
            return
        code = kill_during(child, root, step, random_source.uniform(0, seconds[step]))
        if code is not None:  # the round was over sooner than it was the first time
            tally.failed += code != 0
            return
        tally.kills_by_step[current_step(root)] += 1
        tally.corrupt += find_faults(root)


def measure_kills(
    work: Path, kills: int, random_source: random.Random
) -> tuple[KillTally, dict[str, float], str]:
    """Return the tally, the seconds of each step without kills, and how such a round ends."""
    root, pristine, tally = work / "site", work / "pristine", KillTally()
    if wait_for(fork_child(lambda: make_adaptable_site(root))):
        raise SystemExit("the site could not be made")
    shutil.copytree(root, pristine, symlinks=True)
    if wait_for(fork_child(lambda: adapt(root))):
        raise SystemExit("a round that nobody killed has failed")
    state, reference = load_rounds(Site.open(root))[-1], result_digests(root)
    if state.verdict != "published":
        raise SystemExit(f"a round that nobody killed was {state.verdict}: {state.reason}")
    seconds: dict[str, float] = {
        name: max(0.05, done.seconds) for name, done in state.steps.items()
    }
    while tally.kills_by_step.total() < kills:
        shutil.rmtree(root)
        shutil.copytree(pristine, root, symlinks=True)
        run_killed_round(root, seconds, kills, random_source, tally)
        tally.rounds += 1
        tally.corrupt += find_faults(root)
        tally.equal += (
            result_digests(root) == reference and len(published_bundles(Site.open(root))) == 2
        )
        tally.leftovers += len(list(root.rglob("*.tmp")))
    return tally, seconds, state.reason


def main() -> int:
    """Print the table and one JSON line; 1 if anything was corrupt or a start failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    real_training_steps()  # everything a round needs is imported before the forks
    work = Path(tempfile.mkdtemp(prefix="kill_adapt-"))
    try:
        tally, seconds, reason = measure_kills(work, given.kills, random.Random(given.seed))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    versions = (
        f"edgeseg {edgeseg.__version__}, torch {torch.__version__}, Python "
        f"{platform.python_version()}"
    )
    print(
        f"{versions}, {platform.machine()}, {os.cpu_count()} cores, seed {given.seed}; "
        f"unkilled: {reason}\n"
    )
    print("step             seconds   killed")
    for name in (*STEPS, "over"):
        print(f"{name:<16} {seconds.get(name, 0):>7.2f} {tally.kills_by_step[name]:>8}")
    kills = tally.kills_by_step.total()
    print(
        f"\n{kills} kills in {tally.rounds} rounds, {tally.equal} of which ended byte for "
        "byte as if nobody had killed"
    )
    print(
        f"{len(tally.corrupt)} corrupt, {tally.failed} starts failed, {tally.leftovers} "
        "files left over"
    )
    for fault in tally.corrupt:
        print(f"corrupt: {fault}")
    figures = {name: value for name, value in vars(tally).items() if name != "kills_by_step"}
    figures |= {"struck": dict(tally.kills_by_step), "seconds": seconds, "clean": tally.clean}
    print(
        "\n"
        + json.dumps({"benchmark": "kill_adapt", "seed": given.seed, "kills": kills, **figures})
    )
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
