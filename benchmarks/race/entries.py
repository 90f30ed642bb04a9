"""The networks whose accuracy is compared, and how each is trained.

    random      both from random weights, on the same labels, with the same number of frames seen
    own best    each with the best that its own recipe gives from what can be had: edgeseg's site
                model and what is distilled from it; the peer from its published weights, or for as
                long as both of edgeseg's trainings together

"Frames seen" are the frames of all batches, as augmented: four frames that the peer mixes into one
count once.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.race.forms import Form, own_forms, peer_forms
from benchmarks.race.peer_data import convert_data_set, count_frames, mirror_frames
from benchmarks.race.results import Json
from benchmarks.race.speed import RaceError, environment
from benchmarks.sites import DATA_SETS, SITES, make_site
from edgeseg.config import DistillConfig, TrainConfig, validate_config
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.progress import LineReporter
from edgeseg.site import Site

PEER_JOBS = Path(__file__).with_name("peer_jobs.py")
CALIBRATION_FRAMES = 300  # of the peer's INT8; it recommends more, and has val by default
PROGRESS = "race:"  # begins the lines that peer_jobs.py prints for us
Keep = Callable[[], None]  # saves what is known


@dataclass(frozen=True)
class Plan:
    """What all trainings have in common.

    Attributes:
        work: The folder of everything.
        data_set: A name of `benchmarks.sites.DATA_SETS`.
        data: Folder with images/{train,val} and labels/{train,val}.
        size: (height, width).
        frames: Frames that each training sees.
        student: arch and encoder of the edge model.
        teacher: Encoder of the site model.
        weights: Where encoders start in the entries that do not start at random, by the encoder's
            name; "imagenet" for those that are not named.
        model: The peer's network.
        peer_weights: The peer's published weights, if there are any here.
        peer_python: The interpreter of the peer's environment.
        batch: Labelled frames of a step of edgeseg's.
        peer_batch: The same of the peer's, whose default is 16.
        seed: Of the trainings.
        threads: That trainings use.
    """

    work: Path
    data_set: str
    data: Path
    size: tuple[int, int]
    frames: int
    student: tuple[str, str]
    teacher: str
    model: str
    peer_python: str | None
    weights: dict[str, str] = field(default_factory=dict)
    peer_weights: Path | None = None
    batch: int = 4
    peer_batch: int = 16
    seed: int = 0
    threads: int = 1

    def budget(self, **own: Any) -> Json:  # Any: what JSON holds
        """Return what a second start must give again."""
        common = {"size": list(self.size), "seed": self.seed, "data": self.data_set}
        return common | own


def site_of(plan: Plan) -> Site:
    """Return the site with every training frame labelled, and mirrored as footage; made once.

    Distillation wants footage, and there is none but the frames that both sides learn from. A site
    takes no frame twice, so they are mirrored, as both sides' augmentation does too.
    """
    name = next(name for name, each in SITES.items() if each.data_set == plan.data_set)
    site = make_site(plan.work / "site", name, plan.data, all_labels=True)
    if not site.frames("unlabelled"):
        mirrored = mirror_frames(plan.data / "images" / "train", plan.work / "mirrored")
        add_footage(site, [mirrored], camera="train")
    return site


def peer_data_of(plan: Plan) -> Path:
    """Return the description of the same frames as the peer reads them; made once."""
    data_set = DATA_SETS[plan.data_set]
    names = [name for name, _ in data_set.classes]
    return convert_data_set(plan.data, plan.work / "peer-data", names, data_set.ignore)


def own_budget(plan: Plan, frames: int, *, distilled: bool) -> Json:
    """Return the budget of one of edgeseg's entries."""
    facts = {"frames": frames, "student": "/".join(plan.student), "batch": plan.batch}
    if distilled:
        facts |= {"teacher": plan.teacher, "weights": "encoders pretrained"}
    return plan.budget(**facts)


def peer_budget(plan: Plan, frames: int, start: str) -> Json:
    """Return the budget of one of the peer's entries."""
    return plan.budget(frames=frames, model=plan.model, start=start, batch=plan.peer_batch)


