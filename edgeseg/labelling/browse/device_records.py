"""What devices said about frames that came home in their logs: `rounds/records.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.site import Site, finite_number, read_json_lines


@dataclass(frozen=True)
class DeviceRecord:
    """A device's account of a frame.

    Attributes:
        score: Share of unreliable pixels, 0..1.
        reason: Why the device kept the frame.
        device: Its name.
        model: The bundle that it ran.
    """

    score: float
    reason: str
    device: str
    model: str


def read_device_records(site: Site) -> dict[str, DeviceRecord]:
    """Return the accounts by frame id; damaged lines are passed over."""
    records: dict[str, DeviceRecord] = {}
    for entry in read_json_lines(site.root / "rounds" / "records.jsonl"):
        score = finite_number(entry, "score")
        if score is not None:
            reason, device, model = (_text(entry, key) for key in ("reason", "device", "model"))
            records[_text(entry, "frame")] = DeviceRecord(score, reason, device, model)
    return records


def _text(entry: dict[str, Any], key: str) -> str:  # Any: what JSON can hold
    return str(entry.get(key, ""))[:200]
