"""The least useful record goes first: sent, flagged, then the lowest score of the fullest hour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.framelog.eviction import EvictionOrder
from tests.helpers.frame_logs import CONTROL, FLAGGED, open_log, put_noise


def test_sent_then_flagged_then_low_scores_of_full_hours_go(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        paths = {
            "sent early": put_noise(log, 0, hour=3, score=0.9),
            "sent late": put_noise(log, 1, hour=5, score=0.9),
            "flagged": put_noise(log, 2, hour=4, candidate=FLAGGED),
            "full hour, high": put_noise(log, 3, hour=6, score=0.99),
            "full hour, low": put_noise(log, 4, hour=6, score=0.7),
            "lone hour, lowest": put_noise(log, 5, hour=7, score=0.31),
            "control": put_noise(log, 6, hour=8, candidate=CONTROL),
        }
        for name in ("sent late", "sent early"):
            target = tmp_path / "sent" / paths[name].parent.name / paths[name].name
            target.parent.mkdir()
            paths[name] = paths[name].rename(target)
    log = open_log(tmp_path, random_share=0.4)
    gone = []
    while True:
        before = [name for name, path in paths.items() if path.exists()]
        if not before:
            break
        log._store._evict()
        gone += [name for name in before if not paths[name].exists()]
    log.close()
    assert gone == [
        "sent early",
        "sent late",
        "flagged",
        "full hour, low",
        "full hour, high",
        "control",
        "lone hour, lowest",
    ]
    assert not any((tmp_path / "ready").iterdir())


def test_a_record_sent_by_another_process_is_evicted_where_it_is(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        path = put_noise(log, 1)
        target = tmp_path / "sent" / path.parent.name / path.name
        target.parent.mkdir()
        path.rename(target)
        log._store._evict()
        assert not target.exists()
        assert log._store.used_bytes == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["score", "random"]), st.integers(0, 5), st.integers(0, 999)),
        max_size=80,
    )
)
def test_eviction_order_matches_a_plain_search(records: list[tuple[Any, int, int]]) -> None:
    order, remaining = EvictionOrder(0.25), []
    for number, (reason, hour, score) in enumerate(records):
        shard, digest = f"000001-{hour:05}-{reason}", f"{number * 7919 % 1000:032x}"
        name = f"000001-{number:010}-{score:03}-{digest}.esr"
        order.add("ready", reason, shard, name, 1)
        remaining.append((reason, shard, name))
        if number % 3 == 2:
            evict_and_compare(order, remaining)
    while remaining:
        evict_and_compare(order, remaining)
    assert len(order) == 0


def evict_and_compare(order: EvictionOrder, remaining: list[tuple[str, str, str]]) -> None:
    """Evict one record; `remaining` holds reason, shard and name of each."""
    control = [record for record in remaining if record[0] == "random"]
    scored = [record for record in remaining if record[0] == "score"]
    control_is_over = len(control) > 0.25 * len(remaining)
    queue = control if control_is_over or not scored else scored
    sizes = {shard: sum(record[1] == shard for record in queue) for _, shard, _ in queue}
    fullest = min(sizes, key=lambda shard: (-sizes[shard], shard))
    rank = 3 if queue is control else 2  # the digest or the score, in the name
    expected = min(
        (record for record in queue if record[1] == fullest),
        key=lambda record: (record[2].split("-")[rank], record[2]),
    )
    assert order.first()[2].name == expected[2]
    order.pop()
    remaining.remove(expected)
