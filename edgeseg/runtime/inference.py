"""Runs a bundle on a source with all its outputs: what `edgeseg infer` does."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import Backend
from edgeseg.config import ClassSpec, EngineConfig, InferConfig, LogConfig
from edgeseg.errors import EdgesegError
from edgeseg.output_paths import Output, check_disjoint, check_outputs, hold_output
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.inference_metrics import InferenceMetrics, StageTime
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.outputs.frame_log_sink import FrameLogSink
from edgeseg.runtime.outputs.image_folder import MaskSink, OverlayImageSink
from edgeseg.runtime.outputs.json_lines import JsonLinesSink
from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink, is_video_path, partial_path
from edgeseg.runtime.outputs.score_check import ScoreCheck
from edgeseg.runtime.pipeline import PipelineSummary, run_pipeline
from edgeseg.runtime.sources.base import Source
from edgeseg.runtime.sources.continued_names import ContinuedNames, next_free_number
from edgeseg.runtime.sources.image_files import ImageFiles
from edgeseg.runtime.sources.open_source import open_source


@dataclass(frozen=True, kw_only=True)
class OutputTargets:
    """Places of the outputs; None for an output that is not wanted.

    Attributes:
        save: A video for overlays, or a folder for overlay images.
        masks: A folder for predicted masks.
        log: The folder of a frame log.
        json_lines: A stream that takes one JSON line per frame.
    """

    save: Path | None = None
    masks: Path | None = None
    log: Path | None = None
    json_lines: TextIO | None = None


@dataclass
class InferenceResult:
    """The figures of an `edgeseg infer`.

    Attributes:
        summary: Figures of the pipeline.
        flavour: The file that ran.
        backend: The back end that ran it.
        streams: Number of frames that were predicted at once.
        logged: Number of records that the frame log acknowledged; None without one.
        log_counts: Numbers of frames by what the log did with them.
        log_problem: What the log's disk said last; empty while all is well.
        invalid_scores: Number of frames whose score was no number from 0 to 1.
        reader_gone: Whether the reader of the JSON lines has closed the stream.
    """

    summary: PipelineSummary
    flavour: Flavour
    backend: Backend
    streams: int
    logged: int | None = None
    log_counts: dict[str, int] = field(default_factory=dict)
    log_problem: str = ""
    invalid_scores: int = 0
    reader_gone: bool = False

    def as_dict(self) -> dict[str, Any]:  # Any: what json can hold
        """Return the figures as JSON, as `metrics.json` holds them."""
        return asdict(self.metrics())

    def metrics(self) -> InferenceMetrics:
        """Return the figures that `metrics.json` holds."""
        summary, statistics = self.summary, self.summary.statistics
        return InferenceMetrics(
            frames=summary.frames,
            seconds=round(summary.seconds, 3),
            fps=round(summary.fps, 2),
            ended=summary.ended,
            flavour=self.flavour,
            backend=self.backend,
            streams=self.streams,
            stages_ms={
                stage: StageTime(*(round(value, 3) for value in values))
                for stage, values in summary.stages.items()
            },
            dropped=statistics.dropped,
            unreadable=statistics.unreadable,
            reconnects=statistics.reconnects,
            notes=statistics.notes,
            logged=self.logged,
            log_counts=self.log_counts,
            invalid_scores=self.invalid_scores,
        )


def infer(
    bundle: Bundle | Path | str,
    source: Source | str,
    outputs: OutputTargets | None = None,
    config: InferConfig | None = None,
    log_config: LogConfig | None = None,
    *,
    engine: EngineConfig | None = None,
    limit: int | None = None,
    stop: Event | None = None,
    report: ProgressReporter | None = None,
) -> InferenceResult:
    """Run `bundle` on `source` until it ends, `limit` frames are done or `stop` is set.

    Args:
        bundle: The bundle, or its folder.
        source: A source, or the address of one: a camera, a stream, a video, a folder or a glob. It
            is closed at the end.
        outputs: What to write and where; nothing but figures if left out.
        config: Back end, precision, threads and queue; the defaults if left out.
        log_config: Budget and quotas of the frame log; the defaults if left out.
        engine: How TensorRT builds its own engine.
        limit: Number of frames after which the run is over.
        stop: Ends the run when set, after the frames already read are written.
        report: Is told the progress.

    Raises:
        EdgesegError: Bundle, source, log or an output cannot be used; what was written so far is
            whole.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if isinstance(source, str):
        source = open_source(source, depth=bundle.manifest.depth_range)
    outputs, config = outputs or OutputTargets(), config or InferConfig()
    stop = stop or Event()
    classes = bundle.manifest.classes
    with ExitStack() as stack:
        stack.callback(source.close)
        for output in _checked_outputs(outputs, [bundle.path, *source.reads]):
            stack.enter_context(hold_output(output))
        if source.live and (first := next_free_number(_image_folders(outputs))):
            source = ContinuedNames(source, first)
        sinks = _open_image_sinks(outputs, classes, source.fps)
        json_sink, log = None, None
        score_check = ScoreCheck(report or NullReporter())
        sinks.append(score_check)
        if outputs.json_lines is not None:
            json_sink = JsonLinesSink(outputs.json_lines, classes, stop)
            sinks.append(json_sink)
        if outputs.log is not None:
            log = stack.enter_context(_open_log(outputs.log, bundle, log_config or LogConfig()))
            # A camera goes on while the log's disk is slow; footage can wait for it.
            sinks.append(FrameLogSink(log, wait=not source.live))
        runner = stack.enter_context(
            open_runner(
                bundle,
                config.backend,
                config.precision,
                config.threads,
                # A live frame has all threads to itself, so that its result comes soon; footage
                # takes as many frames at once as the cores allow (0).
                streams=1 if source.live else 0,
                engine=engine,
                report=report,
                stop=stop,
            )
        )
        summary = run_pipeline(
            source, runner, sinks, limit=limit, queue=config.queue, stop=stop, report=report
        )
        result = InferenceResult(summary, runner.flavour, runner.backend, runner.streams)
        result.invalid_scores = score_check.invalid
    if log is not None:  # closed by now, so nothing waits any more
        result.logged, result.log_counts = log.records_written, log.counts
        result.log_problem = log.problem
    result.reader_gone = json_sink is not None and json_sink.reader_gone
    return result


