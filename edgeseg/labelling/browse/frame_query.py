"""The question for frames: filters and an order, as a command or an address gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, NamedTuple, get_args

from edgeseg.errors import DataError

Sort = Literal["place", "newest", "entropy", "contradiction", "score", "labelled"]
SPLIT_CHOICES = ("labelled", "unlabelled", "withheld", "val", "gate")
ORIGIN_CHOICES = ("footage", "labels", "log")
MARK_CHOICES = ("flagged", "skipped", "drawing")
SEEN_CHOICES = ("label", "prediction", "either")
OFFSET = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2}(?:\.\d+)?)|(\d{1,9}(?:\.\d+)?) ?s?")
DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


class Moment(NamedTuple):
    """A bound in time: seconds since 1970 of a clock, or since the start of a source."""

    is_clock: bool
    seconds: float


def parse_moment(text: str) -> Moment:
    """Return what a person wrote: a date in UTC, with or without a time, or h:mm:ss of a source.

    Raises:
        DataError: It is neither.
    """
    plain = text.strip().removesuffix("UTC").removesuffix("Z").replace("T", " ").strip()
    if found := OFFSET.fullmatch(plain):
        hours, minutes, seconds, alone = found.groups()
        total = float(alone or seconds) + 60 * int(minutes or 0) + 3600 * int(hours or 0)
        return Moment(False, total)
    for form in DATES:
        try:
            date = datetime.strptime(plain, form)
            return Moment(True, date.replace(tzinfo=timezone.utc).timestamp())
        except (ValueError, OverflowError):
            continue
    raise DataError(
        f"{text[:60]!r} is no time; write a date in UTC as 2026-03-04 or '2026-03-04 12:00', or "
        "a place in a source as 1:30"
    )


@dataclass(frozen=True, kw_only=True)
class FrameQuery:
    """Filters that must all hold; of several values of one, any. Empty ones let all pass.

    Attributes:
        cameras: Names of cameras.
        splits: Some of `SPLIT_CHOICES`; "unlabelled" leaves withheld frames out.
        origins: Some of `ORIGIN_CHOICES`.
        marks: Some of `MARK_CHOICES`.
        classes: Names of classes, all of which a frame must show.
        seen: Where it must show them: in its label, in what a model sees, or in either.
        since, until: Bounds in time.
        text: A part of the name, the source or the id.
        sort: The order.
    """

    cameras: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    seen: str = "either"
    since: Moment | None = None
    until: Moment | None = None
    text: str = ""
    sort: Sort = "place"

    @classmethod
    def parse(
        cls,
        *,
        class_names: Sequence[str],
        lists: Mapping[str, Sequence[str]],
        single: Mapping[str, str],
    ) -> FrameQuery:
        """Take a question apart.

        Args:
            class_names: Of the site.
            lists: Values of "camera", "split", "origin", "mark" and "class".
            single: Values of "seen", "since", "until", "text" and "sort".

        Raises:
            DataError: A value is none of its choices.
        """
        checked = {name: tuple(dict.fromkeys(lists.get(name, ()))) for name in LIST_CHOICES}
        choices = {**LIST_CHOICES, "class": tuple(class_names)}
        for name, values in checked.items():
            for value in values:
                _require(name, value, choices[name])
        seen, sort = single.get("seen") or "either", single.get("sort") or "place"
        _require("seen", seen, SEEN_CHOICES)
        _require("sort", sort, get_args(Sort))
        since, until = single.get("since", ""), single.get("until", "")
        return cls(
            cameras=checked["camera"],
            splits=checked["split"],
            origins=checked["origin"],
            marks=checked["mark"],
            classes=checked["class"],
            seen=seen,
            since=parse_moment(since) if since else None,
            until=parse_moment(until) if until else None,
            text=single.get("text", "")[:200],
            sort=sort,  # type: ignore[arg-type]  # checked above
        )


LIST_CHOICES: dict[str, tuple[str, ...]] = {
    "camera": (),  # any name
    "split": SPLIT_CHOICES,
    "origin": ORIGIN_CHOICES,
    "mark": MARK_CHOICES,
    "class": (),
}
SINGLE_NAMES = ("seen", "since", "until", "text", "sort")


def _require(name: str, value: str, choices: Sequence[str]) -> None:
    if choices and value not in choices:
        raise DataError(f"there is no {name} {value[:60]!r}; choose {', '.join(choices)}")
