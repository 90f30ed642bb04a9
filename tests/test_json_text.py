"""JSON of edgeseg: no bare NaN, from one place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgeseg.atomic_files import write_json
from edgeseg.json_text import to_json
from tests.test_structure import modules

# They refuse what is no number, instead of writing null.
OWN_WRITERS = {"edgeseg.json_text", "edgeseg.runtime.framelog.record_header"}


def strict(text: str) -> object:
    """Parse as jq, Go and JavaScript do."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    value = {"a": [1.5, math.nan, (math.inf, 2)], "b": {"c": -math.inf}, "d": np.float64("nan")}
    expected = {"a": [1.5, None, [None, 2]], "b": {"c": None}, "d": None}
    assert strict(to_json(value)) == expected
    write_json(tmp_path / "a.json", value)
    assert strict((tmp_path / "a.json").read_text()) == expected
    assert math.isnan(value["a"][1])  # the argument is left alone


def test_options_are_those_of_json() -> None:
    assert to_json({"b": 1, "a": 2}, sort_keys=True, indent=1) == '{\n "a": 2,\n "b": 1\n}'
    assert to_json(Path("x"), default=str) == '"x"'
    assert to_json("ü", ensure_ascii=False) == '"ü"'
    with pytest.raises(TypeError):
        to_json(Path("x"))


def test_all_json_comes_from_there() -> None:
    root = Path(__file__).parents[1]
    writers = {name for name, path in modules().items() if "json.dump" in (root / path).read_text()}
    assert writers - {"edgeseg.runtime.framelog.record_format"} == OWN_WRITERS
