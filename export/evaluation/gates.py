"""What keeps a derived file out of the bundle: lost accuracy, lost time, convolutions that stayed
float, TensorRT.
"""

from __future__ import annotations

from typing import Any

from edgeseg.config import ExportConfig

Fault = tuple[str, str]  # what is wrong, and how to mend it


def refusal(
    file: str, found: dict[str, Any], config: ExportConfig
) -> str | None:  # Any: see edgeseg.export.evaluation.figures.figures
    """Why `file` must not ship, in one sentence with the figures; None if it may.

    Args:
        found: the file's figures; `speedup` and `quantized` are judged where there are any.
    """
    lost = inaccurate(found, config)
    faults = [*lost, *slow(found, config), *unfused(found), *unbuildable(found)]
    if not faults:
        return None
    what, cures = zip(*faults)
    ways = " and ".join(dict.fromkeys(cures))
    if len(lost) == len(faults) and "integer" in found and not config.qat:
        ways = f"train its codes with --qat, or {ways}"
    return f"{file} was refused and left out of the bundle because it {' and '.join(what)}; {ways}"


def inaccurate(found: dict[str, Any], config: ExportConfig) -> list[Fault]:  # Any: as `refusal`
    """What the file sees worse than the float one, beyond what is allowed."""
    faults = []
    if found["drop"] > config.max_drop:
        before = found["miou"] + found["drop"]
        lost = f"loses {found['drop']:.2f} mIoU points on val ({before:.2f} to {found['miou']:.2f}), more than"
        faults.append((f"{lost} --max-drop {config.max_drop:g}", "raise --max-drop"))
    worst = found.get("worst_class")
    if worst is not None and worst["drop"] > config.max_class_drop:
        lost = f"loses {worst['drop']:.2f} IoU points of {worst['name']} on val, more than"
        faults.append(
            (f"{lost} --max-class-drop {config.max_class_drop:g}", "raise --max-class-drop")
        )
    return faults


def excess(found: dict[str, Any], config: ExportConfig) -> float:  # Any: as `refusal`
    """By how many points of mIoU and of the worst class the file loses more than is allowed."""
    drop, worst = float(found["drop"]), found.get("worst_class")
    of_class = float(worst["drop"]) if worst else 0.0
    return max(drop - config.max_drop, 0.0) + max(of_class - config.max_class_drop, 0.0)


def slow(found: dict[str, Any], config: ExportConfig) -> list[Fault]:  # Any: as `refusal`
    """Whether the file is not worth its loss."""
    if found.get("speedup", config.min_speedup) >= config.min_speedup:
        return []
    what = f"runs {found['speedup']:.2f}x as fast as FP32 here, less than --min-speedup {config.min_speedup:g}"
    return [(what, "lower --min-speedup")]


def unfused(found: dict[str, Any]) -> list[Fault]:  # Any: as `refusal`
    """Whether ONNX Runtime computes in float what was meant to be integers."""
    integer = found.get("integer")
    if integer is None or 0 < integer == found.get("quantised", integer):
        return []
    ran = found.get("quantised", integer)
    what = f"has only {ran} of its {found['convolutions']} convolutions in INT8"
    return [(what, "choose an arch of plain convolutions")]


def unbuildable(found: dict[str, Any]) -> list[Fault]:  # Any: as `refusal`
    """Whether TensorRT would refuse the file or run it in float, as far as the checklist tells."""
    findings = found.get("checklist", {}).get("findings", {})
    cure = "choose another arch or encoder, or report this network as a fault of edgeseg"
    return [
        (f"fails point {number} of the TensorRT checklist ({all_[0]})", cure)
        for number, all_ in findings.items()
    ]
