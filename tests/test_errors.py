"""The tree of errors is told in the module's docstring, and every error says what to do."""

from __future__ import annotations

import inspect
import re

import pytest

from edgeseg import errors

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if item.__module__ == errors.__name__
]


def lines_below(cls: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
    """The names below `cls` in the order of their definition, with their depth."""
    lines = [(depth, cls.__name__)]
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            lines += lines_below(child, depth + 1)
    return lines


def test_the_docstring_draws_the_tree() -> None:
    drawn = [
        (len(prefix) // 4, name)
        for prefix, name in re.findall(
            r"^((?:\|   |    )*(?:\+-- )?)(\w+Error)\b", errors.__doc__ or "", re.M
        )
    ]
    assert drawn == lines_below(errors.EdgesegError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_says_what_it_means_and_what_to_do(cls: type[Exception]) -> None:
    first, _, rest = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")
    assert re.fullmatch(r"[A-Z][^\n]+\.", first) and re.fullmatch(r"[A-Z].+\.", rest, re.DOTALL)
