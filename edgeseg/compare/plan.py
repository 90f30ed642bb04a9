"""The plan of a comparison: which methods with how many seeds, checked before anything is
written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compare.results import SUPERVISED_ONLY
from edgeseg.compare.variants import MethodVariant, parse_variant, variant_folder_name
from edgeseg.compare.worker import TrainingJob
from edgeseg.config import METHOD_NAMES, TrainConfig, validate_config
from edgeseg.config.method_catalogue import CATALOGUE, check_method, refuse_idle_keys
from edgeseg.data.site_needs import require_usable_labels
from edgeseg.errors import ConfigError, TrainError
from edgeseg.models import build_network
from edgeseg.processor import available_cores
from edgeseg.site import Site
from edgeseg.tracking import require_trackers
from edgeseg.training.initial_weights import refuse_frozen_random_encoder


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison to make: every method with the seeds `config.seed`, `config.seed + 1`, ...

    Attributes:
        config: The settings of every run; its method is of no account.
        methods: Names of methods, maybe with settings of their own (`MethodVariant.name`).
        seeds: The number of runs of each.
        parallel_runs: Runs at a time.
        threads: CPU threads of each run, 0 for torch's own choice.
        gpus: The GPUs that the runs are spread over, as `CUDA_VISIBLE_DEVICES` names them; without
            any, each run sees them all.
        ceiling: mIoU in percent that all labels would give, if that is known.
    """

    config: TrainConfig
    methods: tuple[str, ...]
    seeds: int
    parallel_runs: int = 1
    threads: int = 0
    gpus: tuple[str, ...] = ()
    ceiling: float | None = None

    def jobs(self, root: Path, out: Path) -> list[TrainingJob]:
        """Return the runs seed by seed, so that every method has a figure early.

        Args:
            root: The folder of the site.
            out: The folder of the comparison.
        """
        seeds = range(self.config.seed, self.config.seed + self.seeds)
        variants = [parse_variant(name, self.config) for name in self.methods]
        return [
            TrainingJob(
                root,
                run_config(self.config, variant, seed),
                out / f"{variant_folder_name(variant.name)}-{seed}",
                self.threads,
                variant=variant.name,
            )
            for seed in seeds
            for variant in variants
        ]


def run_config(config: TrainConfig, variant: MethodVariant, seed: int) -> TrainConfig:
    """Return the settings of one run.

    Args:
        config: The settings that all runs have in common.
        variant: The method with its own ones.
        seed: The seed of the run.
    """
    plugins = _plugins(config, variant.method)
    common = config.model_dump(mode="json") | {"seed": seed, "plugins": plugins}
    return validate_config(TrainConfig, variant.table(common), variant.name)


def plan_comparison(
    site: Site,
    config: TrainConfig,
    methods: Sequence[str],
    seeds: int,
    *,
    jobs: int = 1,
    threads: int = 0,
) -> ComparisonPlan:
    """Check and return what is to be compared; "suponly" is put first.

    Args:
        site: The site.
        config: The settings of every run.
        methods: Names or aliases of methods, maybe with settings of their own in brackets.
        seeds: Runs of each method.
        jobs: Runs at a time.
        threads: CPU threads of each run, 0 to share the cores among `jobs`.

    Raises:
        ConfigError: A method is unknown, a number cannot be, a tracker is not installed, or the
            configuration is none for a comparison.
        DataError: The site lacks labels or footage, or its labels teach or judge nothing.
        TrainError: The network cannot be built, or a method cannot work here.
    """
    variants = [parse_variant(name, config) for name in (SUPERVISED_ONLY, *methods)]
    chosen = {variant.name: variant for variant in variants}  # each once, in order
    _check_numbers(config, seeds, jobs, threads)
    classes = len(site.config.classes)
    settings = [run_config(config, variant, config.seed) for variant in chosen.values()]
    for variant, own in zip(chosen.values(), settings):
        check_method(own.method, own.plugins, classes)
        refuse_idle_keys(own.method, own.plugins, [key for key, _ in variant.settings])
        refuse_frozen_random_encoder(own, None)
    require_trackers(config.trackers)
    require_usable_labels(site, "val")
    if any(own.method != SUPERVISED_ONLY for own in settings):
        site.require("unlabelled")
    # A network that cannot be built is told now and not by every run.
    for arch, encoder, weights in dict.fromkeys(
        (own.arch, own.encoder, own.weights) for own in settings
    ):
        build_network(arch, encoder, classes, weights, size=config.imgsz)
    if threads == 0 and jobs > 1:
        threads = max(1, available_cores() // jobs)
    gpus = _visible_gpus() if jobs > 1 and config.device != "cpu" else ()
    without_method = config.model_copy(update={"method": SUPERVISED_ONLY})
    return ComparisonPlan(without_method, tuple(chosen), seeds, jobs, threads, gpus)


def idle_settings(plan: ComparisonPlan) -> list[str]:
    """Return a sentence for each common setting that does nothing in some of the methods.

    That suponly does not read what is about footage goes without saying.
    """
    methods: dict[str, list[str]] = {}  # in which a setting does nothing
    for name in plan.methods:
        variant = parse_variant(name, plan.config)
        if variant.method != SUPERVISED_ONLY:
            own = run_config(plan.config, variant, plan.config.seed)
            for key, value in own.idle_settings().items():
                methods.setdefault(f"train.{key} = {value}", []).append(name)
    return [f"{setting} does nothing in {', '.join(names)}" for setting, names in methods.items()]


def _check_numbers(config: TrainConfig, seeds: int, jobs: int, threads: int) -> None:
    """Refuse numbers that make no comparison.

    Raises:
        ConfigError: There are some.
    """
    if seeds < 1:
        raise ConfigError(
            f"--seeds is {seeds} but every method needs one run at least; give 1 or more, 3 to "
            "decide"
        )
    if jobs < 1 or threads < 0:
        raise ConfigError(
            "--jobs must be 1 or more and --threads 0 or more; leave them out for one run at a time"
        )
    if config.devices > 1 or config.nodes > 1:
        raise ConfigError(
            f"train.devices is {config.devices} and train.nodes {config.nodes} but a comparison "
            "trains each run on one device; leave both at 1, and have several runs at a time with "
            "--jobs"
        )


def method_obstacles(config: TrainConfig, classes: int) -> dict[str, str]:
    """Return for every method why it cannot work with so many classes and these plug-ins, or an
    empty text.
    """
    obstacles = {}
    for name in METHOD_NAMES:
        try:
            check_method(name, _plugins(config, name), classes)
            obstacles[name] = ""
        except TrainError as error:
            obstacles[name] = str(error)
    return obstacles


def _plugins(config: TrainConfig, method: str) -> tuple[str, ...]:
    """Return the plug-ins that the runs of a method have: those that do not label online, suponly
    among them, have none.
    """
    return config.plugins if CATALOGUE[method].plugins else ()


def _visible_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process sees, named so that a child can be told to see just one.

    For example, with CUDA_VISIBLE_DEVICES=3,5 they are ("3", "5"), and without it ("0", "1", ...).
    """
    import torch

    number, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(visible.split(",")[:number] if visible else map(str, range(number)))
