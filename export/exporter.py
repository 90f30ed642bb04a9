"""The whole export, top to bottom: graph, thresholds, parity chain, INT8 and FP16 files, bundle.

Each file is measured on val and must pass its gates; the bundle is put in place by one rename.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.atomic_files import temporary_siblings, write_atomic, write_json
from edgeseg.bundle.bundle import Bundle, write_bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32
from edgeseg.bundle.golden_frames import GoldenFrames, dump_golden_frames, golden_frame_count
from edgeseg.bundle.manifest import CARD, FILE_NAMES, GOLDEN, MANIFEST, Manifest, ManifestDepth
from edgeseg.config import ExportConfig, to_toml
from edgeseg.data.site_depth import load_site_depth
from edgeseg.data.site_needs import MIN_EXPORT_VAL_FRAMES, require_labelled_pixels
from edgeseg.errors import BundleError, DataError, ExportError
from edgeseg.export.bundle_files import add_fp16_file, add_fp32_file, apply_gates, measure_latency
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.export.export_context import ExportContext
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, logits_size
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.int8_files import add_int8_files
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.reporting.html_page import render_report
from edgeseg.export.reporting.model_card import render_model_card
from edgeseg.export.reporting.provenance import license_terms, provenance
from edgeseg.export.tensorrt.library_check import add_verdicts
from edgeseg.models.model_files import LoadedModel, load_model
from edgeseg.output_paths import Output, check_outputs
from edgeseg.processor import available_cores
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site


@dataclass(frozen=True)
class ExportResult:
    """A finished export.

    Attributes:
        bundle: The folder of the bundle.
        folder: The folder with `report.html` and `metrics.json`, if one was asked for.
        figures: The figures of each step of the parity chain, and of files that were refused.
        refused: One sentence for each file that was asked for and left out.
        remarks: One sentence for each library of NVIDIA that could not be asked about the files, or
            that none is installed.
    """

    bundle: Path
    folder: Path | None
    figures: dict[str, Any]  # Any: numbers and tables of them
    refused: list[str]
    remarks: list[str]


def export(
    site: Site,
    config: ExportConfig | None = None,
    run: Path | None = None,
    out: Path | None = None,
    *,
    seq: int = 0,
    record: bool = False,
    check: bool = False,
    report: ProgressReporter | None = None,
) -> ExportResult:
    """Export the best weights of a run as a bundle.

    The bundle is written whole or not at all. INT8 or FP16 files that fail a gate are left out of
    it and named in `refused`.

    Args:
        site: The site, whose val frames judge every file.
        config: Which files, and the gates; `site.config.export` if left out.
        run: The run to export; the newest distill run, else train run, if left out.
        out: The bundle's folder; `bundles/<verb>-<expN>-<digest>` of the site if left out.
        seq: The bundle's number, which rises with every published bundle of a site.
        record: Also write a report to look at, the figures and the configuration to
            `runs/export/expN`.
        check: Have NVIDIA's builder, where it is installed, build each file for every compute
            capability that it offers; for one if left out.
        report: Shows the progress.

    Raises:
        ExportError: The network cannot be exported, the site has too few val frames, or `out` holds
            something else.
        TrainError: The run is unfinished or damaged.
        DataError: Frames are missing or damaged.
    """
    config = config or site.config.export
    run = run or newest_model_run(site)
    report = report or NullReporter()
    if out is not None:
        _check_target(out)
    model = load_model(run, size=config.imgsz)
    if model.card.classes != site.config.classes:
        raise ExportError(
            f"{run} was trained with other classes than edgeseg.toml has now; train it again"
        )

    context = _start(site, config, model, report)
    log_from = add_fp32_file(context, model)
    if config.int8:
        add_int8_files(context)
    if config.half:
        add_fp16_file(context)
    measure_latency(context)
    remarks = add_verdicts(context, every=check) if config.ask_tensorrt or check else []
    apply_gates(context)
    context.files[GOLDEN] = dump_golden_frames(_golden_frames(context))

    target = out or _default_target(site, run, context.files)
    origin = provenance(site, run, model.card)
    if out is None:
        origin |= _parent(site, target)
    manifest = _manifest(context, model, origin, log_from, seq)
    terms = license_terms(site, run, model.card)
    card = render_model_card(manifest, len(context.val.frames), terms, context.refused)
    context.files[CARD] = card.encode()
    bundle = _write_bundle(target, manifest, context.files, keep_existing=out is None)
    folder = _write_record(context, bundle) if record else None
    report.stop()
    return ExportResult(bundle.path, folder, context.figures, context.refused, remarks)


def newest_model_run(site: Site) -> Path:
    """Return the newest finished distill run, or else the newest finished train run.

    Raises:
        DataError: There is neither.
    """
    try:
        return site.newest_finished_run("distill")
    except DataError:
        return site.newest_finished_run("train")


def _check_target(out: Path) -> None:
    """Refuse to replace anything but a bundle or an empty folder.

    Raises:
        ExportError: `out` is something else.
    """
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    is_bundle = MANIFEST in names or not names
    if out.is_symlink() or (os.path.lexists(out) and not (out.is_dir() and is_bundle)):
        raise ExportError(
            f"{out} exists and is no bundle, so it is not replaced; choose another --output"
        )
    check_outputs([Output(out, "--output", True)], in_site=("bundles", "rounds", "runs/students"))
    if foreign := sorted(names - {MANIFEST, *FILE_NAMES}):
        raise ExportError(
            f"{out} holds more than a bundle ({', '.join(foreign[:3])}), which would be lost; "
            "choose another --output"
        )


def _start(
    site: Site, config: ExportConfig, model: LoadedModel, report: ProgressReporter
) -> ExportContext:
    """Write the network as ONNX, and gather what all steps need.

    Raises:
        ExportError: The site has too few val frames, or the network cannot be exported.
    """
    val = site.frames("val")
    if len(val) < MIN_EXPORT_VAL_FRAMES:
        raise ExportError(
            f"the site has {len(val)} val frames but gamma and temperature need at least "
            f"{MIN_EXPORT_VAL_FRAMES}; add some with `edgeseg add labels IMAGES MASKS --split val`"
        )
    require_labelled_pixels(site, "val")
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
        site=site,
        config=config,
        val=ValFrames(site, val, size, model.card.fit),
        network=network,
        interface=interface,
        report=report,
        threads=config.threads or available_cores(),
    )


def _golden_frames(context: ExportContext) -> GoldenFrames:
    """Return frames spread over val with the masks that the shipped FP32 file gives them."""
    last = len(context.val.frames) - 1
    count = golden_frame_count(*context.val.size)
    indices = np.unique(np.linspace(0, last, count).round().astype(int))
    images = np.stack([context.val.image(int(index)) for index in indices])
    session = open_session(context.graph(FP32), context.threads)
    masks = [session.run(["mask"], {"image": image[None]})[0] for image in images]
    return GoldenFrames(images, np.concatenate(masks))


def _manifest(
    context: ExportContext,
    model: LoadedModel,
    origin: dict[str, Any],  # Any: names, digests and versions
    log_from: float,
    seq: int,
) -> Manifest:
    height, width = logits_size(context.network)
    interface = context.interface
    return Manifest(
        seq=seq,
        site=context.site.config.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=model.card.classes,
        height=interface.height,
        width=interface.width,
        fit=context.val.fit,
        entropy_height=height,
        entropy_width=width,
        gamma=interface.gamma,
        temperature=interface.temperature,
        log_threshold=log_from,
        figures=context.figures,
        provenance=origin,
        files={},  # filled in by `write_bundle`
        depth=_depth(context.site),
    )


def _depth(site: Site) -> ManifestDepth | None:
    """Return how the site scaled pictures of more than 8 bits, so that devices do the same."""
    depth = load_site_depth(site)
    if depth is None:
        return None
    return ManifestDepth(low=depth.low, high=depth.high, floating=depth.floating)


def _default_target(site: Site, run: Path, files: dict[str, bytes]) -> Path:
    """Return a folder in the site's `bundles`, named after the run and a digest of all graphs."""
    graphs = [files[spec.file] for spec in FLAVOURS.values() if spec.file in files]
    digests = b"".join(hashlib.sha256(graph).digest() for graph in graphs)
    run = run.resolve()
    name = f"{run.parent.name}-{run.name}-{hashlib.sha256(digests).hexdigest()[:8]}"
    return site.root / "bundles" / name


