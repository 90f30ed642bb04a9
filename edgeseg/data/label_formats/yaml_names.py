"""The names of classes in the YAML files of YOLO: three ways to write a list, and no more of YAML.

names: [road, 'a car']     names:        names:
                           - road          0: road
                           - a car         1: a car
"""

from __future__ import annotations

import json
import re

MOST_NAMES = 10_000


def names_of_yaml(text: str) -> dict[int, str]:
    """Return the names by number.

    Raises:
        ValueError: They are not written in one of the ways above.
    """
    lines = text.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        raise ValueError("has no names of classes")
    rest = _uncommented(lines[start].removeprefix("names:")).strip()
    if rest:
        for line in lines[start + 1 :]:
            if rest.startswith(("[", "{")) and not rest.endswith(("]", "}")):
                rest += " " + _uncommented(line).strip()
        names = _flow(rest)
    else:
        names = _block(lines[start + 1 :])
    if not names or len(names) > MOST_NAMES:
        raise ValueError("has names of classes that cannot be read; write them as names: [a, b]")
    return names


def _flow(text: str) -> dict[int, str]:
    """Return the names of "[road, 'a car']" or "{0: road, 1: car}"."""
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return {}
    parts = re.findall(r"""(?:[^,"']|"(?:[^"\\\\]|\\\\.)*"|'(?:[^']|'')*')+""", text[1:-1])
    if text[0] == "[":
        return {index: _scalar(part) for index, part in enumerate(p for p in parts if p.strip())}
    return dict(_numbered(part) for part in parts if part.strip())


def _block(lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in lines:
        text = _uncommented(line)
        if not text.strip():
            continue
        stripped = text.strip()
        if stripped.startswith("- "):
            names[len(names)] = _scalar(stripped[2:])
        elif text[0].isspace() and ":" in stripped:
            number, name = _numbered(stripped)
            names[number] = name
        else:
            break
    return names


def _numbered(text: str) -> tuple[int, str]:
    number, _, name = text.partition(":")
    if not number.strip().isdecimal():
        raise ValueError(f"has {text.strip()[:60]!r} among the names of classes")
    return int(number), _scalar(name)


def _scalar(text: str) -> str:
    """Return a name without its quotation marks."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return str(json.loads(text))
    return text


def _uncommented(line: str) -> str:
    """Return a line without a comment, which begins with " #" outside of quotation marks."""
    found = re.match(r"""(?:[^"'#]|"[^"]*"|'[^']*'|(?<=\S)#)*""", line)
    return (found[0] if found else line).rstrip()
