"""The context of one export: what its steps share, and the files that they have made so far."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from edgeseg.bundle.flavours import FLAVOURS, FP32, Flavour
from edgeseg.bundle.graph_metadata import FLAVOUR_KEY, SOURCE_KEY
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.config import ExportConfig
from edgeseg.errors import BundleError, ExportError
from edgeseg.export.evaluation.figures import EvaluationResult, LogitSamples
from edgeseg.export.evaluation.latency import Latency
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.metrics import Reliability
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site


@dataclass
class ExportContext:
    """The state of an export: what its steps are given, and what they add to.

    Attributes:
        site: The site that is exported for.
        config: The options of the export.
        val: The val frames, on which every file is measured.
        network: The network as ONNX, without pre- and post-processing.
        interface: Pre- and post-processing; its thresholds are fitted by the first step.
        report: Told what happens.
        threads: The threads of ONNX Runtime.
        files: The bundle's files so far, by name.
        figures: The figures of each step, by flavour, and of "torch"
            (`edgeseg.export.evaluation.figures.accuracy_metrics`).
        refused: A sentence for each file that failed its gates.
        evaluations: The evaluation on val, by flavour.
        samples: A sample of the float logits on val.
        reliabilities: Confidence against truth on val, by flavour, each at its own temperature.
    """

    site: Site
    config: ExportConfig
    val: ValFrames
    network: ModelProto
    interface: Interface
    report: ProgressReporter
    threads: int
    files: dict[str, bytes] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)  # Any: numbers and tables of them
    refused: list[str] = field(default_factory=list)
    evaluations: dict[Flavour, EvaluationResult] = field(default_factory=dict)
    samples: LogitSamples = field(init=False)
    reliabilities: dict[Flavour, Reliability] = field(default_factory=dict)

    def add_reliability(self, flavour: Flavour, samples: LogitSamples, temperature: float) -> None:
        """Count how confident a file is, and how often it is right."""
        logits = samples.logits / np.float32(temperature)
        self.reliabilities[flavour] = Reliability.count(logits, samples.labels)

    def has(self, flavour: Flavour) -> bool:
        """Return whether the file of `flavour` was made, and not taken out."""
        return FLAVOURS[flavour].file in self.files

    def graph(self, flavour: Flavour) -> bytes:
        """Return the content of the file of `flavour`."""
        return self.files[FLAVOURS[flavour].file]

    def source_digest(self) -> str:
        """Return the sha256 of the FP32 file, by which the files made from it name it."""
        return hashlib.sha256(self.graph(FP32)).hexdigest()

    def add_graph(
        self, flavour: Flavour, model: ModelProto, metadata: Mapping[str, str] | None = None
    ) -> bytes:
        """Put a graph among the files once it was found fit for devices, and return its bytes.

        Args:
            metadata: Written into the file; its flavour and what it was made from are added.

        Raises:
            ExportError: Devices would refuse the graph.
        """
        origin = {} if flavour == FP32 else {SOURCE_KEY: self.source_digest()}
        helper.set_model_props(model, {FLAVOUR_KEY: flavour, **origin, **(metadata or {})})
        data: bytes = model.SerializeToString(deterministic=True)
        file = FLAVOURS[flavour].file
        try:
            scan_onnx(data, name=file, flavour=flavour)
        except BundleError as error:
            raise ExportError(f"devices would refuse the exported graph: {error}") from None
        self.files[file] = data
        return data

    def add_latencies(self, latencies: Mapping[Flavour, Latency]) -> None:
        """Add times of files that were timed side by side to their figures."""
        for flavour, latency in latencies.items():
            self.figures[flavour] |= {
                "ms": round(latency.minimum, 3),
                "ms_median": round(latency.median, 3),
                "threads": self.threads,
            }
            if flavour != FP32:
                speedup = latencies[FP32].ratio(latency)
                self.figures[flavour]["speedup"] = round(speedup, 3)
