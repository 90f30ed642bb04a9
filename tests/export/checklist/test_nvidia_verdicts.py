"""NVIDIA's own parser and builder say of each planted fault what `expectations` has of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES
from tests.helpers.planted.expectations import BUILDS, EXPECTATIONS
from tests.helpers.planted.nvidia_child import ask_nvidia
from tests.helpers.planted.tiny_files import tiny_files


@pytest.mark.skipif(
    not LIBRARIES["tensorrt-rtx"].is_installed(),
    reason="TensorRT for RTX is not installed (extra tensorrt-rtx)",
)
def test_both_verdicts_on_every_planted_fault(tmp_path: Path) -> None:
    # one test, so that one process of pytest starts one child
    faulty = {str(expected): expected.file() for expected in EXPECTATIONS}
    assert len(faulty) == len(EXPECTATIONS)
    good = tiny_files()._asdict()
    answers = ask_nvidia(good | faulty, tmp_path)
    assert {name: answers[name] for name in good} == dict.fromkeys(good, BUILDS)

    different = []
    for expected in EXPECTATIONS:
        ours, nvidia = expected.findings(), answers[str(expected)]
        if not any(expected.words in sentence for sentence in ours):
            different.append(f"{expected}: our point says {ours or 'nothing'}")
        is_same = nvidia[:2] == expected.nvidia[:2] and expected.nvidia.words in nvidia.words
        if not is_same:
            different.append(f"{expected}: {nvidia} instead of {expected.nvidia}")
    assert different == []
