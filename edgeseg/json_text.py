"""JSON that every reader takes: what is no number is null.

Python writes NaN and Infinity as bare words, which are no JSON: jq, Go and JavaScript refuse the
whole file for one of them. All JSON of edgeseg comes from here, but for the headers of records
(`edgeseg.runtime.framelog.record_header`), which refuse such numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any


def to_json(
    value: Any,  # Any: whatever json can hold
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    default: Callable[[Any], Any] | None = None,
    ensure_ascii: bool = True,
) -> str:
    """Return a value as JSON, with null for each float that is not finite.

    Args:
        value: What json can hold.
        indent: Spaces of each level; one line without.
        sort_keys: Order the keys of tables.
        default: Turns what json cannot hold into what it can.
        ensure_ascii: Write other letters as escapes; without, the text is YAML as well.
    """
    plain = _without_nan(value)
    return json.dumps(
        plain,
        indent=indent,
        sort_keys=sort_keys,
        default=default,
        allow_nan=False,
        ensure_ascii=ensure_ascii,
    )


def _without_nan(value: Any) -> Any:  # Any: see `to_json`
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
