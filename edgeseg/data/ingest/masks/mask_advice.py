"""Reasons to refuse a set of masks, each with the exact option that mends it.

Advice must never lead into a silent shift: where the ids begin with 1, "add the class" or "ignore
the highest" would make every mask pass and every class wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgeseg.data.ingest.masks.mask_rules import ParsedRules
from edgeseg.imaging.array_types import IGNORE

MOST_NAMED = 5  # ids or colors named in a message
MOST_EXAMPLES = 2  # options written out
MOST_OWN_COLORS = 8  # colors of no class; more come from blended edges


def unknown_ids_reason(
    ids: set[int], unknown: Sequence[int], names: Sequence[str], rules: ParsedRules
) -> str:
    """Say why masks with these ids cannot be taken, and how they can.

    Args:
        ids: All ids of the set that no option gives a meaning, 255 among them.
        unknown: Those of no class, in order.
        names: The classes.
        rules: What the user said.
    """
    last = len(names) - 1
    first = rules.first_id or 0
    found = (
        f"has class ids {_list(map(str, unknown))}, but the site has {first} to {first + last} and "
        "255 (not labelled)"
    )
    if first:
        return f"{found}; {_map_examples(unknown, names)}"
    values = sorted(ids - {IGNORE})
    if rules.class_of_id:
        return f"{found}; {_map_examples(unknown, names)}"
    if values == list(range(1, len(names) + 1)):
        return f"{found}; the ids of these masks begin with 1: add --first-id 1"
    if values[0] >= 1 and values[-1] == len(names):
        return (
            f"{found}; no mask of these holds 0, so if their ids begin with 1, add --first-id 1; "
            f"if not, {_map_examples(unknown, names)}"
        )
    if values[0] == 0 and values[-1] == len(names):
        return (
            f"{found}; if 0 means not labelled and the classes begin with 1, add --first-id 1 "
            f"--map 0=ignore; if a class is missing in edgeseg.toml, add it there; if {unknown[0]} "
            f"means not labelled, add --map {unknown[0]}=ignore"
        )
    spread = _spread_ids(ids, len(names))
    if spread:
        options = " ".join(f"--map {old}={new}" for new, old in enumerate(spread) if old != new)
        pairs = ", ".join(f"{old} is {name}" for old, name in zip(spread, names))
        return (
            f"{found}; if {pairs}, add {options}; what means not labelled is said like "
            f"--map {unknown[-1]}=ignore"
        )
    if values == list(range(len(values))):
        return (
            f"{found}; add the missing classes to edgeseg.toml, or say what the others mean with "
            f"--map {unknown[0]}=ID or --map {unknown[0]}=ignore"
        )
    return f"{found}; {_map_examples(unknown, names)}"


def black_and_white_reason(ids: set[int], names: Sequence[str]) -> str:
    """Say why masks of 0 and 255 alone are doubtful; empty for others.

    Args:
        ids: All ids of the set that no option gives a meaning, 255 among them.
        names: The classes.
    """
    if ids != {0, IGNORE}:
        return ""
    other = "1" if len(names) == 2 else "ID"
    meant = names[1] if len(names) == 2 else "a class (ID is its id or name)"
    return (
        f"these masks hold 0 and 255 alone, and 255 means not labelled; if 255 is {meant}, add "
        f"--map 255={other}; if it is not labelled indeed, add --map 255=ignore"
    )


def odd_black_and_white_reason(names: Sequence[str]) -> str:
    """Say why a mask of 0 and 255 alone is doubtful among those of 0 and 1 alone."""
    return (
        "holds 0 and 255 alone, where other masks hold 0 and 1 alone, and 255 means not labelled; "
        f"if 255 is {names[1]} here, add --map 255=1; if it is not labelled indeed, add "
        "--map 255=ignore"
    )


def first_id_reason(ids: set[int], names: Sequence[str]) -> str:
    """Say why masks that hold 1, 2 and so on, but never 0, are doubtful; empty for others.

    Args:
        ids: All ids of the set, 255 among them.
        names: The classes.
    """
    values = sorted(ids - {IGNORE})
    if len(values) < 2 or values != list(range(1, len(values) + 1)):
        return ""
    return (
        f"no mask of these holds id 0 ({names[0]}), they hold {_list(map(str, values))}; if their "
        f"ids begin with 1, so that 1 is {names[0]}, add --first-id 1; if they begin with 0 and "
        f"none shows {names[0]}, add --first-id 0"
    )


def color_reason(pixels: Mapping[int, int], names: Sequence[str]) -> str:
    """Say why masks with these colors of no class, 0xRRGGBB, cannot be taken, and how they can."""
    by_count = sorted(pixels.items(), key=lambda item: (-item[1], item[0]))
    found = "has colors of no class: " + _list(
        f"#{color:06x} ({count} pixels)" for color, count in by_count
    )
    if len(pixels) > MOST_OWN_COLORS:
        return (
            f"{found}; so many come from blended edges: save masks without anti-aliasing, as PNG "
            "and never as JPEG before, and scale them by nearest neighbor"
        )
    is_gray = all(color % 0x010101 == 0 for color in pixels)
    if is_gray and len(pixels) == len(names):
        options = " ".join(
            f'--map "#{color:06x}={index}"' for index, color in enumerate(sorted(pixels))
        )
        return (
            f"{found}; if these shades of gray are the classes from {names[0]} to {names[-1]}, add "
            f"{options}, or save the masks as 8-bit gray of class ids"
        )
    options = " ".join(f'--map "#{color:06x}=ID"' for color, _ in by_count[:MOST_EXAMPLES])
    return (
        f"{found}; correct the colors of the classes in edgeseg.toml, or say what they mean with "
        f"{options} (ID is the id or name of a class, or ignore; to ignore a color always: "
        "data.ignore_colors); colors along edges alone come from anti-aliasing: save masks without"
    )


def _spread_ids(ids: set[int], classes: int) -> list[int]:
    """Return as many ids as there are classes, from 0 up; empty if the set has no such.

    With three classes 0, 127, 254 are such ids, and 0, 128, 255 (255 is a class then), and 0, 100,
    200, 255 (255 is not labelled).
    """
    for values in (sorted(ids - {IGNORE}), sorted(ids)):
        if len(values) == classes and values[0] == 0:
            return values
    return []


def _map_examples(unknown: Sequence[int], names: Sequence[str]) -> str:
    numbered = (f"{index} is {name}" for index, name in enumerate(names))
    return (
        f"say what each means with --map {unknown[0]}=ID ({_list(numbered)}) or "
        f"--map {unknown[0]}=ignore"
    )


def _list(values: Iterable[str]) -> str:
    """Return values with commas between them; capped, the rest counted."""
    texts = list(values)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
