"""The gates of an export: what keeps a derived file out of the bundle.

A file is compared with the float file of the same network. Whether a whole new bundle may replace
the one that devices run is another gate, `edgeseg.adapt.gate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from edgeseg.bundle.flavours import FLAVOURS, Flavour, Gate
from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.library_verdicts import verdicts_of

Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics

OTHER_NETWORK = "choose another arch or encoder, or report this network as a fault of edgeseg"


class Fault(NamedTuple):
    """A reason to keep a file out of the bundle.

    Attributes:
        problem: What is wrong with the file, as the end of a sentence that begins with "it".
        remedy: What to do about it.
    """

    problem: str
    remedy: str


def refusal(flavour: Flavour, figures: Figures, config: ExportConfig) -> str | None:
    """Return why the file of `flavour` must not ship, in one sentence; None if it may.

    Args:
        figures: The figures of the file. Its speed, kernels and checklist are judged if measured.
    """
    spec = FLAVOURS[flavour]
    by_gate = {gate: GATES[gate](figures, config) for gate in spec.gates}
    faults = [fault for found in by_gate.values() for fault in found]
    if not faults:
        return None
    problems = " and ".join(fault.problem for fault in faults)
    remedies = " and ".join(dict.fromkeys(fault.remedy for fault in faults))
    only_accuracy = len(by_gate.get("accuracy", [])) == len(faults)
    if only_accuracy and spec.precision == "int8" and not config.qat:
        remedies = f"train its codes with --qat, or {remedies}"
    return f"{spec.file} was refused and left out of the bundle because it {problems}; {remedies}"


def accuracy_faults(figures: Figures, config: ExportConfig) -> list[Fault]:
    """Return what the file loses against the float one, beyond what is allowed."""
    faults = []
    if figures["drop"] > config.max_drop:
        before = figures["miou"] + figures["drop"]
        loss = (
            f"loses {figures['drop']:.2f} mIoU points on val ({before:.2f} to "
            f"{figures['miou']:.2f}), more than"
        )
        faults.append(Fault(f"{loss} --max-drop {config.max_drop:g}", "raise --max-drop"))
    worst = figures.get("worst_class")
    if worst is not None and worst["drop"] > config.max_class_drop:
        loss = f"loses {worst['drop']:.2f} IoU points of {worst['name']} on val, more than"
        faults.append(
            Fault(f"{loss} --max-class-drop {config.max_class_drop:g}", "raise --max-class-drop")
        )
    return faults


def excess_loss(figures: Figures, config: ExportConfig) -> float:
    """Return by how many points of mIoU and of the worst class the loss is beyond the bounds."""
    worst = figures.get("worst_class")
    class_drop = float(worst["drop"]) if worst else 0.0
    beyond_miou = max(float(figures["drop"]) - config.max_drop, 0.0)
    return beyond_miou + max(class_drop - config.max_class_drop, 0.0)


def speed_faults(figures: Figures, config: ExportConfig) -> list[Fault]:
    """Return whether the file is too slow to be worth its loss."""
    if figures.get("speedup", config.min_speedup) >= config.min_speedup:
        return []
    problem = (
        f"runs {figures['speedup']:.2f}x as fast as FP32 here, less than --min-speedup "
        f"{config.min_speedup:g}"
    )
    return [Fault(problem, "lower --min-speedup")]


def kernel_faults(figures: Figures, config: ExportConfig | None = None) -> list[Fault]:
    """Return whether ONNX Runtime computes in float what was meant to be in integers."""
    meant = figures.get("integer")
    computed = figures.get("quantised", meant)
    if meant is None or 0 < meant == computed:
        return []
    problem = f"has only {computed} of its {figures['convolutions']} convolutions in INT8"
    return [Fault(problem, "choose an arch of plain convolutions")]


def checklist_faults(figures: Figures, config: ExportConfig | None = None) -> list[Fault]:
    """Return whether TensorRT would refuse the file or run it in float, as the checklist tells."""
    findings = figures.get("checklist", {}).get("findings", {})
    return [
        Fault(f"fails point {number} of the TensorRT checklist ({sentences[0]})", OTHER_NETWORK)
        for number, sentences in findings.items()
    ]


def library_faults(figures: Figures, config: ExportConfig | None = None) -> list[Fault]:
    """Return whether a library of NVIDIA that was asked takes the file; for no target, that is.

    A child process that broke off while it asked is no verdict.
    """
    if config is not None and not config.ask_tensorrt:
        return []
    remedy = f"{OTHER_NETWORK}, or ship it unasked with --set export.ask_tensorrt=false"
    return [
        Fault(problem, remedy)
        for verdict in verdicts_of(figures)
        if verdict.refused
        for problem in list(verdict.problems())[:1]
    ]


GATES: dict[Gate, Callable[[Figures, ExportConfig], list[Fault]]] = {
    "accuracy": accuracy_faults,
    "speed": speed_faults,
    "kernels": kernel_faults,
    "checklist": checklist_faults,
    "library": library_faults,
}
