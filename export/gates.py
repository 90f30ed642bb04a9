"""What keeps a derived file out of the bundle: lost accuracy, lost time, or convolutions that stayed float."""

from __future__ import annotations

from typing import Any

from edgeseg.config import ExportConfig


def refusal(
    file: str, found: dict[str, Any], config: ExportConfig
) -> str | None:  # Any: see edgeseg.export.verify.figures
    """Why `file` must not ship, in one sentence with the figures; None if it may.

    Args:
        found: the file's figures; `speedup` and `quantised` are judged where there are any.
    """
    faults, cures = [], []
    if found["drop"] > config.max_drop:
        before = found["miou"] + found["drop"]
        faults.append(
            f"loses {found['drop']:.2f} mIoU points on val ({before:.2f} to {found['miou']:.2f}), "
            f"more than --max-drop {config.max_drop:g}"
        )
        cures.append("calibrate with more footage or raise --max-drop")
    if found.get("speedup", config.min_speedup) < config.min_speedup:
        faults.append(
            f"runs {found['speedup']:.2f}x as fast as FP32 here, less than --min-speedup {config.min_speedup:g}"
        )
        cures.append("lower --min-speedup")
    if found.get("quantised") != found.get("convolutions"):
        faults.append(
            f"has only {found['quantised']} of its {found['convolutions']} convolutions in INT8 in ONNX Runtime"
        )
        cures.append("choose an arch of plain convolutions")
    if not faults:
        return None
    return f"{file} was refused and left out of the bundle because it {' and '.join(faults)}; {', or '.join(cures)}"
