"""The rounds of a site at a glance: where each stands, what it was worth, and whether the champion
rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.adapt import publish
from edgeseg.adapt.round_state import RoundState, load_rounds
from edgeseg.errors import AdaptError, BundleError
from edgeseg.site import Site


@dataclass(frozen=True)
class RoundStatus:
    """One round.

    Attributes:
        verdict: published, rolled back, rejected, stopped, abandoned, or "open".
        step: what an open round does next.
        before, after: mIoU on the gate frames of the champion then and of the challenger; None
        before the gate. low, high: 95 % interval of the difference.
    """

    number: int
    started: str
    verdict: str
    step: str | None
    reason: str
    records: int | None
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    fps: float | None
    bundle: str | None


def list_rounds(site: Site) -> list[RoundStatus]:
    """Every round, oldest first.

    Raises:
        AdaptError: a state file is damaged.
    """
    try:
        line = {bundle.path.name for bundle in publish.ancestry(site)}
    except (AdaptError, BundleError):
        line = set()
    return [_status(state, line) for state in load_rounds(site)]


def _status(state: RoundState, line: set[str]) -> RoundStatus:
    outputs: dict[str, dict[str, Any]] = {
        name: done.output for name, done in state.steps.items()
    }  # Any: JSON values
    gate, difference = outputs.get("gate", {}), outputs.get("gate", {}).get("difference", {})
    bundle = outputs.get("publish", {}).get("bundle")
    verdict = state.verdict or "open"
    return RoundStatus(
        number=state.number,
        started=state.started,
        verdict="rolled back" if verdict == "published" and bundle not in line else verdict,
        step=state.next_step,
        reason=state.reason,
        records=outputs.get("select", {}).get("records"),
        before=gate.get("before", {}).get("miou"),
        after=gate.get("after", {}).get("miou"),
        low=difference.get("low"),
        high=difference.get("high"),
        fps=gate.get("after", {}).get("fps"),
        bundle=bundle,
    )
