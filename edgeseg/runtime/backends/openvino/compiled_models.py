"""A bundle's file compiled by OpenVINO: from this device's cache, or made, checked and kept.

The export's gates judged the file as ONNX Runtime runs it. Another engine's kernels may compute
something else (16-bit sums overflow on processors without VNNI, for one), so what was compiled has
to give the golden frames the classes, entropies and scores that they should have, before it runs.
The verdict is kept with the compiled model, under a key of all that it depends on.
"""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.errors import EngineError
from edgeseg.processor import processor_identity
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.engine_cache import EngineCache
from edgeseg.runtime.backends.openvino.golden_check import check_on_golden_frames
from edgeseg.runtime.backends.openvino.library import DEVICE, compile_settings, installed_version

FORMAT = 1  # of what is kept; a higher one makes every older model invalid
SAYS_NOTHING = ("Exception from", "Check '", "FrontEnd API failed", "Model wasn't", "Summary")


@dataclass(frozen=True)
class CompileJob:
    """What is compiled, and for how many threads.

    Attributes:
        bundle: The bundle.
        flavour: Which of its files.
        data: The graph, already verified.
        threads: CPU threads over all streams.
        streams: Frames at once.
    """

    bundle: Bundle
    flavour: Flavour
    data: bytes
    threads: int
    streams: int

    def parts(self, version: str) -> dict[str, str]:
        """Return the key of the compiled model: a difference in any part makes another one.

        Args:
            version: OpenVINO's.
        """
        return {
            "format": str(FORMAT),
            "onnx": hashlib.sha256(self.data).hexdigest(),
            "openvino": version,
            "processor": processor_identity(),
            "system": f"{platform.system().lower()}-{platform.machine()}",
            "flavour": self.flavour,
            "threads": str(self.threads),
            "streams": str(self.streams),
        }


def open_cache() -> EngineCache | None:
    """Return the cache of compiled models; None where this user has no place for one."""
    try:
        cache = EngineCache(kind="openvino")
        cache.open()
    except EngineError:
        return None
    return cache


def load_or_compile(openvino: Any, job: CompileJob, report: ProgressReporter) -> Any:
    """Return a compiled model that passed on this device; Any, as OpenVINO has no types.

    Args:
        openvino: The module.
        report: Told that a model is compiled, which takes seconds.

    Raises:
        EngineError: OpenVINO refuses the graph, or computes something else than it should.
    """
    core, cache = openvino.Core(), open_cache()
    settings = compile_settings(job.threads, job.streams)
    parts = job.parts(installed_version())
    kept = cache.entry(parts) if cache is not None else None
    if kept is not None and kept.refused:
        raise EngineError(kept.refused)
    found = cache.find(parts) if cache is not None else None
    if found is not None:
        with suppress(RuntimeError):  # what does not load is compiled anew
            return core.import_model(found[1], DEVICE, settings)
    file = FLAVOURS[job.flavour].file
    report.say(f"compiling {file} for OpenVINO and checking it on the golden frames, once")
    try:
        model = core.compile_model(core.read_model(job.data, b""), DEVICE, settings)
        blob = model.export_model()
    except RuntimeError as error:
        raise EngineError(
            f"OpenVINO {installed_version()} cannot compile {job.bundle.path / file} "
            f"({told_reason(error)}); update openvino, or use --backend cpu"
        ) from None
    entry = check_on_golden_frames(job.bundle, job.flavour, model, parts, threads=job.threads)
    if cache is not None:
        with suppress(EngineError):  # a full disk costs the next start a compilation, no more
            cache.store(entry, None if entry.refused else _content(blob))
    if entry.refused:
        raise EngineError(entry.refused)
    return model


def _content(blob: Any) -> bytes:  # Any: bytes or a stream of them, by version
    return bytes(blob if isinstance(blob, (bytes, bytearray)) else blob.getvalue())


def told_reason(error: Exception) -> str:
    """Return what OpenVINO's message of several lines tells, without the places in its sources."""
    lines = [line.strip(" -.:") for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(SAYS_NOTHING)]
    return "; ".join(told[:2])[:200] or "no reason given"
