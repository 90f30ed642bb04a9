"""edgeseg's edge model against Ultralytics' yolo26n-sem: speed, and accuracy at equal budgets.

    python benchmarks/peer_race.py speed --data DATA/camvid --clip CLIP.mp4 --work WORK \\
        --peer-python PEER/bin/python --threads 1 2
    python benchmarks/peer_race.py train --data DATA/camvid --work WORK --peer-python ... \\
        --frames 36700 --threads 2 --weights resnet50=FILE.safetensors
    python benchmarks/peer_race.py accuracy    # the same arguments as train
    python benchmarks/peer_race.py table --work WORK --markdown

Ultralytics is under the AGPL-3.0, so it stays in an environment of its own that nothing of edgeseg
imports: give its interpreter with --peer-python, or have --make-peer-env install it into
WORK/peer-env. DATA is a folder with images/{train,val} and labels/{train,val} of CamVid's 11
classes. What is found is kept as it comes in WORK/race.json, the tables in WORK/race.markdown; a
second start goes on where the first was, in the middle of a training too.

`speed` lets processes that hold one form each take turns, round by round, in a new order each:
decode, resize, infer and class map as each side's own program does it ("end to end"), and the file
alone in its engine on frames made ready beforehand ("network alone"). Every process is kept on as
many cores as it has threads. On a busy machine look at the processor time per frame and at the
ratios, which are medians over rounds. Speed hangs on no weights, so networks that have hardly been
trained are raced unless --bundle names edgeseg's own. edgeseg's graph also gives entropy, score and
area of each class; the peer's program resizes its class map to the frame.

`train` trains four networks, `--only` some of them:

    edgeseg, random     DeepLabV3+ on MobileNetV2 (--student) from random weights, labels alone
    peer, random        yolo26n-sem from random weights by its default recipe (mosaic and all)
    edgeseg, own best   a site model (--teacher) on the same labels, and what is distilled from it;
                        encoders start from --weights ENCODER=FILE, else from installed packages
    peer, own best      from its published weights (--peer-weights), or, where they are not to be
                        had, from random ones for as long as both of edgeseg's trainings together

--frames are the frames that a training sees; 36700 are 100 epochs of CamVid, the peer's default.
On two cores of machine B (RESULTS.md) that takes a day a network or more. edgeseg ships its last
weights; of the peer its own choice is taken, the epoch that was best on val (its "best.pt").

`accuracy` counts confusions on the official val, 101 frames, at the labels' size, by the same code
for the class maps of both sides, for every exported file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.race.accuracy import evaluate
from benchmarks.race.entries import Plan, forms_of, own_budget, peer_budget, train_own, train_peer
from benchmarks.race.environment import make_environment
from benchmarks.race.forms import OPENVINO, Form, named_paths, own_forms, plain_forms
from benchmarks.race.peer_data import take_few
from benchmarks.race.plain_networks import LRASPP, export_lraspp
from benchmarks.race.results import Json, Results
from benchmarks.race.speed import Course, RaceError, race
from benchmarks.race.tables import RaceTable, accuracy_table, speed_tables
from benchmarks.sites import DATA_SETS
from edgeseg.errors import EdgesegError
from edgeseg.runtime.backends.base import BackendChoice

UNTRAINED_FRAMES = 16  # enough for weights, running statistics and ranges to be there
Training = tuple[Json, Callable[[Json, Callable[[], None]], None]]  # budget, and what trains


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage."""
    options = parse(arguments)
    try:
        options.work.mkdir(parents=True, exist_ok=True)
        results = Results(options.work)
        if options.make_peer_env:
            options.peer_python = make_environment(options.work / "peer-env")
        if options.stage == "speed":
            race_speed(options, results)
        elif options.stage == "train":
            train(options, results)
        elif options.stage == "accuracy":
            count(options, results)
        show(options, results)
    except EdgesegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=["speed", "train", "accuracy", "table"])
    parser.add_argument("--work", type=Path, required=True, help="everything is kept here")
    parser.add_argument("--data", type=Path, help="folder with images/ and labels/")
    parser.add_argument("--data-set", choices=sorted(DATA_SETS), default="camvid")
    parser.add_argument("--size", type=int, nargs=2, default=[384, 512], metavar=("H", "W"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--peer-python", help="interpreter of an environment with Ultralytics")
    parser.add_argument("--make-peer-env", action="store_true", help="install it into WORK")
    parser.add_argument("--model", default="yolo26n-sem", help="the peer's network")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    race_options = parser.add_argument_group("speed")
    race_options.add_argument("--clip", type=Path, help="a video of more frames than a round")
    race_options.add_argument("--rounds", type=int, default=9)
    race_options.add_argument("--round-frames", type=int, default=60)
    race_options.add_argument(
        "--bundle", nargs="*", default=[], metavar="NAME=FOLDER", help="edgeseg's edge models"
    )
    race_options.add_argument(
        "--onnx", nargs="*", default=[], metavar="NAME=FILE", help="further networks, alone"
    )
    race_options.add_argument("--lraspp", action="store_true", help="torchvision's LR-ASPP too")
    race_options.add_argument("--no-peer", action="store_true", help="edgeseg's forms alone")
    budget = parser.add_argument_group("train and accuracy")
    budget.add_argument("--frames", type=int, default=36_700, help="that each training sees")
    budget.add_argument("--only", nargs="*", metavar="NAME", help="some of the trainings")
    budget.add_argument("--student", default="deeplabv3plus/mobilenetv2_100")
    budget.add_argument("--teacher", default="resnet50", help="encoder of the site model")
    budget.add_argument("--weights", nargs="*", default=[], metavar="ENCODER=FILE")
    budget.add_argument("--peer-weights", type=Path, help="the peer's published weights")
    budget.add_argument("--batch", type=int, default=4, help="of edgeseg's steps")
    budget.add_argument("--peer-batch", type=int, default=16, help="of the peer's")
    budget.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.stage != "table" and options.data is None:
        parser.error("--data names the folder with images/ and labels/")
    if options.stage == "speed" and options.clip is None:
        parser.error("--clip names the video to race on")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    """Return what all trainings have in common."""
    arch, _, encoder = options.student.partition("/")
    return Plan(
        work=options.work,
        data_set=options.data_set,
        data=options.data,
        size=tuple(options.size),
        frames=options.frames,
        student=(arch, encoder),
        teacher=options.teacher,
        model=options.model,
        peer_python=options.peer_python,
        weights={name: str(path) for name, path in named_paths(options.weights).items()},
        peer_weights=options.peer_weights,
        batch=options.batch,
        peer_batch=options.peer_batch,
        seed=options.seed,
        threads=max(options.threads),
    )


def trainings(plan: Plan) -> dict[str, Training]:
    """Return the budget of each training by its name, and the function that does it."""
    random, twice = f"{plan.model}.yaml", 2 * plan.frames
    published = str(plan.peer_weights.resolve()) if plan.peer_weights else random
    best_frames = plan.frames if plan.peer_weights else twice
    start = Path(published).name if plan.peer_weights else "random"
    return {
        "edgeseg, random": (
            own_budget(plan, plan.frames, distilled=False),
            partial(train_own, plan, plan.frames, distilled=False),
        ),
        "peer, random": (
            peer_budget(plan, plan.frames, "random"),
            partial(train_peer, plan, plan.frames, start=random),
        ),
        "edgeseg, own best": (
            own_budget(plan, plan.frames, distilled=True),
            partial(train_own, plan, plan.frames, distilled=True),
        ),
        "peer, own best": (
            peer_budget(plan, best_frames, start),
            partial(train_peer, plan, best_frames, start=published),
        ),
    }


def train(options: argparse.Namespace, results: Results) -> None:
    """Do the trainings that are missing."""
    known = trainings(plan_of(options))
    wrong = [name for name in options.only or () if name not in known]
    if wrong:
        raise RaceError(f"--only names {wrong[0]!r}; the trainings are {'; '.join(known)}")
    for name in options.only or known:
        budget, work = known[name]
        entry = results.entry(name, budget)
        work(entry, results.save)
        results.save()
        print(f"{name} is trained and exported", flush=True)


def count(options: argparse.Namespace, results: Results) -> None:
    """Evaluate the trainings that are finished."""
    plan = plan_of(options)
    for name, entry in results.content["accuracy"].items():
        if "bundle" in entry or "weights" in entry:
            evaluate(plan, name, entry)
            results.save()


def race_speed(options: argparse.Namespace, results: Results) -> None:
    """Race all forms with each number of threads."""
    forms = speed_forms(options, results)
    facts = [form.facts() for form in forms]
    for threads in options.threads:
        course = Course(
            clip=str(options.clip.resolve()),
            size=tuple(options.size),
            threads=threads,
            frames=options.round_frames,
            rounds=options.rounds,
        )
        seen = results.rounds(course, facts)
        stored = results.content["speed"][str(threads)]

        def keep(versions: dict[str, str], stored: Json = stored) -> None:
            stored["versions"] |= versions
            stored["load"] = [*stored.get("load", []), round(os.getloadavg()[0], 1)]
            results.save()

        race(forms, course, options.peer_python, options.work / "racers", seen, keep)


def speed_forms(options: argparse.Namespace, results: Results) -> list[Form]:
    """Return all forms; networks that nobody named are made with hardly any training."""
    size, few = tuple(options.size), UNTRAINED_FRAMES
    bundles, work = named_paths(options.bundle), options.work / "untrained"
    data = take_few(options.data, work / "data", few)
    plan = replace(plan_of(options), work=work, data=data, peer_batch=4)
    made = results.content.setdefault("untrained", {})
    if not bundles:
        entry = made.setdefault(f"{options.student} {size}", {})
        train_own(plan, few, entry, results.save, distilled=False)
        bundles = {options.student: plan.work / "site" / entry["bundle"]}
    backends = [name for name in get_args(BackendChoice) if name != OPENVINO or find_spec(OPENVINO)]
    forms = own_forms(bundles, backends)
    if options.peer_python is None:
        forms = [form for form in forms if form.engine != OPENVINO]
    if not options.no_peer:
        entry = made.setdefault(f"{options.model} {size}", {})
        train_peer(plan, few, entry, results.save, f"{options.model}.yaml")
        forms += forms_of(plan, options.model, entry)
    plain = named_paths(options.onnx)
    if options.lraspp:
        target = plan.work / f"lraspp-{size[0]}x{size[1]}.onnx"
        plain[LRASPP] = export_lraspp(target, len(DATA_SETS[plan.data_set].classes), size)
    further = plain_forms({name: path.resolve() for name, path in plain.items()})
    if options.peer_python is None:
        further = [form for form in further if form.engine != OPENVINO]
    return forms + further


def show(options: argparse.Namespace, results: Results) -> None:
    """Print the tables, and keep them as Markdown beside the figures."""
    classes = [name for name, _ in DATA_SETS[options.data_set].classes]
    tables: list[RaceTable] = speed_tables(results.content["speed"])
    accuracy = accuracy_table(results.content["accuracy"], classes)
    tables += [accuracy] if accuracy.rows else []
    text = "\n".join(table.markdown() for table in tables)
    (options.work / "race.markdown").write_text(text)
    if options.markdown:
        print(text)
    else:
        for table in tables:
            table.show()


if __name__ == "__main__":
    sys.exit(main())
