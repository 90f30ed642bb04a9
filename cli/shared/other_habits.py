"""Hints for hands that are used to the commands of other tools."""

from __future__ import annotations

import re

# What other tools call it, and what it is here.
OTHER_NAMES = {
    "predict": "infer",
    "detect": "infer",
    "segment": "infer",
    "track": "infer",
    "val": "eval",
    "validate": "eval",
    "test": "eval",
    "benchmark": "bench",
    "fit": "train",
    "tune": "compare",
    "annotate": "label",
    "checks": "doctor",
    "version": "--version",
    "help": "--help",
}
ASSIGNMENT = re.compile(r"unexpected extra argument\S* \((?P<key>[A-Za-z_]\w*)=(?P<value>\S+?)[ )]")


def hint_for_command(name: str) -> str | None:
    """Return a sentence on what a command of another tool is called here."""
    own = OTHER_NAMES.get(name)
    return f"There is no command '{name}' here; it is `edgeseg {own}`." if own else None


def hint_for_arguments(message: str) -> str | None:
    """Return a sentence on how "imgsz=640" is written here, from the message that refuses it."""
    found = ASSIGNMENT.search(message)
    if found is None:
        return None
    key, value = found["key"], found["value"]
    return (
        f"Options are written --{key.replace('_', '-')} {value}, and any key of edgeseg.toml "
        f"--set train.{key}={value}."
    )
