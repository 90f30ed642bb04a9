"""Each frame gives one JSON line, until nobody reads them any more."""

from __future__ import annotations

import io
import json
import threading

import numpy as np
import pytest

from edgeseg.runtime.outputs.json_lines import JsonLinesSink
from tests.helpers.bundles import CLASSES
from tests.helpers.predictions import gray_frame, quarter_prediction


def test_json_lines_hold_score_and_area_by_class() -> None:
    stream, stop = io.StringIO(), threading.Event()
    sink = JsonLinesSink(stream, CLASSES, stop)
    sink.write(gray_frame(3), quarter_prediction())
    sink.write(gray_frame(4), quarter_prediction())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0] == {
        "frame": 3,
        "name": "000003",
        "camera": "gate",
        "time": 0.3,
        "score": 0.25,
        "area": {spec.name: 0.25 for spec in CLASSES},
    }
    assert lines[1]["frame"] == 4 and not stop.is_set()


def test_a_score_that_is_no_number_is_null() -> None:
    stream = io.StringIO()
    prediction = quarter_prediction()
    prediction.score[:] = np.nan
    prediction.area[:] = np.inf
    JsonLinesSink(stream, CLASSES, threading.Event()).write(gray_frame(), prediction)
    line = json.loads(stream.getvalue(), parse_constant=pytest.fail)
    assert line["score"] is None and set(line["area"].values()) == {None}


def test_a_reader_that_leaves_ends_the_run_quietly() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stop = threading.Event()
    sink = JsonLinesSink(Closed(), CLASSES, stop)
    sink.write(gray_frame(), quarter_prediction())
    sink.write(gray_frame(), quarter_prediction())
    assert stop.is_set() and sink.reader_gone


def test_a_share_beyond_its_range_is_null() -> None:
    stream = io.StringIO()
    prediction = quarter_prediction()
    prediction.score[:] = 1.5
    prediction.area[0, :2] = -0.1, 1.000001
    JsonLinesSink(stream, CLASSES, threading.Event()).write(gray_frame(), prediction)
    line = json.loads(stream.getvalue())
    assert line["score"] is None and list(line["area"].values())[:2] == [None, 1.0]
