"""Training the site model: one method by name, in one training or in stages."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.config.method_catalogue import check
from edgeseg.methods import METHODS, STAGED, Method, MethodContext, needs_representation
from edgeseg.models import Network, build_network
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site
from edgeseg.training.run_folder import RunResult, remember_origins
from edgeseg.training.stage_runner import SiteStages
from edgeseg.training.trainer import fit, load_initial_weights, refuse_frozen_random_encoder

SECOND = 1_000_003  # added to the seed for the second network of methods that train two


def train(
    site: Site,
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    focus: frozenset[str] = frozenset(),
    report: ProgressReporter | None = None,
) -> RunResult:
    """Train the site model into the run folder `out`.

    Args:
        resume: continue the run in `out` from its newest checkpoint; a finished run is returned as
            it is.
        init: a run whose best weights are the start.
        focus: ids of unlabelled frames that make up half of every unlabelled batch.

    Raises:
        TrainError: the run cannot start or cannot go on.
        DataError: frames are missing or damaged.
    """
    init = remember_origins(out, {"init": init}, resume=resume)["init"]
    classes = len(site.config.classes)
    check(config.method, config.plugins, classes)
    refuse_frozen_random_encoder(config, init)
    rep_dim = config.rep_dim if needs_representation(config) else 0

    def network(seed: int | None = None) -> Network:
        if seed is not None:
            torch.manual_seed(seed)
        weights = "none" if init else config.weights
        built = build_network(config.arch, config.encoder, classes, weights, rep_dim, config.imgsz)
        if init:
            load_initial_weights(built, init, config)
            if seed is not None:
                built.classifier.reset_parameters()  # two networks that begin as one would stay one
        built.save_memory(freeze_encoder=config.freeze_encoder, checkpointing=config.checkpointing)
        return built

    def kit(pixels: Tensor) -> MethodContext:
        return MethodContext(network(), pixels, config, lambda: network(config.seed + SECOND))

    report = report or NullReporter()
    if config.method in STAGED:
        stages = SiteStages(site, config, out, kit, resume=resume, focus=focus, report=report)
        STAGED[config.method](stages)
        return stages.result()

    def method(pixels: Tensor) -> Method:
        return METHODS[config.method](kit(pixels))

    title = f"train {config.method}"
    return fit(
        site,
        config,
        out,
        method,
        rep_dim=rep_dim,
        resume=resume,
        focus=focus,
        report=report,
        title=title,
    )
