"""The review of a round: it waits until a person has seen the frames that are worth most.

With `adapt.review = N`, the N most valuable of the selected frames stand in `rounds/NNNN/
review.json` with the reasons, and the round goes on once each of them was labelled or skipped.
Labels that come in meanwhile are trained on by the very round. What a model gets wrong and is sure
of, no pseudo-label mends.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.adapt.round_context import RoundContext, RoundStepResult
from edgeseg.adapt.round_state import RoundState, load_rounds, round_folder
from edgeseg.errors import AdaptError
from edgeseg.labelling.frame_marks import read_marks
from edgeseg.labelling.worth import QueuedFrame, order_by_worth, round_lists
from edgeseg.site import Site

REVIEW_COMMAND = "edgeseg label --queue round"


def review(round: RoundContext) -> RoundStepResult:
    """Run the step "review".

    Raises:
        AdaptError: Frames still wait for a person.
    """
    if round.review == 0:
        return RoundStepResult({"asked": 0})
    asked = _frames_asked_for(round)
    waiting = _waiting(round.site, asked)
    if waiting:
        raise AdaptError(
            f"round {round.state.number:04d} waits for a person: of the {len(asked)} frames that "
            f"are worth a look, {len(asked) - len(waiting)} were labelled or skipped; see them "
            f"with `{REVIEW_COMMAND}`, then run `edgeseg adapt --resume`, or go on without them "
            "with --set adapt.review=0"
        )
    labelled = {frame.id for frame in round.site.frames() if frame.mask is not None}
    output = {"asked": len(asked), "labelled": sum(entry.frame in labelled for entry in asked)}
    return RoundStepResult(output, (round_lists.REVIEW,))


def frames_awaiting_review(site: Site, state: RoundState) -> int | None:
    """Return how many frames of a round wait for a person; None of one that does not wait."""
    if state.next_step != "review":
        return None
    folder = round_folder(site, state.number)
    asked = round_lists.read_round_list(folder, round_lists.REVIEW)
    if not asked:
        return None
    number = site.config.adapt.review  # as it is now, like the step itself
    selected = round_lists.read_round_list(folder, round_lists.SELECTED)
    names = {entry.frame for entry in asked}
    others = _waiting(site, [entry for entry in selected if entry.frame not in names])
    more = min(max(0, number - len(asked)), len(others))
    return len(_waiting(site, asked[:number])) + more


def review_that_waits(site: Site) -> str:
    """Return a sentence on the newest round if it waits for a person, else an empty text.

    Raises:
        AdaptError: A state file is damaged.
    """
    states = load_rounds(site)
    waiting = frames_awaiting_review(site, states[-1]) if states else None
    if waiting is None:
        return ""
    if not waiting:
        return (
            f"round {states[-1].number:04d} waited for a person, and no frame waits any more; "
            "go on with `edgeseg adapt --resume`"
        )
    return (
        f"round {states[-1].number:04d} waits until {waiting} more frames were labelled or "
        f"skipped; see them with `{REVIEW_COMMAND}`"
    )


def _frames_asked_for(round: RoundContext) -> list[QueuedFrame]:
    """Return the frames to see.

    They are chosen once, and anew where the list does not fit the selection. Where more are asked
    for than the list has, the next ones join it; those that were asked for stay.
    """
    selected = set(round.selected)
    asked = round_lists.read_round_list(round.folder, round_lists.REVIEW)
    if not all(entry.frame in selected for entry in asked):
        asked = []
    lacking = round.review - len(asked)
    others = selected - {entry.frame for entry in asked}
    if lacking > 0 and others:  # at first, or `adapt.review` was raised since
        skipped = {each for each, mark in read_marks(round.site).items() if mark == "skipped"}
        others -= skipped
        frames = [frame for frame in round.site.frames("unlabelled") if frame.id in others]
        asked += order_by_worth(round.site, frames, lacking, report=round.report)[:lacking]
        round_lists.write_round_list(round.folder, round_lists.REVIEW, asked)
    return asked[: round.review]


def _waiting(site: Site, asked: Sequence[QueuedFrame]) -> list[str]:
    """Return the frames that are neither labelled nor skipped, nor gone from the site."""
    marks = read_marks(site)
    open_frames = {
        frame.id
        for frame in site.frames()
        if frame.mask is None and marks.get(frame.id) != "skipped"
    }
    return [entry.frame for entry in asked if entry.frame in open_frames]
