"""Images a second of an evaluation: reading, network, confusion matrix."""

from __future__ import annotations

import time

import torch

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.scene import make_site
from benchmarks.gpu.settings import SMALL_ENCODER, Settings
from edgeseg.models import build_network
from edgeseg.models.model_files import LoadedModel, ModelCard
from edgeseg.training.model_evaluation import evaluate_frames

FRAMES = 96


def measure(encoder: str, settings: Settings) -> Finding:
    """Evaluate a network of random weights on frames of the site's own size."""
    frames = 4 if settings.rehearse else FRAMES
    site = make_site(settings.folder / f"{encoder}-site", settings.side, val=frames)
    card = ModelCard(
        arch="deeplabv3plus",
        encoder=encoder,
        rep_dim=0,
        classes=site.config.classes,
        height=settings.side,
        width=settings.side,
    )
    network = build_network(card.arch, encoder, len(card.classes)).eval()
    model = LoadedModel(network.to(memory_format=torch.channels_last), card)
    some = site.require("val")
    evaluate_frames(model, site, some[: frames // 4], device=settings.device)
    began = time.perf_counter()
    counts = evaluate_frames(model, site, some, device=settings.device)
    seconds = time.perf_counter() - began
    complete = int(counts.sum()) == frames * settings.side**2
    text = f"{frames / seconds:.1f} images/s of {settings.side}x{settings.side}, float32"
    return Finding(complete, text, {"images_per_second": frames / seconds, "frames": frames})


PART = Part(
    "evaluate",
    lambda settings: [SMALL_ENCODER if settings.rehearse else "resnet50"],
    measure,
    seconds=15,
)
