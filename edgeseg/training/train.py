"""Training of the site model: one method by name, in one training or in stages."""

from __future__ import annotations

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
    classes = len(site.config.classes)
    check_method(settings.method, settings.plugins, classes)
    refuse_frozen_random_encoder(settings, init)
    rep_dim = settings.rep_dim if needs_representation(settings) else 0

    def make_student() -> Network:
        return build_initial_network(settings, classes, init, rep_dim, root=site.root, run=folder)

    def make_second_network() -> Network:
        torch.manual_seed(settings.seed + SECOND_NETWORK_SEED)
        network = make_student()
        if init:
            # Two networks that begin as one would stay one.
            network.classifier.reset_parameters()
        return network

    def make_context(pixels: Tensor) -> MethodContext:
        return MethodContext(make_student(), pixels, settings, make_second_network)

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
        rep_dim=rep_dim,
        focus=focus,
        title=f"train {settings.method}",
    )
    return fit(spec, resume=resume, report=report)
