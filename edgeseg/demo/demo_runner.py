"""The whole job on the synthetic site: train, distil, export, infer, drift, one round, and what it
all was worth.

Every step is noted in `demo.json` when it is done; run again on the same folder, the demo goes on
where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg.adapt.round_runner import run_round
from edgeseg.atomic_files import replace_link, write_json
from edgeseg.bundle import MANIFEST, Bundle, Flavour
from edgeseg.bundle.flavours import FP32, INT8_CPU
from edgeseg.demo.demo_result import DemoResult, ModelResult
from edgeseg.demo.demo_site import QUICK, DemoSize, label_autumn, make_site
from edgeseg.demo.html_page import write_demo_page
from edgeseg.demo.measurement import SEASONS, bundle_model, measure_season, torch_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site

Output = dict[str, Any]  # Any: what json can hold
ROWS = ("SupOnly", "semi-supervised", "edge model", "INT8")
FLAVOURS: tuple[tuple[str, Flavour], ...] = (("edge model", FP32), ("INT8", INT8_CPU))
CHAMPION = "first"


def run_demo(
    folder: Path,
    *,
    quick: bool = False,
    amounts: DemoSize | None = None,
    report: ProgressReporter | None = None,
) -> DemoResult:
    """Do everything that is not done yet in `folder`.

    Args:
        quick: a few steps on a few tiny frames, to see that all parts work; the figures mean
            nothing then.
        amounts: sizes and steps, instead of the usual ones.

    Raises:
        EdgesegError: of the kind of the step that could not be done; mended, the demo goes on with
            it.
    """
    report = report or NullReporter()
    amounts = amounts or (QUICK if quick else DemoSize())
    demo = _Demo(folder, amounts, report)
    for number, (name, (title, work)) in enumerate(demo.steps().items(), 1):
        if name not in demo.done:
            report.say(f"{number}/{len(demo.steps())} {title}")
            began = time.monotonic()
            output = work()
            demo.note(name, output, time.monotonic() - began)
    return demo.result()


class _Demo:
    """The steps, each a function of what lies in the folder."""

    def __init__(self, folder: Path, amounts: DemoSize, report: ProgressReporter) -> None:
        self.folder, self.amounts, self.report = folder, amounts, report
        self._state = folder / "demo.json"
        self.done: dict[str, Output] = (
            json.loads(self._state.read_bytes()) if self._state.exists() else {}
        )

    def steps(self) -> dict[str, tuple[str, Callable[[], Output]]]:
        """Name, title and work of every step, in order."""
        return {
            "site": ("a summer at the river, of which a few mornings are labelled", self._site),
            "suponly": ("training on the labels alone", lambda: self._train("suponly")),
            "semi": (
                "training on labels and footage",
                lambda: self._train(self._open().config.train.method),
            ),
            "distill": ("distilling the edge model", self._distill),
            "export": ("exporting the bundle, INT8 and all", self._export),
            "infer": ("autumn comes: the device runs and logs what it is unsure of", self._infer),
            "before": ("measuring every model before and after the drift", self._before),
            "round": ("one round of adaptation on what the device has logged", self._round),
            "after": ("measuring what the round has brought", self._after),
            "report": ("writing the report", self._report),
        }

    def note(self, name: str, output: Output, seconds: float) -> None:
        """Remember that a step is done."""
        self.done[name] = {**output, "seconds": round(seconds, 1)}
        write_json(self._state, self.done)

    def result(self) -> DemoResult:
        """The table and the rest."""
        before, after, tour = self.done["before"], self.done["after"], self.done["infer"]
        rows = []
        for name in ROWS:
            if name in before:
                summer, autumn = (before[name][season] for season in SEASONS)
                adapted = after[name]["autumn"]["miou"] if name in after else None
                rows.append(
                    ModelResult(
                        name, summer["miou"], autumn["miou"], adapted, before[name]["summer"]["fps"]
                    )
                )
        ended = self.done["round"]
        seconds = {name: float(step["seconds"]) for name, step in self.done.items()}
        return DemoResult(
            self.folder,
            tuple(rows),
            ended["verdict"],
            ended["reason"],
            tour["logged"],
            tour["fps"],
            seconds,
            self.folder / self.done["report"]["path"],
        )

    def _open(self) -> Site:
        return Site.open(self.folder)

    def _site(self) -> Output:
        site = make_site(self.folder, self.amounts, self.report)
        return {
            split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val", "gate")
        }

    def _train(self, method: str) -> Output:
        from edgeseg.training.train import train  # noqa: PLC0415  # torch, for this step alone

        site = self._open()
        config = site.config.train.model_copy(update={"method": method})
        run = site.root / "runs" / "train" / ("exp1" if method == "suponly" else "exp2")
        run.mkdir(parents=True, exist_ok=True)
        result = train(site, config, run, resume=True, report=self.report)
        return {"run": str(run.relative_to(site.root)), "val": result.miou}

    def _distill(self) -> Output:
        from edgeseg.training.distill import distill  # noqa: PLC0415

        site = self._open()
        run = site.root / "runs" / "distill" / "exp1"
        run.mkdir(parents=True, exist_ok=True)
        teacher = site.root / self.done["semi"]["run"]
        result = distill(site, site.config.distill, teacher, run, resume=True, report=self.report)
        return {"run": str(run.relative_to(site.root)), "val": result.miou}

    def _export(self) -> Output:
        from edgeseg.export.exporter import export  # noqa: PLC0415

        site = self._open()
        run = site.root / self.done["distill"]["run"]
        out = site.root / "bundles" / CHAMPION
        result = export(site, site.config.export, run, out, seq=1, report=self.report)
        replace_link(site.current_bundle, CHAMPION)
        return {"bundle": str(out.relative_to(site.root)), "refused": list(result.refused)}

    def _infer(self) -> Output:
        from edgeseg.runtime.framelog.frame_log import FrameLog  # noqa: PLC0415
        from edgeseg.runtime.outputs.frame_log_sink import FrameLogSink  # noqa: PLC0415
        from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink  # noqa: PLC0415
        from edgeseg.runtime.pipeline import run_pipeline  # noqa: PLC0415
        from edgeseg.runtime.sources.open_source import open_source  # noqa: PLC0415

        site = self._open()
        shutil.rmtree(site.root / "device", ignore_errors=True)  # of a run that was cut off
        source = open_source(str(site.root / "card" / "autumn.mp4"), camera="gauge")
        with open_runner(
            site.current_bundle,
            threads=site.config.infer.threads,
            engine=site.config.engine,
            report=self.report,
        ) as runner:
            manifest = runner.bundle.manifest
            # What a network of a few steps is unsure of means nothing: the quick demo takes every
            # frame.
            threshold = manifest.log_threshold if self.amounts.video > QUICK.video else 0.0
            log = FrameLog.open(
                site.root / "device" / "log",
                site.config.log,
                device="demo",
                threshold=threshold,
                model=_digest(runner.bundle),
                seed=self.amounts.seed,
            )
            with log:
                sinks = [
                    OverlayVideoSink(site.root / "device" / "autumn.mp4", manifest.classes, 10.0),
                    FrameLogSink(log, wait=True),
                ]
                summary = run_pipeline(
                    source, runner, sinks, queue=site.config.infer.queue, report=self.report
                )
            counts = log.counts
        return {
            "frames": summary.frames,
            "fps": round(summary.fps, 1),
            "logged": log.records_written,
            "counts": counts,
        }

    def _before(self) -> Output:
        site = self._open()
        runs = {"SupOnly": self.done["suponly"]["run"], "semi-supervised": self.done["semi"]["run"]}
        edge = self.done["distill"]["run"]
        return self._measure(
            {**runs, "edge model": edge}, site.root / self.done["export"]["bundle"], SEASONS
        )

    def _round(self) -> Output:
        site = self._open()
        label_autumn(site, self.report)
        result = run_round(site, [site.root / "device" / "log"], report=self.report)
        folder = result.folder.relative_to(site.root)
        published = None if result.bundle is None else str(result.bundle.relative_to(site.root))
        return {
            "verdict": result.verdict,
            "reason": result.reason,
            "folder": str(folder),
            "bundle": published,
            "gate": result.figures,
        }

    def _after(self) -> Output:
        ended = self.done["round"]
        if ended["bundle"] is None:  # the champion stays, and so do its figures
            return {
                name: self.done["before"][name] for name in ROWS[1:] if name in self.done["before"]
            }
        runs = {
            "semi-supervised": f"{ended['folder']}/train",
            "edge model": f"{ended['folder']}/distill",
        }
        return self._measure(runs, self.folder / ended["bundle"], SEASONS)

    def _measure(self, runs: dict[str, str], bundle: Path, seasons: tuple[str, ...]) -> Output:
        """Figures of every run and of the bundle's INT8 file, by model and season."""
        found: Output = {}
        classes = len(self._open().config.classes)
        self.report.start("measuring", (len(runs) + 1) * len(seasons))

        def note(name: str, figures: dict[str, Output]) -> None:
            found[name] = figures
            self.report.advance(len(seasons))

        for name, run in runs.items():
            model = torch_model(self.folder / run)
            note(
                name,
                {
                    season: asdict(measure_season(model, self.folder, season, classes))
                    for season in seasons
                },
            )
        for name, flavour in FLAVOURS:
            if not Bundle.open(bundle).holds(flavour):
                continue
            with open_runner(bundle, "cpu", flavour, self._open().config.infer.threads) as runner:
                model = bundle_model(runner)
                figures = {
                    season: asdict(measure_season(model, self.folder, season, classes))
                    for season in seasons
                }
            if (
                name in found
            ):  # of the edge model only the speed: it is its ONNX file that runs on a device
                for season in seasons:
                    found[name][season]["fps"] = figures[season]["fps"]
            else:
                note(name, figures)
        self.report.stop()
        return found

    def _report(self) -> Output:
        self.done["report"] = {"path": "report.html", "seconds": 0.0}
        write_demo_page(self._open(), self.done, self.result(), self.folder / "report.html")
        return {"path": "report.html"}


def _digest(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest()
