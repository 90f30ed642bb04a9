"""Recipes for an INT8 file, and what is remembered of those that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto

from edgeseg.bundle.flavours import Flavour, Int8Flavour
from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.figures import EvaluationResult, LogitSamples
from edgeseg.export.evaluation.gates import excess_loss
from edgeseg.export.evaluation.latency import Latency
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.progress import ProgressReporter

Figures = dict[str, Any]  # Any: numbers and tables of them, see `accuracy_metrics`
ROW_FIGURES = ("miou", "drop", "worst_class", "agreement", "sqnr", "integer", "speedup")


@dataclass(frozen=True)
class QuantizationRecipe:
    """One way to make the file.

    Attributes:
        estimator: Estimates the ranges, one of `edgeseg.calibration.registry.ESTIMATORS`.
        float_tensors: Tensors that stay float.
        bias_corrected: The bias of the last layer is corrected.
        qat_steps: The steps of quantization-aware training; 0 for none.
    """

    estimator: str
    float_tensors: tuple[str, ...] = ()
    bias_corrected: bool = False
    qat_steps: int = 0

    @property
    def name(self) -> str:
        """The recipe in words: "mse, 2 tensors float, bias corrected"."""
        parts = [self.estimator]
        number = len(self.float_tensors)
        if number:
            parts.append(f"{number} tensor{'s' * (number > 1)} float")
        if self.bias_corrected:
            parts.append("bias corrected")
        if self.qat_steps:
            parts.append(f"trained for {self.qat_steps} steps")
        return ", ".join(parts)


@dataclass(frozen=True)
class RecipeResult:
    """A recipe that was tried on val.

    Attributes:
        calibrated: What the file is made from.
        evaluation: Masks and entropies on val.
        samples: Samples of the logits on val.
        seconds: The time that making and measuring the file took.
    """

    recipe: QuantizationRecipe
    calibrated: CalibrationResult
    evaluation: EvaluationResult
    samples: LogitSamples
    figures: Figures
    seconds: float

    def build_graph(self, interface: Interface, flavour: Int8Flavour) -> ModelProto:
        """Return the whole graph, for these thresholds."""
        recipe = self.recipe
        return quantize(self.calibrated, interface, flavour, recipe.estimator, recipe.float_tensors)

    def row(self) -> Figures:
        """Return cost and gain, for the manifest."""
        found = {key: self.figures[key] for key in ROW_FIGURES if key in self.figures}
        return {"rung": self.recipe.name, "seconds": round(self.seconds, 1)} | found


@dataclass(frozen=True)
class SearchContext:
    """What every recipe is made with and measured against.

    Attributes:
        interface: That of the float graph, thresholds fitted.
        reference: The float graph.
        reference_evaluation: Its masks and entropies on val.
        reference_samples: Samples of its logits on val.
        calibration_images: (H, W, 3) uint8 RGB.
        training_images: Unlabelled frames for quantization-aware training.
    """

    config: ExportConfig
    val: ValFrames
    class_names: tuple[str, ...]
    interface: Interface
    reference: ModelProto
    reference_evaluation: EvaluationResult
    reference_samples: LogitSamples
    calibration_images: Sequence[Image]
    training_images: Sequence[Image]
    threads: int
    report: ProgressReporter


@dataclass
class SearchResult:
    """The recipes that were tried.

    Attributes:
        config: Holds the gates.
        results: In order.
        passed: The last one may ship.
        times: Those of the float file and the last result, by flavour, where they were measured.
    """

    config: ExportConfig
    results: list[RecipeResult] = field(default_factory=list)
    passed: bool = False
    times: dict[Flavour, Latency] = field(default_factory=dict)

    @property
    def best(self) -> RecipeResult:
        """The result that passed, or was accurate enough to be timed; else the nearest to passing.

        Of those that miss their gates by the same, it is the one with the highest agreement.
        """
        if self.passed or self.times:
            return self.results[-1]
        return min(
            self.results,
            key=lambda result: (
                excess_loss(result.figures, self.config),
                -result.figures["agreement"],
            ),
        )

    def rows(self) -> list[Figures]:
        """Return cost and gain of each recipe, for the manifest."""
        return [result.row() for result in self.results]
