"""Training methods by name."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.config import TrainConfig
from edgeseg.methods.ael import ael, fpl_ael
from edgeseg.methods.baselines.advssl import advssl
from edgeseg.methods.baselines.cac import cac
from edgeseg.methods.baselines.cct import cct
from edgeseg.methods.baselines.dmt import dmt
from edgeseg.methods.baselines.dsbn import dsbn
from edgeseg.methods.baselines.ecs import ecs
from edgeseg.methods.baselines.gct import gct
from edgeseg.methods.baselines.pc2seg import pc2seg
from edgeseg.methods.baselines.pseudoseg import pseudoseg
from edgeseg.methods.baselines.s4gan import s4gan
from edgeseg.methods.baselines.s4l import s4l
from edgeseg.methods.classmix import classmix
from edgeseg.methods.cps import cps, cps_cutmix, fpl_cps, fpl_cps_cutmix
from edgeseg.methods.cutmix_mt import cutmix_mt
from edgeseg.methods.fixmatch import fixmatch
from edgeseg.methods.mean_teacher import mean_teacher
from edgeseg.methods.method import Batch, Kit, Method, StepResult
from edgeseg.methods.naive_student import naive_student
from edgeseg.methods.noisy_student import noisy_student
from edgeseg.methods.psmt import psmt
from edgeseg.methods.st import st
from edgeseg.methods.staged import Staged
from edgeseg.methods.stpp import stpp
from edgeseg.methods.suponly import suponly, suponly_strong
from edgeseg.methods.u2pl import u2pl, u2pl_ael
from edgeseg.methods.ucc import ucc
from edgeseg.methods.unimatch import unimatch
from edgeseg.methods.unimatch_v2 import unimatch_v2

__all__ = ["METHODS", "STAGED", "Batch", "Kit", "Method", "StepResult", "needs_representation"]

METHODS: dict[str, Callable[[Kit], Method]] = {
    "suponly": suponly,
    "suponly_strong": suponly_strong,
    "mean_teacher": mean_teacher,
    "cutmix_mt": cutmix_mt,
    "classmix": classmix,
    "fixmatch": fixmatch,
    "ael": ael,
    "u2pl": u2pl,
    "u2pl_ael": u2pl_ael,
    "cps": cps,
    "cps_cutmix": cps_cutmix,
    "fpl_cps": fpl_cps,
    "fpl_cps_cutmix": fpl_cps_cutmix,
    "fpl_ael": fpl_ael,
    "psmt": psmt,
    "ucc": ucc,
    "unimatch": unimatch,
    "unimatch_v2": unimatch_v2,
    "cct": cct,
    "gct": gct,
    "cac": cac,
    "pseudoseg": pseudoseg,
    "pc2seg": pc2seg,
    "ecs": ecs,
    "s4gan": s4gan,
    "advssl": advssl,
    "s4l": s4l,
}

STAGED: dict[str, Staged] = {
    "st": st,
    "stpp": stpp,
    "naive_student": naive_student,
    "noisy_student": noisy_student,
    "dmt": dmt,
    "dsbn": dsbn,
}


def needs_representation(config: TrainConfig) -> bool:
    """Whether the network needs a representation head."""
    return config.method in ("u2pl", "u2pl_ael", "pc2seg") or "u2pl_contrast" in config.plugins
