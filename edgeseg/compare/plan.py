"""What is compared: checked before anything is written, written down once, and never changed under
way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.atomic_files import remove_leftovers, write_atomic, write_json
from edgeseg.compare.recommendation import find_causes
from edgeseg.compare.results import SUPERVISED_ONLY
from edgeseg.compare.worker import TrainingJob
from edgeseg.config import ALIASES, METHOD_NAMES, TrainConfig, to_toml, validate_config
from edgeseg.config.method_catalogue import CATALOGUE, check_method
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.doctor import examine
from edgeseg.errors import ConfigError, TrainError
from edgeseg.models import build_network
from edgeseg.site import Frame, Site
from edgeseg.training.initial_weights import refuse_frozen_random_encoder

PLAN_FILE = "comparison.json"


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared: every method with the seeds `config.seed`, `config.seed + 1`, ...

    Attributes:
        config: of every run; its method is of no account.
        at_once: runs at a time.
        threads: CPU threads of each run, 0 for torch's own choice.
        gpus: what the runs are spread over, by the names of `CUDA_VISIBLE_DEVICES`; without any
            they see them all.
    """

    config: TrainConfig
    methods: tuple[str, ...]
    seeds: int
    parallel_runs: int = 1
    threads: int = 0
    gpus: tuple[str, ...] = ()

    def jobs(self, root: Path, out: Path) -> list[TrainingJob]:
        """Seed by seed, so that every method has a figure early."""
        base = self.config.model_dump(mode="json")
        return [
            TrainingJob(
                root,
                validate_config(
                    TrainConfig,
                    base
                    | {"method": method, "seed": seed, "plugins": _plugins(self.config, method)},
                    "the comparison",
                ),
                out / f"{method}-{seed}",
                self.threads,
            )
            for seed in range(self.config.seed, self.config.seed + self.seeds)
            for method in self.methods
        ]


@dataclass(frozen=True)
class ComparisonSetup:
    """What was compared, on what data, where.

    Attributes:
        pixels: labelled pixels of each class.
        causes: what may have kept footage from helping here.
        frames: number of frames in each split.
    """

    config: TrainConfig
    methods: Sequence[str]
    seeds: int
    pixels: Mapping[str, int]
    causes: Sequence[str]
    frames: Mapping[str, int]
    machine: Mapping[str, str]