def train_own(plan: Plan, frames: int, entry: Json, keep: Keep, *, distilled: bool) -> None:
    """Train and export the edge model, or go on with it.

    Args:
        plan: What all trainings have in common.
        frames: Frames that each training sees: one, or of the distilled entry two.
        entry: What is known of it; "run" and "bundle" are added.
        keep: Called after each addition.
        distilled: Whether a site model is trained first.
    """
    if "bundle" in entry:
        return
    import torch

    from edgeseg.export.exporter import export
    from edgeseg.training.distill import distill
    from edgeseg.training.train import train

    torch.set_num_threads(plan.threads)
    site, report = site_of(plan), LineReporter()
    steps = max(2, math.ceil(frames / plan.batch))
    common: Json = {"imgsz": list(plan.size), "steps": steps, "batch": plan.batch}
    common |= {"seed": plan.seed, "checkpoint_every": min(200, steps)}
    common["eval_every"] = min(steps, max(100, steps // 20))
    arch, encoder = plan.student
    alone = {"method": "suponly", "plugins": ()}
    if distilled:
        teacher = folder(site, entry, "teacher", "train", keep)
        start = {"encoder": plan.teacher, "weights": plan.weights.get(plan.teacher, "imagenet")}
        values = site.config.train.model_dump() | common | alone | start
        train(
            site,
            validate_config(TrainConfig, values, "site model"),
            teacher,
            resume=True,
            report=report,
        )
    run = folder(site, entry, "run", "distill" if distilled else "train", keep)
    common |= {"arch": arch, "encoder": encoder}
    if distilled:
        common |= {"weights": plan.weights.get(encoder, "imagenet")}
        values = site.config.distill.model_dump() | common
        distill(
            site,
            validate_config(DistillConfig, values, arch),
            teacher,
            run,
            resume=True,
            report=report,
        )
    else:
        values = site.config.train.model_dump() | common | alone | {"weights": "none"}
        values["encoder_lr"] = site.config.train.decoder_lr
        train(site, validate_config(TrainConfig, values, arch), run, resume=True, report=report)
    gates = {"int8": True, "max_drop": 100.0, "max_class_drop": 100.0, "min_speedup": 0.0}
    settings = site.config.export.model_copy(update=gates | {"ask_tensorrt": False})
    result = export(site, settings, run, report=report)
    entry["bundle"] = str(result.bundle.relative_to(site.root))
    entry["frames"] = steps * plan.batch * (2 if distilled else 1)
    keep()


def folder(site: Site, entry: Json, key: str, verb: str, keep: Keep) -> Path:
    """Return the run folder that an entry remembers, or a new one."""
    if key not in entry:
        entry[key] = str(site.make_run_folder(verb).relative_to(site.root))
        keep()
    return site.root / str(entry[key])


def train_peer(plan: Plan, frames: int, entry: Json, keep: Keep, start: str) -> None:
    """Train and export the peer's network, or go on with it.

    Args:
        plan: What all trainings have in common.
        frames: Frames that it sees.
        entry: What is known of it; "weights" and "frames" are added.
        keep: Called after each addition.
        start: The description of the network, or a file of weights.
    """
    if "weights" in entry:
        return
    data = peer_data_of(plan)
    out = plan.work / "peer-runs" / f"{Path(start).stem}-{frames}-{plan.seed}"
    labelled = count_frames(plan.data, "train")
    arguments = ["--model", start, "--data", str(data), "--out", str(out)]
    arguments += ["--frames", str(frames), "--labelled", str(labelled)]
    arguments += ["--side", str(max(plan.size)), "--batch", str(plan.peer_batch)]
    arguments += ["--workers", str(plan.threads), "--seed", str(plan.seed)]
    done = out / "done.json"
    if not done.exists():
        run_peer(plan, ["train", *arguments])
    weights = out / "weights" / "best.pt"
    height, width = plan.size
    arguments = ["export", "--weights", str(weights), "--data", str(data)]
    arguments += ["--size", str(height), str(width)]
    arguments += ["--calibration", str(min(labelled, CALIBRATION_FRAMES, frames))]
    run_peer(plan, arguments)
    entry |= json_of(done)
    entry["weights"] = str(weights.relative_to(plan.work))
    keep()


def json_of(path: Path) -> Json:
    """Return the content of a JSON file."""
    import json

    return dict(json.loads(path.read_bytes()))


def run_peer(plan: Plan, arguments: list[str]) -> None:
    """Run a job in the peer's environment, show what it tells, and log the rest.

    Raises:
        RaceError: There is no such environment, or the job failed.
    """
    if plan.peer_python is None:
        raise RaceError("the peer needs its environment; give --peer-python, or --make-peer-env")
    log = plan.work / "peer.log"
    command = [plan.peer_python, str(PEER_JOBS), *arguments]
    with log.open("a", buffering=1) as lines:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(plan.work, plan.threads),
        )
        assert process.stdout is not None
        for line in process.stdout:
            lines.write(line)
            if line.startswith(PROGRESS):
                print(f"peer{line.removeprefix(PROGRESS).rstrip()}", flush=True)
    if process.wait():
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise RaceError(
            f"the peer's {arguments[0]} ended with {last[0] if last else 'no word'}; "
            f"{log} has the rest"
        )


def forms_of(plan: Plan, name: str, entry: Json) -> list[Form]:
    """Return the exported files of an entry."""
    if "bundle" in entry:
        bundle = plan.work / "site" / str(entry["bundle"])
        return own_forms({name: bundle}, ["cpu"])
    return peer_forms(name, plan.work / str(entry["weights"]))
