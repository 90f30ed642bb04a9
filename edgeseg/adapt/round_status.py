"""The rounds of a site at a glance: where each stands, what it was worth, and whether the champion
rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgeseg.adapt.publish import ancestry
from edgeseg.adapt.round_review import frames_awaiting_review
from edgeseg.adapt.round_state import RoundState, load_rounds
from edgeseg.errors import AdaptError, BundleError
from edgeseg.site import Site


@dataclass(frozen=True)
class RoundStatus:
    """One round, under the keys of `edgeseg adapt --status --json`.

    Attributes:
        number: The number of the round.
        started: The time of its first start.
        verdict: "published", "rolled back", "rejected", "stopped", "abandoned", or "open".
        step: The next step of an open round.
        reason: One sentence about the verdict.
        records: The number of selected records; None before the selection.
        before: mIoU of the champion of that time on the gate frames; None before the gate.
        after: mIoU of the challenger likewise.
        low: The lower end of the 95 % interval of their difference.
        high: Its upper end.
        fps: Frames a second of the challenger.
        bundle: The name of the published bundle.
        review: Frames that wait for a person; None unless the round waits for that.
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
    review: int | None = None


def list_rounds(site: Site) -> list[RoundStatus]:
    """Return every round, oldest first.

    Raises:
        AdaptError: A state file is damaged.
    """
    try:
        line = {bundle.path.name for bundle in ancestry(site)}
    except (AdaptError, BundleError):
        line = set()  # no champion: no round can be a part of it
    return [
        replace(_summarize(state, line), review=frames_awaiting_review(site, state))
        for state in load_rounds(site)
    ]


def _summarize(state: RoundState, line: set[str]) -> RoundStatus:
    """Return the status of a round; `line` holds the names of the champion and its ancestors."""
    outputs: dict[str, dict[str, Any]] = {  # Any: JSON values
        name: step.output for name, step in state.steps.items()
    }
    gate = outputs.get("gate", {})
    difference = gate.get("difference", {})
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
