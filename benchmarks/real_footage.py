"""The whole job on real footage with few labels: train several methods over seeds at one step budget, distil, export.

Every run is kept and resumed, so the script can be stopped and started again at will. Usage (see RESULTS.md):

    python benchmarks/camvid.py --data DATA/camvid --weights mobilenetv2_100.safetensors --out sites/camvid
    python benchmarks/dhcn.py   --data DATA/dhcn   --weights mobilenetv2_100.safetensors --out sites/dhcn --preset gpu
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.sites import DATA_SETS, make_site
from edgeseg.config import DistillConfig, ExportConfig, TrainConfig, validate

# What the two presets change in edgeseg's defaults; `full` and `small` are the data set's frame sizes.
CPU = {"steps": 1200, "eval_every": 100, "checkpoint_every": 100, "batch": 4, "batch_unlabelled": 4, "ema": 0.98}
CPU |= {"encoder_lr": 5e-4, "decoder_lr": 2e-3}  # suponly, CamVid, seed 0: 57.1; default rates, EMA 0.99: 55.2
GPU = {"steps": 6000, "eval_every": 500, "checkpoint_every": 500, "batch": 8, "batch_unlabelled": 8}
EXTRA: dict[str, dict[str, Any]] = {  # Any: configuration values
    "cpu": {"rep_dim": 64, "warmup": 0.5, "ramp": 0.1, "unlabelled_weight": 0.5},
    "gpu": {"rep_dim": 256},
}


def settings(name: str, preset: str, weights: Path) -> dict[str, Any]:  # Any: configuration values
    """Keys common to train and distill."""
    data = DATA_SETS[name]
    size = list(data.small if preset == "cpu" else data.full)
    return (CPU if preset == "cpu" else GPU) | {"imgsz": size, "encoder": "mobilenetv2_100", "weights": str(weights)}


def train_one(root: str, name: str, values: dict[str, Any], out: str, threads: int) -> dict[str, Any]:  # Any: as above
    """One run in a process of its own; returns metrics.json."""
    import torch

    from edgeseg.site import Site
    from edgeseg.train import train

    if threads:
        torch.set_num_threads(threads)
    site = Site.open(Path(root))
    return train(site, validate(TrainConfig, values, name), Path(out), resume=True).metrics


def main(name: str) -> None:
    """Run the benchmark for the data set `name`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="MobileNetV2 encoder weights, safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the site that is made, with all runs")
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--methods", default="suponly,u2pl")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="another step budget than the preset's")
    parser.add_argument("--jobs", type=int, default=0, help="runs at a time; 2 single-threaded ones on a 2-core CPU")
    parser.add_argument("--threads", type=int, default=0, help="of each run; 1 where several run at a time")
    parser.add_argument("--every", type=int, default=0, help="label every so many frames; 1: the ceiling, with suponly")
    parser.add_argument("--skip-edge", action="store_true", help="stop after the training table")
    parser.add_argument("--edge-from", default="u2pl", help="method whose seed-0 model is distilled")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=JSON", help="a TrainConfig value, for tuning"
    )
    options = parser.parse_args()

    site = make_site(options.out, name, options.data, options.every)
    values = settings(name, options.preset, options.weights.resolve()) | EXTRA[options.preset]
    values |= {key: json.loads(text) for key, text in (pair.split("=", 1) for pair in options.set)}
    if options.steps:
        values["steps"] = options.steps
    jobs = options.jobs or (2 if options.preset == "cpu" else 1)
    threads = options.threads or (1 if jobs > 1 else 0)
    wanted = [(method, seed) for seed in range(options.seeds) for method in options.methods.split(",")]
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    runs = options.out / "runs" / f"bench-{options.preset}-{values['steps']}"
    results: dict[str, list[dict[str, Any]]] = {}  # Any: metrics.json
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {
            (method, seed): pool.submit(
                train_one, str(site.root), name, values | {"method": method, "seed": seed},
                str(runs / f"{method}-{seed}"), threads,
            )
            for method, seed in wanted
        }  # fmt: skip
        for (method, seed), future in futures.items():
            metrics = future.result()
            results.setdefault(method, []).append(metrics)
            print(
                f"{name} {method} seed {seed}: last {metrics['last']['ema']['miou']:.2f} best {metrics['miou']:.2f}",
                flush=True,
            )

    report: dict[str, Any] = {"data": name, "preset": options.preset, "steps": values["steps"], "machine": machine()}
    report["methods"] = _table(name, options.preset, values, results)
    report["curves"] = _curves(runs, wanted)
    if not options.skip_edge:
        report["edge"] = edge(
            options.out, name, options.preset, options.weights.resolve(), runs / f"{options.edge_from}-0"
        )
    print(json.dumps(report))


