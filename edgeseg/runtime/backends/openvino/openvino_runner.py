"""OpenVINO as a back end: a compiled model with an inference request for each stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from queue import LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Backend, Flavour
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.errors import BundleError, EngineError
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.openvino.compiled_models import (
    CompileJob,
    load_or_compile,
    told_reason,
)
from edgeseg.runtime.backends.openvino.inference_request import run_request
from edgeseg.runtime.backends.openvino.library import import_openvino


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """How a runner is opened.

    Attributes:
        threads: CPU threads over all streams.
        streams: Frames at once.
        report: Told what happens.
    """

    threads: int
    streams: int
    report: ProgressReporter


class OpenVinoRunner:
    """A compiled model as a back end; see `edgeseg.runtime.backends.base.Runner`."""

    def __init__(self, bundle: Bundle, flavour: Flavour, model: Any, streams: int) -> None:
        """Make the requests.

        Args:
            model: openvino.CompiledModel, which has no types.
        """
        self.bundle, self.flavour, self.streams = bundle, flavour, streams
        self.backend: Backend = "openvino"
        self._requests: LifoQueue[Any] = LifoQueue()
        for _ in range(streams):
            self._requests.put(model.create_infer_request())

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict frames, (N, H, W, 3) uint8 RGB at the graph's size, one after another.

        Raises:
            BundleError: The engine fails.
        """
        request = self._requests.get()
        try:
            parts = [
                run_request(request, frames[index : index + 1]) for index in range(len(frames))
            ]
        except RuntimeError as error:
            raise BundleError(
                f"{self.bundle.path / FLAVOURS[self.flavour].file} failed on openvino "
                f"({told_reason(error)}); use --backend cpu"
            ) from None
        finally:
            self._requests.put(request)
        if len(parts) == 1:
            return parts[0]
        return Prediction(
            *(
                np.concatenate([getattr(part, one.name) for part in parts])
                for one in fields(Prediction)
            )
        )


def open_openvino(
    bundle: Bundle, flavours: Sequence[Flavour], settings: RunnerSettings
) -> OpenVinoRunner:
    """Return a runner of the first of `flavours` that passes its check on this device.

    Raises:
        BundleError: The bundle is damaged.
        DependencyError: OpenVINO is not installed.
        EngineError: None passes; the error is that of the last one.
    """
    openvino = import_openvino()
    refusal = EngineError("there is no file for OpenVINO; use --backend cpu")
    for flavour in flavours:
        data = read_verified_graph(bundle, flavour)
        job = CompileJob(bundle, flavour, data, settings.threads, settings.streams)
        try:
            model = load_or_compile(openvino, job, settings.report)
        except EngineError as error:
            refusal = error
            if flavour != flavours[-1]:
                settings.report.say(f"going on without {FLAVOURS[flavour].file}: {error}")
            continue
        return OpenVinoRunner(bundle, flavour, model, settings.streams)
    raise refusal
