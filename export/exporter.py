"""The whole export: graph, thresholds, parity chain, INT8 and FP16 behind their gates, and the
bundle in one rename.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.bundle import FLAVOURS, MANIFEST, Bundle, Manifest, write_bundle
from edgeseg.bundle.flavours import FP32
from edgeseg.bundle.golden_frames import GoldenFrames, dump_golden_frames
from edgeseg.bundle.manifest import CARD, GOLDEN
from edgeseg.config import ExportConfig, to_toml
from edgeseg.errors import BundleError, ExportError
from edgeseg.export.bundle_files import (
    ExportContext,
    add_fp16_file,
    add_fp32_file,
    add_int8_files,
    apply_gates,
    measure_latency,
)
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.parity import ValFrames
from edgeseg.export.graph.lowering import canonicalize_names, lower
from edgeseg.export.graph.pre_post_processing import Interface, logits_size
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.reporting.html_page import render_report
from edgeseg.export.reporting.model_card import render_model_card
from edgeseg.export.reporting.provenance import license_terms, provenance
from edgeseg.models.model_files import LoadedModel, load_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.open_runner import available_cores
from edgeseg.site import Site

MIN_VAL_FRAMES = 3  # frames: fewer fit no threshold
GOLDEN_FRAMES = 8


@dataclass(frozen=True)
class ExportResult:
    """A finished export.

    Attributes:
        bundle: its folder.
        folder: with `report.html` and `metrics.json`, if one was asked for.
        figures: of each step of the parity chain, and of files that were refused.
        refused: one sentence for each file that was asked for and left out.
    """

    bundle: Path
    folder: Path | None
    figures: dict[str, Any]  # Any: numbers and tables of them
    refused: list[str]


def export(
    site: Site,
    config: ExportConfig,
    run: Path,
    out: Path | None = None,
    *,
    seq: int = 0,
    record: bool = False,
    report: ProgressReporter | None = None,
) -> ExportResult:
    """Export the best weights of `run` as the bundle `out`, or as the site's
    `bundles/<verb>-<expN>-<digest>`.

    The bundle is written whole or not at all. INT8 or FP16 files that fail their gate are left out
    of it and named in `refused`.

    Args:
        record: also write a report to look at, the figures and the configuration to
            `runs/export/expN`.

    Raises:
        ExportError: the network cannot be exported, the site has too few val frames, or `out` holds
            something else.
        TrainError: the run is unfinished or damaged.
        DataError: frames are missing or damaged.
    """
    report = report or NullReporter()
    if out is not None:
        _check_target(out)
    model = load_model(run, size=config.imgsz)
    if model.card.classes != site.config.classes:
        raise ExportError(
            f"{run} was trained with other classes than edgeseg.toml has now; train it again"
        )
    work = _begin(site, config, model, report)
    log_from = add_fp32_file(work, model)
    if config.int8:
        add_int8_files(work)
    if config.half:
        add_fp16_file(work)
    measure_latency(work)
    apply_gates(work)
    work.files[GOLDEN] = _golden(work)
    height, width = logits_size(work.network)
    target = out or _default_target(site, run, work.files)
    manifest = Manifest(
        seq=seq,
        site=site.config.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=model.card.classes,
        height=work.interface.height,
        width=work.interface.width,
        entropy_height=height,
        entropy_width=width,
        gamma=work.interface.gamma,
        temperature=work.interface.temperature,
        log_threshold=log_from,
        figures=work.figures,
        provenance=provenance(site, run, model.card) | ({} if out else _parent(site, target)),
        files={},
    )
    text = render_model_card(
        manifest, len(work.val.frames), license_terms(run, model.card), work.refused
    )
    work.files[CARD] = text.encode()
    bundle = _store(target, manifest, work.files, keep=out is None)
    folder = site.make_run_folder("export") if record else None
    if folder is not None:
        write_atomic(folder / "config.toml", to_toml(site.config).encode())
        render_report(work.figures, work.refused, work.val, work.outcomes).write(
            folder / "report.html"
        )
        facts = {"bundle": bundle.path.name, "refused": work.refused, "figures": work.figures}
        write_json(folder / "metrics.json", facts)
    report.stop()
    return ExportResult(bundle.path, folder, work.figures, work.refused)


def _check_target(out: Path) -> None:
    if out.is_symlink() or (
        out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir()))
    ):
        raise ExportError(
            f"{out} exists and is no bundle, so it is not replaced; choose another --output"
        )


def _begin(
    site: Site, config: ExportConfig, model: LoadedModel, report: ProgressReporter
) -> ExportContext:
    val = site.frames("val")
    if len(val) < MIN_VAL_FRAMES:
        raise ExportError(
            f"the site has {len(val)} val frames but gamma and temperature need at least {MIN_VAL_FRAMES}; "
            "add some with `edgeseg add labels IMAGES MASKS --split val`"
        )
    size = config.imgsz or (model.card.height, model.card.width)
    report.start("writing the graph", None)
    network = canonicalize_names(lower(export_network(model.module.reparameterized(), *size)))
    interface = Interface(
        height=size[0],
        width=size[1],
        classes=len(model.card.classes),
        mean=model.card.mean,
        std=model.card.std,
    )
    network, interface = fold_std(network, interface)
    return ExportContext(
        site,
        config,
        ValFrames(site, val, size),
        network,
        interface,
        report,
        config.threads or available_cores(),
    )


def _golden(work: ExportContext) -> bytes:
    """Frames spread over val and the masks that the shipped FP32 file gives them, for devices to
    check themselves.
    """
    places = np.unique(np.linspace(0, len(work.val.frames) - 1, GOLDEN_FRAMES).round().astype(int))
    images = np.stack([work.val.image(int(place)) for place in places])
    session = open_session(work.files[FLAVOURS[FP32].file], work.threads)
    masks = np.concatenate([session.run(["mask"], {"image": image[None]})[0] for image in images])
    return dump_golden_frames(GoldenFrames(images, masks))


def _default_target(site: Site, run: Path, files: dict[str, bytes]) -> Path:
    graphs = hashlib.sha256(
        b"".join(
            hashlib.sha256(files[spec.file]).digest()
            for spec in FLAVOURS.values()
            if spec.file in files
        )
    )
    return (
        site.root
        / "bundles"
        / f"{run.resolve().parent.name}-{run.resolve().name}-{graphs.hexdigest()[:8]}"
    )


def _parent(site: Site, target: Path) -> dict[str, dict[str, str | int]]:
    """What `adapt --rollback` goes back to once the bundle at `target` is current: the one that is
    current now.
    """
    try:
        current = Bundle.open(site.current_bundle)
    except BundleError:
        return {}
    if current.path == target.resolve():
        return {}
    return {"parent": {"name": current.path.name, "seq": current.manifest.seq}}


def _store(out: Path, manifest: Manifest, files: dict[str, bytes], *, keep: bool) -> Bundle:
    """Write the bundle; with `keep`, one of the same graphs that is already there stays as it is."""
    if keep and out.exists():
        try:
            bundle = Bundle.open(out)
            bundle.verify()
            return bundle
        except BundleError:
            pass  # damaged: written anew
    bundle = write_bundle(out, manifest, files)
    for leftover in out.parent.glob(f".{out.name}.*.tmp"):  # of an export that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    return bundle
