"""Whether a training that was interrupted ends on the GPU with the weights of a whole one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.scene import small_site
from benchmarks.gpu.settings import Settings
from edgeseg.progress import NullReporter
from edgeseg.training.train import train

DETERMINISTIC = "deterministic"


class Interrupted(Exception):
    """The run was to end here."""


class _InterruptAt(NullReporter):
    """Ends a training once so many steps are done, behind its checkpoint."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._left -= amount
        if self._left == 0:
            raise Interrupted


def items(settings: Settings) -> Sequence[str]:
    """Method, and whether torch was told to be deterministic."""
    if settings.rehearse:
        return [f"u2pl {DETERMINISTIC}"]
    return [f"{name} {mode}" for name in ("u2pl", "cutmix_mt") for mode in ("plain", DETERMINISTIC)]


def measure(item: str, settings: Settings) -> Finding:
    """Train twice as a whole and once with an interruption, and compare the weights.

    Without bit-exactness the row passes only where two whole runs differ as well: then it is the
    GPU's arithmetic, whose sums come in any order, and not what a checkpoint forgets.
    """
    name, mode = item.split()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # what cuBLAS needs to be deterministic
    torch.use_deterministic_algorithms(mode == DETERMINISTIC, warn_only=True)
    site, steps = small_site(settings.folder / "small-site"), 4 if settings.rehearse else 8
    config = settings.small_config(
        settings.device.type,
        method=name,
        steps=steps,
        eval_every=steps,
        checkpoint_every=steps // 2,
    )
    folder = settings.folder / f"resume-{name}-{mode}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole, again = (train(site, config, folder / run).path for run in ("whole", "again"))
        resumed = folder / "resumed"
        try:
            train(site, config, resumed, report=_InterruptAt(steps // 2))
            return Finding(False, "the training could not be interrupted")
        except Interrupted:
            train(site, config, resumed, resume=True)
    loose = sorted({str(w.message).split()[0] for w in caught if "deterministic" in str(w.message)})
    return compare(_weights(whole), _weights(again), _weights(resumed), loose)


def compare(
    whole: dict[str, Tensor],
    again: dict[str, Tensor],
    resumed: dict[str, Tensor],
    loose: Sequence[str] = (),
) -> Finding:
    """Hold the resumed run against two whole ones; `loose` names operations without an order."""
    between_whole, to_resumed = _distance(whole, again), _distance(whole, resumed)
    figures = {
        "bit_exact": to_resumed == 0,
        "whole_runs_equal": between_whole == 0,
        "difference": to_resumed,
        "difference_of_whole_runs": between_whole,
        "not_deterministic": list(loose),
    }
    if to_resumed == 0:
        return Finding(True, "resumed to the same weights, bit for bit", figures)
    text = (
        f"NOT bit-exact: weights differ by up to {to_resumed:.1e}, those of two whole runs by "
        f"{between_whole:.1e}"
    )
    if loose:
        text += f"; no deterministic {', '.join(loose)}"
    return Finding(to_resumed <= 10 * between_whole, text, figures)


def _weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "weights" / "last.safetensors")


def _distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of any two numbers."""
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


PART = Part("resume", items, measure, seconds=15)
