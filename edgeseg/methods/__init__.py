"""Training methods by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.methods.cutmix_mt import CutMixMT
from edgeseg.methods.mean_teacher import MeanTeacher
from edgeseg.methods.method import Batch, Method, Schedule, StepResult
from edgeseg.methods.suponly import SupOnly
from edgeseg.methods.u2pl import U2PL
from edgeseg.models import Network

__all__ = ["METHODS", "REP_METHODS", "Batch", "Method", "StepResult"]

REP_METHODS = frozenset({"u2pl"})  # those that need the representation head


def _schedule(config: TrainConfig) -> Schedule:
    return Schedule(config.unlabelled_weight, config.warmup, config.ramp)


def _suponly(student: Network, pixels: Tensor, config: TrainConfig) -> Method:
    return SupOnly(student, pixels, config.ema, config.class_balance)


def _mean_teacher(student: Network, pixels: Tensor, config: TrainConfig) -> Method:
    return MeanTeacher(student, pixels, config.ema, config.class_balance, schedule=_schedule(config))


def _cutmix_mt(student: Network, pixels: Tensor, config: TrainConfig) -> Method:
    return CutMixMT(
        student, pixels, config.ema, config.class_balance, schedule=_schedule(config),
        confidence=config.confidence, cutmix=config.cutmix, colour=config.strong,
    )  # fmt: skip


def _u2pl(student: Network, pixels: Tensor, config: TrainConfig) -> Method:
    return U2PL(
        student, pixels, config.ema, config.class_balance, settings=config.u2pl, rep_dim=config.rep_dim,
        schedule=_schedule(config), cutmix=config.cutmix, colour=config.strong,
    )  # fmt: skip


METHODS: dict[str, Callable[[Network, Tensor, TrainConfig], Method]] = {
    "suponly": _suponly,
    "mean_teacher": _mean_teacher,
    "cutmix_mt": _cutmix_mt,
    "u2pl": _u2pl,
}
