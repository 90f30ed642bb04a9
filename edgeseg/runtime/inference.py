"""One `edgeseg infer`: a bundle, a source and everything that shall come of it."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import Backend
from edgeseg.config import EngineConfig, InferConfig, LogConfig
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.outputs.frame_log_sink import LogSink
from edgeseg.runtime.outputs.image_folder import MaskSink, PictureSink
from edgeseg.runtime.outputs.json_lines import JsonSink
from edgeseg.runtime.outputs.overlay_video import VideoSink, is_video_path
from edgeseg.runtime.pipeline import PipelineSummary, run_pipeline
from edgeseg.runtime.sources.base import Source
from edgeseg.runtime.sources.recorded_files import ImageFiles


@dataclass(frozen=True, kw_only=True)
class OutputTargets:
    """What to write and where; None for what is not wanted.

    Attributes:
        save: a video, or a folder for pictures.
        masks: a folder.
        log: a frame log.
        lines: takes a JSON line per frame.
    """

    save: Path | None = None
    masks: Path | None = None
    log: Path | None = None
    json_lines: TextIO | None = None


@dataclass
class InferenceResult:
    """What came of it.

    Attributes:
        summary: of the pipeline.
        flavour, backend, streams: what ran, and how many frames at once.
        logged: records that the frame log acknowledged; None without one.
        log_counts: frames by what the log did with them.
        log_problem: what the log's disk said last; empty while all is well.
        reader_gone: nobody reads the JSON lines any more.
    """

    summary: PipelineSummary
    flavour: Flavour
    backend: Backend
    streams: int
    logged: int | None = None
    log_counts: dict[str, int] = field(default_factory=dict)
    log_problem: str = ""
    reader_gone: bool = False

    def as_dict(self) -> dict[str, Any]:  # Any: what json can hold
        summary, statistics = self.summary, self.summary.statistics
        return {
            "frames": summary.frames,
            "seconds": round(summary.seconds, 3),
            "fps": round(summary.fps, 2),
            "ended": summary.ended,
            "flavour": self.flavour,
            "backend": self.backend,
            "streams": self.streams,
            "stages_ms": {
                stage: dict(zip(("p50", "p95", "p99"), (round(value, 3) for value in values)))
                for stage, values in summary.stages.items()
            },
            "dropped": statistics.dropped,
            "unreadable": statistics.unreadable,
            "reconnects": statistics.reconnects,
            "notes": statistics.notes,
            "logged": self.logged,
            "log_counts": self.log_counts,
        }


def infer(
    bundle: Bundle,
    source: Source,
    outputs: OutputTargets,
    config: InferConfig,
    log_config: LogConfig,
    *,
    engine: EngineConfig | None = None,
    limit: int | None = None,
    stop: Event | None = None,
    report: ProgressReporter | None = None,
) -> InferenceResult:
    """Run `bundle` on `source` until it ends, `limit` frames are done or `stop` is set.

    Raises:
        EdgesegError: bundle, source, log or an output cannot be used; what was written so far is
            whole.
    """
    stop = stop or Event()
    classes = bundle.manifest.classes
    with ExitStack() as stack:
        stack.callback(source.close)
        sinks: list[Sink] = []
        log = None
        if outputs.save is not None:
            video = is_video_path(outputs.save)
            sinks.append(
                VideoSink(outputs.save, classes, source.fps)
                if video
                else PictureSink(outputs.save, classes)
            )
        if outputs.masks is not None:
            sinks.append(MaskSink(outputs.masks, classes))
        lines = None if outputs.json_lines is None else JsonSink(outputs.json_lines, classes, stop)
        if lines is not None:
            sinks.append(lines)
        if outputs.log is not None:
            threshold = (
                bundle.manifest.log_threshold
                if log_config.threshold is None
                else log_config.threshold
            )
            device = platform.node() or "device"
            log = FrameLog.open(
                outputs.log, log_config, device=device, model=bundle.digest, threshold=threshold
            )
            stack.enter_context(log)
            sinks.append(LogSink(log, wait=not source.live))
        streams = 1 if source.live else 0
        runner = stack.enter_context(
            open_runner(
                bundle,
                config.backend,
                config.precision,
                config.threads,
                streams=streams,
                engine=engine,
                report=report,
                stop=stop,
            )
        )
        summary = run_pipeline(
            source, runner, sinks, limit=limit, queue=config.queue, stop=stop, report=report
        )
        result = InferenceResult(summary, runner.flavour, runner.backend, runner.streams)
    if log is not None:  # closed by now, so nothing waits any more
        result.logged, result.log_counts, result.log_problem = (
            log.records_written,
            log.counts,
            log.problem,
        )
    result.reader_gone = lines is not None and lines.reader_gone
    return result


def default_overlay_path(source: Source, folder: Path) -> Path:
    """Where an overlay goes when no place was named: pictures for pictures, else a video."""
    return folder / ("overlay" if isinstance(source, ImageFiles) else "overlay.mp4")
