"""The training settings of papers, as far as edgeseg has them; benchmarks/PROTOCOLS.md tells what
it has not.

Every number is from the configuration of the official repository, which that page names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATCH = 14  # pixels of DINOv2's patches, of which sides are multiples; elsewhere it is 32
EVALUATIONS = 40  # in a run


@dataclass(frozen=True)
class Protocol:
    """How a paper trains on one data set.

    Attributes:
        methods: edgeseg's names of what the paper trains, its own method first.
        crop: Side of the paper's crops in pixels.
        batch: Labelled images of a step on all GPUs, and as many unlabelled ones.
        encoder: timm's name of the encoder.
        epochs: Passes over the unlabelled images.
        steps: Optimizer steps instead, where the paper fixes those.
        settings: Further keys of [train].
    """

    methods: tuple[str, ...]
    crop: int
    batch: int
    encoder: str
    epochs: int = 0
    steps: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)  # Any: TOML values

    def count_steps(self, images: int) -> int:
        """Return the length of a run: 80 epochs over 10,490 images by 8 are 80 * 1311 steps."""
        return self.steps or self.epochs * max(1, images // self.batch)

    def side(self, encoder: str) -> int:
        """Return the crop's side, rounded to what the encoder takes: 513 becomes 512."""
        step = PATCH if f"patch{PATCH}" in encoder else 32
        return max(step, round(self.crop / step) * step)

    def floor(self) -> str:
        """Return the row of the paper's supervised baseline, which is no average over time."""
        return "suponly" if self.settings.get("ema") == 0 else "suponly[ema=0]"


# The labels are learned without weights of classes, footage from the first step on, unless a
# protocol says otherwise, and by the teacher's labels alone. Where the papers evaluate the trained
# network, ema is 0.
COMMON = {
    "class_balance": 0.0,
    "warmup": 0.0,
    "ramp": 0.0,
    "scale": [0.5, 2.0],
    "propagation": False,
}
RESNET_101 = "resnet101c"  # with three 3x3 convolutions at the front, as the papers' ResNets have
DINOV2 = {
    "arch": "dpt",
    "encoder_lr": 5e-6,
    "decoder_lr": 2e-4,
    "weight_decay": 0.01,
    "ema": 0.996,
    "confidence": 0.95,
}
PROTOCOLS: dict[str, dict[str, Protocol]] = {
    "voc": {
        "u2pl": Protocol(
            ("u2pl", "cutmix_mt", "mean_teacher"),
            crop=513,
            batch=16,
            encoder=RESNET_101,
            epochs=80,
            settings={"warmup": 1 / 80, "ema": 0.99},
        ),
        "ael": Protocol(("ael",), crop=513, batch=16, encoder=RESNET_101, epochs=80),
        "cps": Protocol(
            ("cps_cutmix", "cps", "fpl_cps", "fpl_cps_cutmix"),
            crop=512,
            batch=8,
            encoder=RESNET_101,
            steps=39_682,
            settings={"ema": 0.0},
        ),
        "stpp": Protocol(
            ("stpp", "st"),
            crop=321,
            batch=8,
            encoder="resnet101.tv_in1k",
            epochs=120,
            settings={"ema": 0.0},
        ),
        "unimatch": Protocol(
            ("unimatch", "fixmatch"),
            crop=321,
            batch=8,
            encoder=RESNET_101,
            epochs=80,
            settings={"ema": 0.0, "confidence": 0.95},
        ),
        "unimatch_v2": Protocol(
            ("unimatch_v2", "unimatch", "fixmatch"),
            crop=518,
            batch=16,
            encoder="vit_small_patch14_dinov2",
            epochs=60,
            settings=DINOV2,
        ),
    },
    "cityscapes": {
        "u2pl": Protocol(
            ("u2pl", "u2pl_ael", "cutmix_mt", "mean_teacher"),
            crop=769,
            batch=16,
            encoder=RESNET_101,
            epochs=200,
            settings={"ema": 0.99},
        ),
        "ael": Protocol(("ael", "fpl_ael"), crop=769, batch=16, encoder=RESNET_101, epochs=200),
        "cps": Protocol(
            ("cps_cutmix", "cps", "fpl_cps", "fpl_cps_cutmix"),
            crop=800,
            batch=8,
            encoder=RESNET_101,
            steps=44_610,
            settings={"ema": 0.0, "unlabelled_weight": 5.0},
        ),
        "stpp": Protocol(
            ("stpp", "st"),
            crop=721,
            batch=8,
            encoder="resnet50.tv_in1k",
            epochs=360,
            settings={"ema": 0.0},
        ),
        "unimatch": Protocol(
            ("unimatch", "fixmatch"),
            crop=801,
            batch=8,
            encoder=RESNET_101,
            epochs=240,
            settings={"ema": 0.0, "confidence": 0.0},
        ),
        "unimatch_v2": Protocol(
            ("unimatch_v2", "unimatch", "fixmatch"),
            crop=798,
            batch=8,
            encoder="vit_small_patch14_dinov2",
            epochs=180,
            settings=DINOV2,
        ),
    },
}


def train_settings(
    protocol: Protocol, images: int, size: tuple[int, int], encoder: str, weights: str
) -> dict[str, Any]:  # Any: TOML values
    """Return the table [train] of a site.

    Args:
        protocol: The paper's settings.
        images: The number of images that an epoch passes over, the unlabelled ones.
        size: (height, width) that frames are trained at.
        encoder: timm's name of the encoder.
        weights: What it starts from, "imagenet" or a file.
    """
    steps = protocol.count_steps(images)
    return {
        "method": protocol.methods[0],
        "encoder": encoder,
        "weights": weights,
        "imgsz": list(size),
        "steps": steps,
        "batch": protocol.batch,
        "batch_unlabelled": protocol.batch,
        "eval_every": max(1, steps // EVALUATIONS),
        "checkpoint_every": 1000,
        **COMMON,
        **protocol.settings,
    }
