"""Every method on one real site: trained, killed, resumed to the same weights, exported, run.

    python benchmarks/every_method.py --data DATA/dhcn --out sites/dhcn-every

A few steps each, at a small size: it shows that each name works from one end to the other in one
command a step, not how good it is. What was seen is kept as it comes in `every.json` in the site; a
second start goes on after the last method. Exit code 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.sites import make_site
from edgeseg.atomic_files import write_json
from edgeseg.config import METHOD_NAMES
from edgeseg.config.method_catalogue import keys_read
from edgeseg.site import Site

STEPS = 12
SETTINGS = (
    'train.encoder="mobilenetv2_035"',
    'train.weights="none"',
    "train.imgsz=[64, 64]",
    "train.rep_dim=16",
    "train.batch=2",
    "train.batch_unlabelled=2",
    f"train.steps={STEPS}",
    f"train.eval_every={STEPS}",
    "train.checkpoint_every=1",
    "train.workers=1",
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="DHCN's folder")
    parser.add_argument(
        "--out", type=Path, required=True, help="the site that is made, with all runs"
    )
    parser.add_argument("--methods", default=",".join(METHOD_NAMES))
    options = parser.parse_args()
    site = make_site(options.out, "dhcn-spread", options.data)
    stored = site.root / "every.json"
    faults: dict[str, str] = json.loads(stored.read_bytes()) if stored.exists() else {}
    for name in options.methods.split(","):
        if faults.get(name) == "":
            continue
        faults[name] = find_fault(site, name, options.data.resolve() / "images" / "val")
        print(f"{name}: {faults[name] or 'resumed to the same weights, exported, ran'}", flush=True)
        write_json(stored, faults)
    failed = [name for name, fault in faults.items() if fault]
    print(
        f"{len(faults) - len(failed)} of {len(faults)} methods work"
        + (f"; not {', '.join(failed)}" if failed else "")
    )
    sys.exit(bool(failed))


def find_fault(site: Site, name: str, pictures: Path) -> str:
    """Return what went wrong with the method, or an empty string."""
    # An empty run folder is the newest run, so that resuming begins it.
    train = ["train", "--method", name, "--resume"]
    whole_run = site.make_run_folder("train")
    fault = run(site, *train)
    if fault:
        return fault
    killed_run = site.make_run_folder("train")
    fault = interrupt(site, killed_run, *train) or run(site, *train)
    if fault:
        return fault
    whole, killed = (
        load_file(path / "weights" / "last.safetensors") for path in (whole_run, killed_run)
    )
    if not all(torch.equal(whole[key], killed[key]) for key in whole):
        return "the resumed run ended with other weights"
    bundle = str(site.root / "bundles" / name)
    fault = run(site, "export", str(killed_run), "--output", bundle)
    return fault or run(site, "infer", bundle, "--source", str(pictures), "--limit", "5")


def start(site: Site, *words: str) -> subprocess.Popen[str]:
    """Start `edgeseg` with these words in the site."""
    command = [sys.executable, "-m", "edgeseg.cli.app", *words]
    if words[0] == "train":
        command += [part for text in SETTINGS for part in ("--set", text)]
        if "warmup" in keys_read(words[2], ()):
            command += ["--set", "train.warmup=0.2"]
    return subprocess.Popen(
        command,
        cwd=site.root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(site: Site, *words: str) -> str:
    """Run a command; return the last line of one that failed, or an empty string."""
    process = start(site, *words)
    _, text = process.communicate()
    return f"{words[0]}: {text.strip().splitlines()[-1]}" if process.returncode else ""


def interrupt(site: Site, folder: Path, *words: str) -> str:
    """Kill a run at its second checkpoint or stage; return what prevented it."""
    process, results = start(site, *words), set[Path]()
    while len(results) < 2:
        results.update(folder.rglob("checkpoint/step-*"))  # a stage that ends takes its own along
        results.update(folder.glob("stages/*/metrics.json"))  # a stage of one step has none
        if process.poll() is not None:
            return "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return "it was finished before it could be killed" if (folder / "metrics.json").exists() else ""


if __name__ == "__main__":
    main()
