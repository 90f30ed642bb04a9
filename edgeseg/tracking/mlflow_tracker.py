"""MLflow: a database in the site's folder, or the server that `MLFLOW_TRACKING_URI` names."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.atomic_files import lock_folder
from edgeseg.errors import EdgesegError
from edgeseg.imaging.array_types import Image
from edgeseg.tracking.tracker import FOLDER, TrackedRun
from edgeseg.version import __version__

NAME = "mlflow"
UNUSUAL = re.compile(r"[^\w\-. :]")  # what a name of MLflow may not hold, beside the slash
TELLERS = ("alembic", "mlflow.store.db.utils")  # of each table that they make
TURN_SECONDS = 300.0  # that a run waits until others have opened the store
MOST_AT_ONCE = 100  # settings of one request; of figures it takes more
OVER, BROKEN_OFF = "FINISHED", "KILLED"
Item = TypeVar("Item")


class MlflowTracker:
    """One run of MLflow; a resumed training goes on in the one that it began."""

    def __init__(self, run: TrackedRun) -> None:
        """Open the run.

        Raises:
            Exception: MLflow's own, where its store cannot be reached.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported
        from mlflow import MlflowClient  # noqa: PLC0415  # optional

        for teller in TELLERS:
            logging.getLogger(teller).setLevel(logging.WARNING)
        uri = server()
        if uri:
            self._client = MlflowClient(tracking_uri=uri)
            self._run = self._open(run, None)
            return
        folder = run.root.resolve() / FOLDER
        with _in_turn(folder):  # runs of a comparison must not make the tables at once
            self._client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
            self._run = self._open(run, (folder / "artifacts").as_uri())

    def _open(self, run: TrackedRun, place: str | None) -> str:
        """Return the id of the run, which goes on or is begun.

        Args:
            run: The training.
            place: Where the pictures of a local store go.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  # optional

        known = run.remembered(NAME)
        if known is not None:
            try:
                pictures = str(self._client.get_run(known).info.artifact_uri)
                # One from before the site was moved would send them to where it was.
                if place is None or pictures.startswith(f"{place}/"):
                    self._client.update_run(known, status="RUNNING")
                    return known
            except MlflowException:
                pass  # another store, or it was deleted there: begun anew
        experiment = _experiment(self._client, run.site, place)
        tags = {
            "edgeseg.version": __version__,
            "edgeseg.site": run.site,
            "edgeseg.group": run.group,
        }
        begun = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        run.remember(NAME, begun)
        self._log_settings(begun, run.settings())
        return str(begun)

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415  # optional

        now = int(1000 * time.time())
        metrics = [Metric(key, value, now, step) for key, value in unique_keys(figures).items()]
        self._client.log_batch(self._run, metrics=metrics)
        for name, picture in pictures.items():
            self._client.log_image(self._run, picture, key=name, step=step)

    def close(self, *, finished: bool) -> None:
        self._client.set_terminated(self._run, OVER if finished else BROKEN_OFF)

    def _log_settings(self, run: str, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param  # noqa: PLC0415  # optional

        for some in _chunks(settings.items(), MOST_AT_ONCE):
            params = [Param(key, str(value)) for key, value in some]
            self._client.log_batch(run, params=params)


def unique_keys(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures under names that MLflow takes, each its own.

    For example, "iou/car|van" becomes "iou/car_van"; a second "iou/car_van" gets a number.
    """
    keyed: dict[str, float] = {}
    for name, value in figures.items():
        # One slash groups; the rest is the name of a class, which may be "..".
        group, slash, rest = name.partition("/")
        clean = UNUSUAL.sub("_", rest if slash else group).strip(". ") or "_"
        key = f"{group}/{clean}" if slash else clean
        variants = (key if number == 1 else f"{key} {number}" for number in count(1))
        keyed[next(variant for variant in variants if variant not in keyed)] = value
    return keyed


def server() -> str | None:
    """Return the address of the server that the user named, if any."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def is_remote() -> bool:
    """Return whether that is another program, not a database or folder that MLflow opens here."""
    return (server() or "").startswith(("http://", "https://", "databricks"))


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Hold a folder for this process as soon as no other one holds it.

    Raises:
        EdgesegError: Another one did not let go.
    """
    until = time.monotonic() + TURN_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock_folder(folder))
                break
            except EdgesegError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield


def _experiment(client: Any, site: str, place: str | None) -> str:  # Any: an optional library's
    """Return the id of the site's experiment.

    One whose pictures go elsewhere, since the site was moved, is left as it is: a further one has a
    number behind its name.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # optional

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or site
    for number in count(1):
        candidate = name if number == 1 else f"{name} {number}"
        found = client.get_experiment_by_name(candidate)
        if found is None:
            try:
                return str(client.create_experiment(candidate, artifact_location=place))
            except MlflowException:  # a run beside this one was quicker
                found = client.get_experiment_by_name(candidate)
                if found is None:
                    raise
        if found.lifecycle_stage == "active" and place in (None, found.artifact_location):
            return str(found.experiment_id)
    raise AssertionError("there is always a further number")


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
