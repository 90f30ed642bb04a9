"""The allocator of the C library, told to keep freed memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so eagerly"
)
@pytest.mark.parametrize("kept", [True, False])
def test_memory_that_is_freed_is_taken_again_without_page_faults(kept: bool) -> None:
    program = f"""
import resource, torch
from edgeseg.training.memory.allocator import keep_freed_memory
if {kept}:
    keep_freed_memory()
def faults():
    for _ in range(10):
        torch.ones(8 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
print(-faults() + faults())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) < 100) == kept
