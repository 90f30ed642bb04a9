"""The memory budget: a plan from two sizes holds for all, and what cannot fit is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeseg.errors import ConfigError, TrainError
from edgeseg.training.memory.budget import (
    SAFETY_FACTOR,
    AccumulationPlan,
    parse_bytes,
    plan_accumulation,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6GB", 6_000_000_000),
        ("6 gb", 6_000_000_000),
        ("1.5g", 1_500_000_000),
        ("512MiB", 512 << 20),
        ("2Gi", 2 << 30),
        ("800kB", 800_000),
        (" 123 ", 123),
        ("123B", 123),
        ("0.5TB", 500_000_000_000),
    ],
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "6XB", "-6GB", "6,5GB", "6 G B", "0GB", "i", "6i", "1e9", "six"]
)
def test_what_is_no_amount_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like 6GB"):
        parse_bytes(text)


def line(start: int, slope: int, asked: list[int] | None = None) -> Callable[[int], int]:
    def measure(size: int) -> int:
        if asked is not None:
            asked.append(size)
        return start + slope * size

    return measure


@pytest.mark.parametrize(
    ("batch", "others", "room", "expected"),
    [
        (16, (), 16, AccumulationPlan(16, 1)),
        (16, (), 15, AccumulationPlan(8, 2)),
        (16, (), 5, AccumulationPlan(4, 4)),
        (16, (), 2, AccumulationPlan(2, 8)),
        (6, (), 5, AccumulationPlan(3, 2)),
        (7, (), 7, AccumulationPlan(7, 1)),
        (2, (), 2, AccumulationPlan(2, 1)),
        (8, (4,), 7, AccumulationPlan(4, 2)),
        (8, (4,), 3, AccumulationPlan(2, 4)),
        (8, (1,), 8, AccumulationPlan(8, 1)),  # one unlabelled frame cannot be split
    ],
)
def test_the_largest_part_that_fits_is_taken(
    batch: int, others: tuple[int, ...], room: int, expected: AccumulationPlan
) -> None:
    asked: list[int] = []
    budget = int((1000 + 100 * room) * SAFETY_FACTOR) + 1
    assert plan_accumulation(line(1000, 100, asked), batch, budget, others) == expected
    assert len(asked) <= 2 and all(batch % size == 0 for size in asked)


@pytest.mark.parametrize(
    ("batch", "others", "smallest"), [(16, (), 2), (7, (), 7), (8, (1,), 8), (2, (), 2)]
)
def test_a_part_that_never_fits_is_refused(
    batch: int, others: tuple[int, ...], smallest: int
) -> None:
    with pytest.raises(
        TrainError, match=rf"{smallest} frames, needs .* GB but max_memory is 0.00 GB; raise it"
    ):
        plan_accumulation(line(1000, 100), batch, 1000, others)


def test_a_device_that_runs_out_while_measuring_limits_the_plan() -> None:
    def measure(size: int) -> int:
        if size > 2:
            raise MemoryError
        return 1000

    assert plan_accumulation(measure, 8, 10**9) == AccumulationPlan(2, 4)
    with pytest.raises(TrainError, match="7 frames, is more than the device has"):
        plan_accumulation(measure, 7, 10**9)
