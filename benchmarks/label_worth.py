"""Does the order of labels pay: five rounds of five frames by worth, at random and evenly spaced.

    python benchmarks/label_worth.py --data DATA --weights FILE.safetensors --out FOLDER

DATA holds camvid/ and dhcn/ as benchmarks/sites.py takes them; the demo is rendered. Every frame of
the training part is footage at first. In each round five frames are chosen and get their true
masks, a small site model is trained on all frames labelled so far (`suponly`, going on from the
weights of the round before), and its mIoU on val is taken. The queue is the product's own: without
a model in the first round, with the model of the round before in the others.

    worth    edgeseg.labelling.worth.build_queue
    random   drawn anew for each seed
    even     evenly spaced over time, at another offset for each seed
    kcenter  greedy k-center on pixel features (Sener and Savarese, 2018), for comparison
    all      every frame from the first round on, for as many steps: what labels could reach at most

Beside it stands the work that a prediction saves: the share of the labelled pixels of the five
chosen frames that the model of the round before gets wrong, which is what a person must touch. With
nothing to start from it is all of them, or all but the largest class where that is filled in one
go.

Whatever ends it, the next start goes on: a finished round is a line of rounds.jsonl, and a training
continues from its checkpoint. `--report` makes the table and curve.svg from what there is.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.sites import make_site as make_labelled_site
from edgeseg.atomic_files import write_atomic
from edgeseg.cli.shared.console import progress_bar
from edgeseg.config import to_toml
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.demo.demo_site import DemoSize, demo_configuration, file_stem
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import summer
from edgeseg.html_report.svg_charts import Series, line_chart
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.image_codec import encode_jpeg, encode_png
from edgeseg.imaging.mask_png import read_mask
from edgeseg.labelling.starting_masks import StartingMasks
from edgeseg.labelling.worth import build_queue
from edgeseg.labelling.worth.frame_table import FrameTable
from edgeseg.labelling.worth.pixel_features import describe_pixels
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from edgeseg.training.train import train

ROUNDS, PER_ROUND = 5, 5
STRATEGIES = ("worth", "random", "even", "kcenter", "all")
SITES = {"demo": "", "camvid": "camvid-drive", "dhcn": "dhcn-begin"}  # and the plan of sites.py
SIZES = {"camvid": (128, 160), "dhcn": (128, 128), "demo": (96, 128)}  # of the network's input
DEMO_FRAMES, DEMO_VAL = 160, 32


@dataclass(frozen=True)
class Job:
    """One curve: five rounds of one strategy on one site."""

    site: str
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.site}-{self.strategy}-{self.seed}"


def make_base(folder: Path, name: str, data: Path) -> Site:
    """Return a site all of whose training frames are labelled; made once."""
    if name != "demo":
        return make_labelled_site(folder, SITES[name], data / name, all_labels=True)
    finished = folder / "done.json"
    if finished.exists():
        return Site.open(folder)
    shutil.rmtree(folder, ignore_errors=True)
    size = DemoSize()
    scene = Scene(size.height, size.width)
    write_atomic(folder / "edgeseg.toml", to_toml(demo_configuration(size)).encode())
    site = Site.open(folder)
    for number, (split, count) in enumerate({"train": DEMO_FRAMES, "val": DEMO_VAL}.items()):
        for moment in summer(np.random.default_rng((7, number)), count):
            image, mask = scene.render(moment)
            stem = folder / "incoming" / split
            write_atomic(stem / "images" / f"{file_stem(moment)}.jpg", encode_jpeg(image, 92))
            write_atomic(stem / "masks" / f"{file_stem(moment)}.png", encode_png(mask))
        incoming = folder / "incoming" / split
        add_labels(site, incoming / "images", incoming / "masks", split=split, camera=split)
    shutil.rmtree(folder / "incoming")
    write_atomic(finished, b"{}")
    return site


def open_copy(base: Site, folder: Path) -> Site:
    """Return a copy of a site for one curve; images and masks are hard links."""
    if not (folder / "edgeseg.toml").exists():
        for part in ("frames", "masks"):
            shutil.copytree(base.root / part, folder / part, copy_function=os.link)
        shutil.copy(base.root / "edgeseg.toml", folder)  # last: it marks the copy as whole
    return Site.open(folder)


def put_labels(base: Site, site: Site, labelled: Sequence[str]) -> None:
    """Make frames labelled ones, and all others of the training part footage."""
    frames = []
    for frame in base.frames():
        if frame.split == "labelled" and frame.id not in labelled:
            frame = dataclasses.replace(frame, split="unlabelled", mask=None, origin="footage")
        frames.append(frame)
    site.save_frames(frames)


def choose(job: Job, site: Site, labelled: Sequence[str], even: Sequence[str]) -> list[str]:
    """Return the frames that are labelled next."""
    waiting = sorted(frame.id for frame in site.frames("unlabelled"))
    if job.strategy == "all":
        return waiting
    if job.strategy == "worth":
        return [entry.frame for entry in build_queue(site, "footage", PER_ROUND)]
    if job.strategy == "even":
        return [frame_id for frame_id in even if frame_id not in labelled][:PER_ROUND]
    if job.strategy == "random":
        random = np.random.default_rng((job.seed, len(labelled)))
        return [waiting[place] for place in random.choice(len(waiting), PER_ROUND, replace=False)]
    return _farthest(site, job.seed)


def _farthest(site: Site, seed: int) -> list[str]:
    """Greedy k-center: each frame is the one farthest from all that are labelled or chosen."""
    table, frames = FrameTable(site, "pixels-1"), site.frames("unlabelled", "labelled")
    table.fill(frames, describe_pixels, NullReporter(), "")
    pool = [place for place, frame in enumerate(frames) if frame.mask is None]
    labelled = [place for place, frame in enumerate(frames) if frame.mask is not None]
    return [frames[place].id for place in farthest_points(table.rows(frames), pool, labelled, seed)]


def farthest_points(
    features: NDArray[np.float32], pool: Sequence[int], labelled: Sequence[int], seed: int
) -> list[int]:
    """Return places of the pool, each the farthest from all that are labelled or chosen.

    Args:
        features: (N, D).
        pool, labelled: Places among the N.
        seed: Draws the first where nothing is labelled.
    """
    points = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    taken, chosen = list(labelled), list[int]()
    while len(chosen) < PER_ROUND:
        if taken:
            apart = ((points[pool][:, None] - points[taken]) ** 2).sum(2).min(1)
            chosen.append(pool[int(np.argmax(apart))])
        else:
            chosen.append(pool[int(np.random.default_rng(seed).integers(len(pool)))])
        taken.append(chosen[-1])
    return chosen


def even_order(base: Site, seed: int) -> list[str]:
    """Return all frames such that the first 5, 10, ... of them are evenly spaced over time."""
    frames = sorted(base.frames("labelled"), key=lambda frame: (frame.source, frame.time))
    start = np.random.default_rng(seed).random()
    # multiples of the golden ratio: any first few fill the circle evenly
    places = (start + np.arange(4 * len(frames)) * 0.6180339887498949) % 1
    return list(dict.fromkeys(frames[int(place * len(frames))].id for place in places))


def touched_pixels(base: Site, site: Site, chosen: Sequence[str]) -> dict[str, float] | None:
    """Return shares of labelled pixels to touch: after a prediction, after filling one class."""
    masks = StartingMasks(site)
    truth_of = {frame.id: frame for frame in base.frames("labelled")}
    wrong = labelled = largest = 0
    try:
        for frame in site.frames("unlabelled"):
            if frame.id not in chosen:
                continue
            start = masks.of(frame)
            if start is None:
                return None
            truth = read_mask(base.path(str(truth_of[frame.id].mask)))
            counts = np.bincount(truth[truth != IGNORE], minlength=1)
            labelled += int(counts.sum())
            largest += int(counts.max())
            wrong += int(((start.mask != truth) & (truth != IGNORE)).sum())
    finally:
        masks.close()
    return {"prediction": wrong / labelled, "filled": 1 - largest / labelled}


def run_job(job: Job, options: argparse.Namespace) -> None:
    """Run the rounds of a curve that are not done yet."""
    done = [entry for entry in read_rounds(options.out) if entry["job"] == job.name]
    if len(done) == ROUNDS:
        return
    base = make_base(options.out / "bases" / job.site, job.site, options.data)
    site = open_copy(base, options.out / "curves" / job.name)
    even = even_order(base, job.seed)
    labelled = [frame_id for entry in done for frame_id in entry["chosen"]]
    for number in range(len(done) + 1, ROUNDS + 1):
        put_labels(base, site, labelled)
        run = site.root / "runs" / "train" / f"exp{number}"
        before = run.with_name(f"exp{number - 1}")
        note = site.root / f"chosen-{number}.json"
        if not note.exists():
            chosen = choose(job, site, labelled, even)
            touched = touched_pixels(base, site, chosen) if job.strategy != "all" else None
            write_atomic(note, json.dumps({"chosen": chosen, "touched": touched}).encode())
        told: dict[str, Any] = json.loads(note.read_bytes())
        labelled += told["chosen"]
        put_labels(base, site, labelled)
        settings = {
            "method": "suponly",
            "encoder": "mobilenetv2_100",
            "weights": str(options.weights.resolve()),
            "imgsz": SIZES[job.site],
            "steps": options.steps,
            "eval_every": options.steps,
            "checkpoint_every": 50,
            "batch": 4,
            "encoder_lr": 5e-4,
            "decoder_lr": 2e-3,
            "ema": 0.95,
            "workers": 1,
            "seed": job.seed,
        }
        config = site.config.train.model_copy(update=settings)
        with progress_bar() as bar:
            result = train(
                site,
                type(config).model_validate(config.model_dump()),
                run,
                resume=True,
                init=before if number > 1 else None,
                report=bar,
            )
        entry = {
            "job": job.name,
            **dataclasses.asdict(job),
            "round": number,
            "labels": len(labelled),
            "miou": result.miou,
            **told,
        }
        with open(options.out / "rounds.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")
        print(f"{job.name}: {len(labelled)} labels, mIoU {result.miou:.2f}", flush=True)
        for old in sorted(run.parent.iterdir()):
            if old.name not in (run.name, before.name):
                shutil.rmtree(old)


def read_rounds(out: Path) -> list[dict[str, Any]]:
    """Return the finished rounds."""
    path = out / "rounds.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report(out: Path) -> str:
    """Return the tables, and write curve-SITE.svg beside the results."""
    rounds = read_rounds(out)
    lines = []
    for site in SITES:
        of_site = [entry for entry in rounds if entry["site"] == site]
        if not of_site:
            continue
        lines += [f"\n{site}: mIoU on val, mean (lowest to highest) of the seeds", ""]
        labels = sorted({entry["labels"] for entry in of_site})
        lines.append("| chosen by | " + " | ".join(f"{count} labels" for count in labels) + " |")
        lines.append("|---" * (len(labels) + 1) + "|")
        series = []
        for strategy in STRATEGIES:
            values: dict[int, list[float]] = defaultdict(list)
            for entry in of_site:
                if entry["strategy"] == strategy:
                    values[entry["labels"]].append(entry["miou"])
            cells = [_cell(values[count]) for count in labels]
            if any(values.values()):
                lines.append(f"| {strategy} | " + " | ".join(cells) + " |")
                known = [count for count in labels if values[count]]
                means = [float(np.mean(values[count])) for count in known]
                bands = [(min(values[count]), max(values[count])) for count in known]
                series.append(Series(strategy, known, means, bands))
        chart = line_chart(series, "labelled frames", "mIoU on val")
        write_atomic(out / f"curve-{site}.svg", chart.encode())
        for strategy in STRATEGIES:
            shares = [
                entry["touched"]
                for entry in of_site
                if entry["strategy"] == strategy and entry["touched"]
            ]
            if shares:
                mean = {key: np.mean([share[key] for share in shares]) for key in shares[0]}
                lines.append(
                    f"{strategy}: a person touches {100 * mean['prediction']:.1f} % of the pixels "
                    f"after a prediction, {100 * mean['filled']:.1f} % after filling the largest "
                    f"class ({len(shares)} rounds)"
                )
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Yield all curves, the first seed of each site first."""
    for seed in range(options.seeds):
        for site in options.sites:
            for strategy in options.strategies:
                yield Job(site, strategy, seed)


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with camvid/ and dhcn/")
    parser.add_argument("--weights", type=Path, help="MobileNetV2 encoder weights, safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sites", type=lambda text: text.split(","), default=list(SITES))
    parser.add_argument(
        "--strategies", type=lambda text: text.split(","), default=["worth", "random", "even"]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of the training of a round")
    parser.add_argument("--report", action="store_true", help="only report what there is")
    options = parser.parse_args()
    if not options.report:
        if options.data is None or options.weights is None:
            parser.error("--data and --weights are needed to run")
        options.out.mkdir(parents=True, exist_ok=True)
        for job in jobs(options):
            run_job(job, options)
    print(report(options.out))


if __name__ == "__main__":
    main()
