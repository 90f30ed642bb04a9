"""Training of the site model: one method by name, in one training or in stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.config.method_catalogue import check_method
from edgeseg.methods import METHODS, STAGED, Method, MethodContext, needs_representation
from edgeseg.models import Network
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site
from edgeseg.training.fit import TrainingSpec, fit
from edgeseg.training.initial_weights import build_initial_network, refuse_frozen_random_encoder
from edgeseg.training.run_folder import RunResult, remember_origins
from edgeseg.training.stages.stage_runner import SiteStages

# Added to the seed for the second network of methods that train two.
SECOND_NETWORK_SEED = 1_000_003


def train(
    site: Site,
    config: TrainConfig | None = None,
    out: Path | None = None,
    *,
    resume: bool = False,
    init: Path | None = None,
    focus: frozenset[str] = frozenset(),
    report: ProgressReporter | None = None,
) -> RunResult:
    """Train the site model.

    Args:
        site: The site whose frames are read.
        config: The method and its settings; `site.config.train` if left out.
        out: The run folder; a new `runs/train/expN` if left out, the newest one to resume.
        resume: Continue the run in `out` from its newest checkpoint; a finished run is returned as
            it is.
        init: A run whose best weights are the start.
        focus: Ids of unlabelled frames that make up half of every unlabelled batch.
        report: Shows the progress.

    Raises:
        TrainError: the run cannot start or cannot go on.
        DataError: frames are missing or damaged.
    """
    settings = config or site.config.train
    folder = out or site.run_folder("train", resume=resume)
    origins = remember_origins(site.root, folder, {"init": init}, resume=resume, report=report)
    init = origins["init"]
    check_method(settings.method, settings.plugins, len(site.config.classes))
    refuse_frozen_random_encoder(settings, init)
    make_context = context_maker(site, settings, folder, init)
    report = report or NullReporter()
    if settings.method in STAGED:
        stages = SiteStages(
            site, settings, folder, make_context, resume=resume, focus=focus, report=report
        )
        STAGED[settings.method](stages)
        return stages.result()

    def make_method(pixels: Tensor) -> Method:
        return METHODS[settings.method](make_context(pixels))

    spec = TrainingSpec(
        site=site,
        config=settings,
        out=folder,
        make_method=make_method,
        rep_dim=representation_width(settings),
        focus=focus,
        title=f"train {settings.method}",
    )
    return fit(spec, resume=resume, report=report)


def context_maker(
    site: Site, config: TrainConfig, run: Path, init: Path | None
) -> Callable[[Tensor], MethodContext]:
    """Return what makes a method's parts out of the labelled pixels of each class, (C,).

    Args:
        site: The site whose classes are learned.
        config: The method and its settings.
        run: The run folder; a run that has begun keeps its network.
        init: A run whose best weights are the start.
    """
    classes, rep_dim = len(site.config.classes), representation_width(config)

    def make_student() -> Network:
        return build_initial_network(config, classes, init, rep_dim, root=site.root, run=run)

    def make_second_network() -> Network:
        torch.manual_seed(config.seed + SECOND_NETWORK_SEED)
        network = make_student()
        if init:
            # Two networks that begin as one would stay one.
            network.classifier.reset_parameters()
        return network

    def make_context(pixels: Tensor) -> MethodContext:
        return MethodContext(make_student(), pixels, config, make_second_network)

    return make_context


def representation_width(config: TrainConfig) -> int:
    """Return the width of the student's representation head, 0 where the method needs none."""
    return config.rep_dim if needs_representation(config) else 0
