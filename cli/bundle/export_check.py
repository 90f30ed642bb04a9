"""`edgeseg export --check`: what can be told of a bundle's files for TensorRT before a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.export.tensorrt.checklist import ChecklistPoint

Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics


def check_bundle(bundle: Path | None, overrides: list[str], *, as_json: bool) -> None:
    """Print what each point found, and what NVIDIA's code says; exit code 1 if anything failed.

    Args:
        bundle: Its folder; the site's current one if None.
        overrides: Overrides of edgeseg.toml, "infer.threads=2".
        as_json: Print JSON on stdout as well.

    Raises:
        ExportError: The bundle holds no INT8 file, and nothing is installed that looks at others.
        BundleError: It cannot be used.
    """
    from edgeseg.cli.bundle.export_tables import print_library_verdicts, print_points
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.errors import ExportError
    from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist
    from edgeseg.export.tensorrt.library_check import ask_about_bundle
    from edgeseg.installation import install_command
    from edgeseg.runtime.backends.tensorrt.libraries import installed_backends

    _, opened, config = open_bundle(bundle, overrides)
    files = CheckedFiles.of(opened)
    has_int8 = files.trt is not None or files.cpu is not None
    if not has_int8 and not installed_backends():
        raise ExportError(
            f"{opened.path} holds no INT8 file to check; make one with `edgeseg export --int8`, or "
            f"have its float files read by NVIDIA's own parser: `{install_command('tensorrt-rtx')}`"
        )
    points = run_checklist(files)
    if has_int8:
        print_points(points)
    else:
        say("the checklist is about INT8 files, and the bundle holds none")
    with progress_bar() as bar:
        answers = ask_about_bundle(opened, config.engine, config.export, bar)
    figures = answers.figures()
    print_library_verdicts(figures)
    for remark in answers.remarks:
        say(remark)
    if as_json:
        facts = {"bundle": str(opened.path), **points_as_json(points), "figures": figures}
        print(to_json(facts))
    if not say_failures(opened.path, points, figures):
        raise typer.Exit(1)


def check_exported(bundle: Path) -> list[ChecklistPoint]:
    """Return what each point of the checklist says of a bundle that was just exported."""
    from edgeseg.bundle import Bundle
    from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist

    return run_checklist(CheckedFiles.of(Bundle.open(bundle)))


def points_as_json(points: Sequence[ChecklistPoint]) -> dict[str, Any]:  # Any: JSON
    """Return the points as `--json` prints them."""
    rows = [
        {"point": point.number, "title": point.title, "findings": point.findings}
        for point in points
    ]
    return {"points": rows}


def say_failures(bundle: Path, points: Sequence[ChecklistPoint], figures: Figures) -> bool:
    """Tell what failed and what to do about it; return whether nothing did."""
    from edgeseg.cli.shared.console import say
    from edgeseg.export.evaluation.gates import OTHER_NETWORK
    from edgeseg.export.evaluation.library_verdicts import problem_sentences

    failed = [str(point.number) for point in points if not point.passed]
    if failed:
        say(
            f"{bundle} does not pass point{'s' * (len(failed) > 1)} {', '.join(failed)}; "
            "export it again with `edgeseg export --int8`, or report what is said above",
            style="bold",
        )
    problems = problem_sentences(figures)
    for sentence in problems:
        say(f"{sentence}; {OTHER_NETWORK}", style="bold")
    return not failed and not problems
