"""Kills of a real `edgeseg train` at random moments, which must change nothing.

Every next start must continue, and the end must be the same.

    python benchmarks/kill_train.py --kills 50

Makes a small rendered site, trains it once without interruption, then a second time with kills,
resuming each time: one at a random moment from 0 to `--longest` seconds after the start, the next
up to a second after a new checkpoint has appeared, so that on a slow machine not all of them meet
the start. Prints what it saw; exit code 1 on a loss.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.demo.demo_site import make_site
from edgeseg.site import Site

SETTINGS = (
    'train.encoder="mobilenetv2_035"',
    'train.weights="none"',
    "train.imgsz=[64, 96]",
    "train.rep_dim=16",
    "train.batch=2",
    "train.batch_unlabelled=2",
    "train.eval_every=20",
    "train.checkpoint_every=5",
    "train.workers=1",
    'train.precision="32"',
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--method", default="u2pl")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--longest", type=float, default=8.0, help="seconds until a kill at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "site"
        make_site(root)
        command = [sys.executable, "-m", "edgeseg.cli.app", "train"]
        for text in (*SETTINGS, f"train.steps={options.steps}", f"train.method={options.method}"):
            command += ["--set", text]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=root, env=environment, check=True, stderr=subprocess.DEVNULL)
        uninterrupted = root / "runs" / "train" / "exp1"
        site = Site.open(root)
        run = site.make_run_folder("train")
        generator = random.Random(options.seed)
        killed, steps, failures = 0, [0], []
        while killed < options.kills and not (run / "metrics.json").exists():
            process = subprocess.Popen(
                [*command, "--resume"], cwd=root, env=environment, stderr=subprocess.PIPE, text=True
            )
            try:
                wait = generator.uniform(0, options.longest)
                if killed % 2:
                    _wait_for_new_checkpoint(run, process)
                    wait = generator.uniform(0, 1)
                _, text = process.communicate(timeout=wait)
                if process.returncode:
                    failures.append(text.strip().splitlines()[-1])
                    break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed += 1
            steps.append(_newest_step(run))
            if steps[-1] < steps[-2]:
                failures.append(f"fell back from step {steps[-2]} to {steps[-1]}")
            time.sleep(0.01)
        done = subprocess.run(
            [*command, "--resume"], cwd=root, env=environment, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            failures.append(done.stderr.strip().splitlines()[-1])
        expected, resumed = (
            load_file(path / "weights" / "last.safetensors") for path in (uninterrupted, run)
        )
        equal = all(torch.equal(tensor, resumed[name]) for name, tensor in expected.items())
        leftovers = [str(path) for path in run.rglob(".*.tmp")]
    checkpoints = len(set(steps)) - 1
    print(
        f"{killed} kills at {checkpoints} different checkpoints up to step {steps[-1]}, "
        f"{len(failures)} failed starts"
    )
    print(
        f"weights equal to the uninterrupted run: {equal}; temporary files left: {len(leftovers)}"
    )
    for failure in failures:
        print(failure)
    print(
        json.dumps(
            {
                "method": options.method,
                "kills": killed,
                "failures": len(failures),
                "bit_exact": equal,
                "leftovers": len(leftovers),
            }
        )
    )
    sys.exit(bool(failures or leftovers or not equal))


def _newest_step(run: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name.split("-")[1]) for path in run.rglob("checkpoint/step-*")), default=0)


def _wait_for_new_checkpoint(run: Path, process: subprocess.Popen[str]) -> None:
    """Wait until `process` has written a checkpoint, or has ended."""
    before = _newest_step(run)
    while _newest_step(run) == before and process.poll() is None:
        time.sleep(0.02)


if __name__ == "__main__":
    main()
