"""The best model that a site has.

The published bundle runs without torch. A run that finished after it has seen newer labels and goes
first where torch is installed; without a bundle the newest run is all there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from edgeseg.bundle import MANIFEST
from edgeseg.errors import DataError, EdgesegError
from edgeseg.labelling.site_models.bundle_model import open_bundle_model
from edgeseg.labelling.site_models.model_view import SiteModel
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

RUN_VERBS = ("train", "distill")
RUN_FILES = ("model.json", "weights/best.safetensors")


@contextmanager
def open_best_model(
    site: Site, report: ProgressReporter | None = None
) -> Iterator[SiteModel | None]:
    """Open the best model of a site for the length of a `with` block; None where it has none.

    Args:
        site: The site.
        report: Told of models that cannot be used, with the reason.
    """
    with ExitStack() as stack:
        yield _first_usable(site, stack, report or NullReporter())


def models_best_first(site: Site) -> list[Path]:
    """Return the current bundle and the newest finished runs, the one made last first."""
    manifest = site.current_bundle / MANIFEST
    models = [(manifest.stat().st_mtime, site.current_bundle)] if manifest.is_file() else []
    for verb in RUN_VERBS if find_spec("torch") is not None else ():
        try:
            run = site.newest_finished_run(verb)
        except DataError:
            continue  # there is none
        if all((run / name).is_file() for name in RUN_FILES):
            models.append(((run / "metrics.json").stat().st_mtime, run))
    return [path for _, path in sorted(models, key=lambda model: -model[0])]


def _first_usable(site: Site, stack: ExitStack, report: ProgressReporter) -> SiteModel | None:
    for path in models_best_first(site):
        try:
            if path == site.current_bundle:
                return stack.enter_context(open_bundle_model(site))
            from edgeseg.labelling.site_models.run_model import RunModel  # noqa: PLC0415

            return RunModel(site, path)
        except EdgesegError as error:
            report.say(f"going on without {path.relative_to(site.root)}: {error}")
    return None