def _checked_outputs(targets: OutputTargets, reads: Sequence[Path]) -> list[Output]:
    """Return the places of overlay and masks, once no output can replace what is read.

    Raises:
        EdgesegError: One could.
    """
    outputs = []
    if targets.save is not None:
        outputs.append(Output(targets.save, "--save", not is_video_path(targets.save)))
    if targets.masks is not None:
        outputs.append(Output(targets.masks, "--masks", True))
    if targets.save is not None and is_video_path(targets.save):
        # What a killed run has left under this name may be what is read now.
        check_outputs([Output(partial_path(targets.save), "--save", False)], reads)
    if len({os.path.realpath(output.path) for output in outputs}) < len(outputs):
        raise EdgesegError(
            f"--save and --masks are both {targets.save}; give each a place of its own"
        )
    if targets.log is None:
        check_outputs(outputs, reads)
    else:
        log = Output(targets.log, "--log", True)
        check_outputs([*outputs, log], reads)
        check_disjoint(outputs, log)
    return outputs


def _image_folders(targets: OutputTargets) -> list[Path]:
    """Return the folders that get one image for each frame."""
    save = targets.save
    folders = [] if save is None or is_video_path(save) else [save]
    return [*folders, *([] if targets.masks is None else [targets.masks])]


def _open_image_sinks(
    outputs: OutputTargets, classes: Sequence[ClassSpec], fps: float | None
) -> list[Sink]:
    sinks: list[Sink] = []
    if outputs.save is not None:
        if is_video_path(outputs.save):
            sinks.append(OverlayVideoSink(outputs.save, classes, fps))
        else:
            sinks.append(OverlayImageSink(outputs.save, classes))
    if outputs.masks is not None:
        sinks.append(MaskSink(outputs.masks, classes))
    return sinks


def _open_log(folder: Path, bundle: Bundle, config: LogConfig) -> FrameLog:
    threshold = config.threshold  # the bundle's own, fitted at export, where the user gave none
    return FrameLog.open(
        folder,
        config,
        device=platform.node() or "device",
        model=bundle.digest,
        threshold=bundle.manifest.log_threshold if threshold is None else threshold,
    )


def default_overlay_path(source: Source, folder: Path) -> Path:
    """Return where overlays go when no place was named: images for images, else a video."""
    return folder / ("overlay" if isinstance(source, ImageFiles) else "overlay.mp4")