def _parent(site: Site, target: Path) -> dict[str, dict[str, str | int]]:
    """Return the bundle that is current now, which `adapt --rollback` goes back to.

    It is empty where there is none, or where it is the one that is written.
    """
    try:
        current = Bundle.open(site.current_bundle)
    except BundleError:
        return {}
    if current.path == target.resolve():
        return {}
    return {"parent": {"name": current.path.name, "seq": current.manifest.seq}}


def _write_bundle(
    target: Path, manifest: Manifest, files: dict[str, bytes], *, keep_existing: bool
) -> Bundle:
    """Write the bundle, and remove what an export that was killed left beside it.

    Args:
        keep_existing: Leave an undamaged bundle at `target` as it is; its name says that its graphs
            are the same.
    """
    if keep_existing and target.exists():
        try:
            bundle = Bundle.open(target)
            bundle.verify()
            return bundle
        except BundleError:
            pass  # damaged: written anew
    bundle = write_bundle(target, manifest, files)
    for leftover in temporary_siblings(target):
        shutil.rmtree(leftover, ignore_errors=True)
    return bundle


def _write_record(context: ExportContext, bundle: Bundle) -> Path:
    """Write configuration, report and figures of the export to a new `runs/export/expN`."""
    folder = context.site.make_run_folder("export")
    write_atomic(folder / "config.toml", to_toml(context.site.config).encode())
    page = render_report(
        context.figures, context.refused, context.val, context.evaluations, context.reliabilities
    )
    page.write(folder / "report.html")
    facts = {"bundle": bundle.path.name, "refused": context.refused, "figures": context.figures}
    write_json(folder / "metrics.json", facts)
    return folder
