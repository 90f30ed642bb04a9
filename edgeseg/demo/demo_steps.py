"""The steps of the demo: make the site, train, distil, export, run the device through the drift,
adapt in one round, and measure what it all was worth.

Each is a function of what lies in the folder, and returns what `demo.json` notes of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeseg.adapt.round_runner import run_round
from edgeseg.atomic_files import replace_link
from edgeseg.bundle import Bundle
from edgeseg.demo.demo_result import MODELS, REPORT_FILE, StepOutput, summarize_demo
from edgeseg.demo.demo_site import CAMERA, QUICK, VIDEO_FPS, DemoSize, label_autumn, make_site
from edgeseg.demo.html_page import write_demo_page
from edgeseg.demo.measurement import (
    BUNDLE_MODELS,
    SEASONS,
    Segmenter,
    bundle_segmenter,
    measure_season,
    model_segmenter,
)
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site

FIRST_BUNDLE = "first"


@dataclass(frozen=True)
class DemoContext:
    """The context that the steps are given.

    Attributes:
        folder: The site.
        size: How many frames and steps.
        done: The outputs of the steps before, by name.
        report: Where progress is told.
    """

    folder: Path
    size: DemoSize
    done: dict[str, StepOutput]
    report: ProgressReporter

    def open_site(self) -> Site:
        """Open the site as it is now."""
        return Site.open(self.folder)


@dataclass(frozen=True)
class DemoStep:
    """A step: its key in `demo.json`, its title for people, and what it does."""

    name: str
    title: str
    run: Callable[[DemoContext], StepOutput]


def _make_site(demo: DemoContext) -> StepOutput:
    site = make_site(demo.folder, demo.size, demo.report)
    return {split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val", "gate")}


def _train_supervised(demo: DemoContext) -> StepOutput:
    return _train(demo, "suponly", "exp1")


def _train_semi_supervised(demo: DemoContext) -> StepOutput:
    return _train(demo, demo.open_site().config.train.method, "exp2")


def _train(demo: DemoContext, method: str, run_name: str) -> StepOutput:
    from edgeseg.training.train import train  # noqa: PLC0415  # torch, for this step alone

    site = demo.open_site()
    config = site.config.train.model_copy(update={"method": method})
    run = site.root / "runs" / "train" / run_name
    run.mkdir(parents=True, exist_ok=True)
    result = train(site, config, run, resume=True, report=demo.report)
    return {"run": str(run.relative_to(site.root)), "val": result.miou}


def _distill(demo: DemoContext) -> StepOutput:
    from edgeseg.training.distill import distill  # noqa: PLC0415  # torch, likewise

    site = demo.open_site()
    run = site.root / "runs" / "distill" / "exp1"
    run.mkdir(parents=True, exist_ok=True)
    teacher = site.root / demo.done["semi"]["run"]
    result = distill(site, site.config.distill, teacher, run, resume=True, report=demo.report)
    return {"run": str(run.relative_to(site.root)), "val": result.miou}


def _export(demo: DemoContext) -> StepOutput:
    from edgeseg.export.exporter import export  # noqa: PLC0415  # torch, likewise

    site = demo.open_site()
    run = site.root / demo.done["distill"]["run"]
    out = site.root / "bundles" / FIRST_BUNDLE
    result = export(site, site.config.export, run, out, seq=1, report=demo.report)
    replace_link(site.current_bundle, FIRST_BUNDLE)
    return {"bundle": str(out.relative_to(site.root)), "refused": list(result.refused)}


def _run_device(demo: DemoContext) -> StepOutput:
    """Run the bundle over the autumn video, with overlay video and frame log."""
    from edgeseg.runtime.framelog.frame_log import FrameLog  # noqa: PLC0415
    from edgeseg.runtime.outputs.frame_log_sink import FrameLogSink  # noqa: PLC0415
    from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink  # noqa: PLC0415
    from edgeseg.runtime.pipeline import run_pipeline  # noqa: PLC0415
    from edgeseg.runtime.sources.open_source import open_source  # noqa: PLC0415

    site = demo.open_site()
    config, device = site.config, site.root / "device"
    shutil.rmtree(device, ignore_errors=True)  # of a run that was cut off
    source = open_source(str(site.root / "card" / "autumn.mp4"), camera=CAMERA)
    with open_runner(
        site.current_bundle, threads=config.infer.threads, engine=config.engine, report=demo.report
    ) as runner:
        manifest = runner.bundle.manifest
        # What a network of a few steps is unsure of means nothing: the quick demo logs every frame.
        threshold = manifest.log_threshold if demo.size.video > QUICK.video else 0.0
        log = FrameLog.open(
            device / "log",
            config.log,
            device="demo",
            threshold=threshold,
            model=runner.bundle.digest,
            seed=demo.size.seed,
        )
        with log:
            sinks = [
                OverlayVideoSink(device / "autumn.mp4", manifest.classes, VIDEO_FPS),
                FrameLogSink(log, wait=True),
            ]
            summary = run_pipeline(
                source, runner, sinks, queue=config.infer.queue, report=demo.report
            )
        counts = log.counts
    return {
        "frames": summary.frames,
        "fps": round(summary.fps, 1),
        "logged": log.records_written,
        "counts": counts,
    }


def _measure_before(demo: DemoContext) -> StepOutput:
    runs = {
        "SupOnly": demo.done["suponly"]["run"],
        "semi-supervised": demo.done["semi"]["run"],
        "edge model": demo.done["distill"]["run"],
    }
    return _measure_models(demo, runs, demo.folder / demo.done["export"]["bundle"])


def _adapt(demo: DemoContext) -> StepOutput:
    site = demo.open_site()
    label_autumn(site, demo.report)
    result = run_round(site, [site.root / "device" / "log"], report=demo.report)
    return {
        "verdict": result.verdict,
        "reason": result.reason,
        "folder": str(result.folder.relative_to(site.root)),
        "bundle": None if result.bundle is None else str(result.bundle.relative_to(site.root)),
        "gate": result.figures,
    }


def _measure_after(demo: DemoContext) -> StepOutput:
    before, adaptation = demo.done["before"], demo.done["round"]
    if adaptation["bundle"] is None:  # the champion stays, and so do its figures
        return {name: before[name] for name in MODELS[1:] if name in before}
    runs = {
        "semi-supervised": f"{adaptation['folder']}/train",
        "edge model": f"{adaptation['folder']}/distill",
    }
    return _measure_models(demo, runs, demo.folder / adaptation["bundle"])


def _measure_models(demo: DemoContext, runs: dict[str, str], bundle_path: Path) -> StepOutput:
    """Return the figures of every run and of the bundle's files, by model and season.

    The edge model is measured twice: its mIoU as it was trained, its speed as the ONNX file that
    runs on a device.
    """
    site = demo.open_site()
    figures: StepOutput = {}
    demo.report.start("measuring", (len(runs) + 1) * len(SEASONS))
    for name, run in runs.items():
        figures[name] = _measure_seasons(demo, site, model_segmenter(demo.folder / run))
        demo.report.advance(len(SEASONS))
    bundle = Bundle.open(bundle_path)
    for name, flavour in BUNDLE_MODELS:
        if not bundle.holds(flavour):
            continue
        with open_runner(bundle, "cpu", flavour, site.config.infer.threads) as runner:
            measured = _measure_seasons(demo, site, bundle_segmenter(runner))
        if name in figures:
            for season in SEASONS:
                figures[name][season]["fps"] = measured[season]["fps"]
        else:
            figures[name] = measured
            demo.report.advance(len(SEASONS))
    demo.report.stop()
    return figures


def _measure_seasons(demo: DemoContext, site: Site, model: Segmenter) -> dict[str, StepOutput]:
    classes = len(site.config.classes)
    return {
        season: asdict(measure_season(model, demo.folder, season, classes)) for season in SEASONS
    }


def _write_report(demo: DemoContext) -> StepOutput:
    result = summarize_demo(demo.folder, demo.done)
    write_demo_page(demo.open_site(), demo.done, result, demo.folder / REPORT_FILE)
    return {"path": REPORT_FILE}


STEPS = (
    DemoStep("site", "a summer at the river, of which a few mornings are labelled", _make_site),
    DemoStep("suponly", "training on the labels alone", _train_supervised),
    DemoStep("semi", "training on labels and footage", _train_semi_supervised),
    DemoStep("distill", "distilling the edge model", _distill),
    DemoStep("export", "exporting the bundle, INT8 and all", _export),
    DemoStep("infer", "autumn comes: the device runs and logs what it is unsure of", _run_device),
    DemoStep("before", "measuring every model before and after the drift", _measure_before),
    DemoStep("round", "one round of adaptation on what the device has logged", _adapt),
    DemoStep("after", "measuring what the round has brought", _measure_after),
    DemoStep("report", "writing the report", _write_report),
)