def _table(
    name: str, preset: str, values: dict[str, Any], results: dict[str, list[dict[str, Any]]]
) -> Any:  # Any: JSON
    table = Table("method", "last mIoU, mean", "sd", "each seed", "best on val, mean", "gain", "s a step")
    table.title = f"{name}, {preset} preset, {values['steps']} steps, {values['imgsz'][0]}x{values['imgsz'][1]}"
    rows: dict[str, Any] = {}
    for method, runs in results.items():
        last = [run["last"]["ema"]["miou"] for run in runs]
        best = [run["miou"] for run in runs]
        mean, spread = statistics.mean(last), statistics.stdev(last) if len(last) > 1 else 0.0
        speed = statistics.median(run["seconds_per_step"] for run in runs)
        rows[method] = {"last": last, "mean": mean, "sd": spread, "best": best, "seconds_per_step": speed}
        gain = mean - rows["suponly"]["mean"] if "suponly" in rows else float("nan")
        each = " ".join(f"{value:.1f}" for value in last)
        table.add_row(
            method, f"{mean:.2f}", f"{spread:.2f}", each, f"{statistics.mean(best):.2f}", f"{gain:+.2f}", f"{speed:.3f}"
        )
    Console(width=120).print(table)
    return rows


def _curves(runs: Path, wanted: list[tuple[str, int]]) -> dict[str, list[float]]:
    """Mean mIoU over seeds of every method at every evaluation, printed with the gain over suponly."""
    rows: dict[str, list[list[float]]] = {}
    steps: list[str] = []
    for method, seed in wanted:
        with (runs / f"{method}-{seed}" / "results.csv").open(newline="") as file:
            read = list(csv.DictReader(file))
        steps = [row["step"] for row in read]
        rows.setdefault(method, []).append([float(row["miou_ema"]) for row in read])
    curves = {method: [statistics.mean(values) for values in zip(*each)] for method, each in rows.items()}
    table = Table("step", *steps, title="mean over seeds")
    for method, curve in curves.items():
        table.add_row(method, *(f"{value:.1f}" for value in curve))
        if method != "suponly" and "suponly" in curves:
            gains = (value - base for value, base in zip(curve, curves["suponly"]))
            table.add_row("  gain", *(f"{gain:+.1f}" for gain in gains))
    Console(width=140).print(table)
    return curves


def edge(root: Path, name: str, preset: str, weights: Path, teacher: Path) -> dict[str, Any]:  # Any: figures
    """Distil `teacher`, export with INT8, and return the figures of every step."""
    from edgeseg.distill import distill
    from edgeseg.export.run import export
    from edgeseg.site import Site

    site = Site.open(root)
    base = {key: value for key, value in settings(name, preset, weights).items() if key in DistillConfig.model_fields}
    run = distill(
        site, validate(DistillConfig, base, name), teacher, teacher.with_name(f"{teacher.name}-edge"), resume=True
    )
    sheltered = ExportConfig(
        int8=True, max_drop=100.0, min_speedup=0.0
    )  # a benchmark reports failures, a gate hides them
    result = export(site, sheltered, run.path, teacher.with_name(f"{teacher.name}-bundle"))
    whole = json.loads((teacher / "metrics.json").read_text())["miou"]
    summary = {
        "site_model": whole,
        "edge_model": run.miou,
        "kept_percent": 100 * run.miou / whole,
        "bundle": str(result.bundle),
    }
    print(f"edge model keeps {summary['kept_percent']:.1f} % of {whole:.2f} mIoU; bundle {result.bundle}")
    return summary | {"figures": result.figures}


def machine() -> str:
    """Processor, cores and the versions that decide speed."""
    import onnxruntime
    import torch

    cpu = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("Model name")), cpu)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}, {os.cpu_count()} cores{gpu}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
