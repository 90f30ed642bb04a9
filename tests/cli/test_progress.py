"""Progress where there is no terminal."""

from __future__ import annotations

import pytest

from edgeseg.progress import LineReporter, format_duration


def test_progress_comes_as_lines_with_the_time_that_is_left() -> None:
    now, lines = [0.0], list[str]()
    reporter = LineReporter(lines.append, lambda: now[0], interval=30)
    reporter.start("train", 100)
    reporter.advance(40)  # done by an earlier start
    for _ in range(7):
        now[0] += 10
        reporter.advance(note="loss 1.5")
    assert lines == [
        "train: 100 to do",
        "train: 43 of 100, 10.00 s each, 10 min left, loss 1.5",
        "train: 46 of 100, 10.00 s each, 9 min left, loss 1.5",
    ]


def test_work_of_unknown_length_says_that_it_began() -> None:
    lines: list[str] = []
    LineReporter(lines.append).start("writing the graph", None)
    assert lines == ["writing the graph ..."]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3599, "1 h 0 min"),
        (3540, "59 min"),
        (7320, "2 h 2 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