def plan_comparison(
    site: Site,
    config: TrainConfig,
    methods: Sequence[str],
    seeds: int,
    *,
    jobs: int = 1,
    threads: int = 0,
) -> ComparisonPlan:
    """What is to be compared, before anything is written.

    Args:
        jobs: runs at a time.
        threads: CPU threads of each run, 0 to share the cores among `jobs`.

    Raises:
        ConfigError: a method is unknown, a number cannot be, or the configuration is none for a
            comparison.
        DataError: the site lacks labels or footage.
        TrainError: the network cannot be built, or a method cannot work here.
    """
    chosen = tuple(dict.fromkeys([SUPERVISED_ONLY, *(ALIASES.get(name, name) for name in methods)]))
    unknown = [name for name in chosen if name not in METHOD_NAMES]
    if unknown:
        raise ConfigError(
            f"there is no method {' and no method '.join(unknown)}; choose among {', '.join(METHOD_NAMES)}"
        )
    if seeds < 1:
        raise ConfigError(
            f"--seeds is {seeds} but every method needs one run at least; give 1 or more, 3 to decide"
        )
    if jobs < 1 or threads < 0:
        raise ConfigError(
            "--jobs must be 1 or more and --threads 0 or more; leave them out for one run at a time"
        )
    if config.devices > 1 or config.nodes > 1:
        raise ConfigError(
            f"train.devices is {config.devices} and train.nodes {config.nodes} but a comparison trains each run on one "
            "device; leave both at 1, and have several runs at a time with --jobs"
        )
    for name in chosen:
        check_method(name, _plugins(config, name), len(site.config.classes))
    refuse_frozen_random_encoder(config, None)
    site.require("labelled")
    site.require("val")
    if len(chosen) > 1:
        site.require("unlabelled")
    # Says now what every run would.
    build_network(
        config.arch, config.encoder, len(site.config.classes), config.weights, size=config.imgsz
    )
    share = threads or (max(1, _cores() // jobs) if jobs > 1 else 0)
    spread = _gpus() if jobs > 1 and config.device != "cpu" else ()
    return ComparisonPlan(
        config.model_copy(update={"method": SUPERVISED_ONLY}), chosen, seeds, jobs, share, spread
    )


def method_obstacles(config: TrainConfig, classes: int) -> dict[str, str]:
    """Every method, with the reason why it cannot work with so many classes and these plug-ins, or
    nothing.
    """
    found = {}
    for name in METHOD_NAMES:
        try:
            check_method(name, _plugins(config, name), classes)
            found[name] = ""
        except TrainError as error:
            found[name] = str(error)
    return found


def stored_plan(out: Path) -> tuple[tuple[str, ...], int]:
    """The methods and the number of seeds that the comparison in `out` was begun with; none in an
    empty folder.
    """
    try:
        begun = json.loads((out / PLAN_FILE).read_bytes())
    except FileNotFoundError:
        return (), 0
    return tuple(begun["methods"]), int(begun["seeds"])


def claim_folder(site: Site, wanted: ComparisonPlan, out: Path, *, resume: bool) -> ComparisonSetup:
    """Refuse a folder that holds something else, write down what is compared, and look at the
    labels.

    Raises:
        TrainError: it holds another comparison.
        DataError: labelled frames are missing or damaged.
    """
    remove_leftovers(out)
    data = _digest(site)
    if (out / "config.toml").exists():
        _refuse(wanted, out, data, resume=resume)
    facts = _facts(site, wanted)
    write_json(out / PLAN_FILE, {"methods": wanted.methods, "seeds": wanted.seeds, "data": data})
    write_atomic(out / "config.toml", to_toml(wanted.config).encode())
    return facts


def _refuse(wanted: ComparisonPlan, out: Path, data: str, *, resume: bool) -> None:
    """Make sure that the comparison in `out` can go on as `wanted`.

    Raises:
        TrainError: it cannot.
    """
    if not resume:
        raise TrainError(
            f"{out} already holds a comparison; choose another folder, or continue it with --resume"
        )
    keys = sorted(
        set(to_toml(wanted.config).splitlines())
        ^ set((out / "config.toml").read_text().splitlines())
    )
    if keys:
        raise TrainError(
            f"{out} was begun with another configuration ({'; '.join(keys[:4])}); "
            "undo the change or start a new comparison"
        )
    methods, seeds = stored_plan(out)
    if not set(methods) <= set(wanted.methods) or seeds > wanted.seeds:
        raise TrainError(
            f"{out} was begun with {', '.join(methods)} and {seeds} seeds; methods and seeds can be added to it but "
            "not taken away"
        )
    if json.loads((out / PLAN_FILE).read_bytes())["data"] != data:
        raise TrainError(
            f"the site's frames have changed since {out} was begun, its runs could not be compared with new ones; "
            "start a new comparison without --resume"
        )


def _facts(site: Site, wanted: ComparisonPlan) -> ComparisonSetup:
    labelled = site.require("labelled")
    counts = SiteFrameReader(site, labelled, wanted.config.imgsz, memory=0).class_pixels(
        len(site.config.classes)
    )
    pixels = {name: int(number) for name, number in zip(site.config.class_names, counts)}
    machine = examine(site.root)
    versions = {package.name: package.version for package in machine.packages}
    return ComparisonSetup(
        config=wanted.config,
        methods=wanted.methods,
        seeds=wanted.seeds,
        pixels=pixels,
        causes=find_causes(
            pixels,
            len(labelled),
            [f.camera for f in labelled],
            [f.camera for f in site.frames("unlabelled")],
        ),
        frames={split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")},
        machine={
            "processor": f"{machine.processor}, {machine.cores} cores",
            "GPU": "; ".join(machine.gpus) or "none",
            "system": machine.system,
            "python": machine.python,
            "torch": versions.get("torch") or "-",
            "edgeseg": machine.edgeseg,
        },
    )


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plugins(config: TrainConfig, method: str) -> tuple[str, ...]:
    """The plug-ins that the runs of a method have: the floor and others that do not label online
    have none.
    """
    return config.plugins if CATALOGUE[method].plugins else ()


def _gpus() -> tuple[str, ...]:
    """The GPUs that this process sees, named so that one of its own can be told to see just one."""
    import torch

    number, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")[:number] if named else map(str, range(number)))


def _digest(site: Site) -> str:
    """What the runs learn from and are judged by: the frames of three splits, the masks as they
    are, the classes.
    """
    lines = [
        f"{each.split} {each.id} {_mask(site, each)}"
        for each in site.frames("labelled", "unlabelled", "val")
    ]
    return hashlib.sha256(
        "\n".join([*sorted(lines), *site.config.class_names]).encode()
    ).hexdigest()


def _mask(site: Site, frame: Frame) -> str:
    path = site.path(frame.mask) if frame.mask else None
    if path is None or not path.exists():  # a missing one is told by those who read it
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
