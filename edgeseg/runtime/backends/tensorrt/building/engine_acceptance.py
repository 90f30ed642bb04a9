"""Decides whether an engine that was just built may be used: by golden frames and INT8 layers."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from edgeseg.runtime.backends.engine_cache import EngineEntry
from edgeseg.runtime.backends.tensorrt.layer_inspection import LayerInspection


def accept_engine(
    bundle: Bundle,
    flavour: Flavour,
    parts: dict[str, str],
    measured: dict[str, Any],  # Any: as `build_worker.build_and_measure`
) -> EngineEntry:
    """Return the cache entry of an engine that may be used.

    Args:
        parts: The key of the engine.
        measured: What was found out about it.

    Raises:
        EngineError: It gives other classes than the bundle's FP32 file gave at export, or runs
            nothing in INT8.
    """
    inspection = LayerInspection.load(measured["evidence"])
    file, least = FLAVOURS[flavour].file, minimum_agreement(bundle, flavour)
    if not measured["agreement"] >= least:
        raise EngineError(
            f"the engine of {file} gives only {measured['agreement']:.2f} % of the golden pixels "
            f"the class that they had at export, less than {least:.2f} %, so it is not used; try "
            "another --precision, or report it with `edgeseg doctor`"
        )
    warnings = list(measured["notes"])
    if FLAVOURS[flavour].precision == "int8":
        if inspection.runs_in_float():
            raise EngineError(
                f"none of the {inspection.convolutions} convolutions of {file} runs in INT8 here, "
                "so the engine is not used; use --precision fp16, and report it with "
                "`edgeseg doctor`"
            )
        warnings += inspection.warnings(_int8_convolutions(bundle, flavour))
    return EngineEntry(
        parts=parts,
        agreement=measured["agreement"],
        least=least,
        ms=measured["ms"],
        evidence=asdict(inspection),
        warnings=tuple(warnings),
        power=power_mode(),
        built=utc_now(),
    )


def _int8_convolutions(bundle: Bundle, flavour: Flavour) -> int | None:
    """Return how many convolutions the file has in INT8, None where the manifest does not say."""
    figures = bundle.manifest.figures.get(flavour)
    number = figures.get("integer") if isinstance(figures, dict) else None
    return number if isinstance(number, int) else None


def utc_now() -> str:
    """Return the time in UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def power_mode() -> str:
    """Return the number of a Jetson's power mode; empty elsewhere."""
    try:
        return Path("/var/lib/nvpmodel/status").read_text(errors="replace").strip()[:64]
    except OSError:
        return ""
