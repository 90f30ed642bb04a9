"""Files of JSON lines, read past what a kill cut off or somebody damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeseg.disk.faults import named


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:  # Any: what JSON can hold
    """Yield the entries of a file, none if it is missing; what is no JSON object is passed over."""
    if not path.is_file():
        return
    with named(path), open(path, "rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def finite_number(entry: Mapping[str, Any], key: str) -> float | None:  # Any: what JSON can hold
    """Return a number of an entry; None where it is missing, none, or beyond all floats."""
    value = entry.get(key)
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
