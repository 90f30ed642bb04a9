"""The parts of the check, the most valuable first."""

from __future__ import annotations

from benchmarks.gpu import (
    data_parallel,
    engines,
    evaluation,
    machine,
    method_steps,
    resume,
    throughput,
)

PARTS = (
    machine.PART,
    method_steps.PART,
    throughput.PART,
    resume.PART,
    data_parallel.PART,
    evaluation.PART,
    engines.PART,
)
