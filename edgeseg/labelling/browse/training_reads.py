"""What training reads, for the page: which trainings there are, and the batch of a step.

The first batch imports torch and builds the network; until then nothing here needs it.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.config import DistillConfig, LoopConfig, TrainConfig, load_saved_config
from edgeseg.errors import DataError, DependencyError, EdgesegError
from edgeseg.labelling.worth import round_lists
from edgeseg.site import Site

if TYPE_CHECKING:
    from edgeseg.training.inspection import StepInspector

VERBS: dict[str, type[TrainConfig] | type[DistillConfig]] = {
    "train": TrainConfig,
    "distill": DistillConfig,
}
Content = dict[str, Any]  # Any: what JSON can hold


class TrainingReads:
    """The trainings of a site as the page shows them; one is kept open at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._inspector: StepInspector | None = None

    def trainings(self) -> Content:
        """Return the runs, newest first, and what `edgeseg.toml` would train now."""
        found = []
        for verb, kind in VERBS.items():
            for name, run in reversed(self._runs(verb).items()):
                try:
                    config = load_saved_config(kind, run / "config.toml")
                except EdgesegError:
                    continue  # not begun, or of another version
                found.append(_described(verb, name, config, _checkpoint_step(run)))
            own = self._site.config.train if verb == "train" else self._site.config.distill
            found.append(_described(verb, "", own, None))
        return {"trainings": found, "has_torch": find_spec("torch") is not None}

    def batch(self, verb: str, run: str, step: int) -> Content:
        """Return what a step reads.

        Args:
            verb: "train" or "distill".
            run: A run, such as "runs/train/exp3" or "rounds/0002/train"; empty for what
                `edgeseg.toml` would train now.
            step: Counted from 0; -1 for the one that the newest checkpoint goes on with.

        Raises:
            EdgesegError: There is no such run, or the training could not begin.
        """
        if verb not in VERBS:
            raise DataError(f"there is no training {verb[:20]!r}; choose train or distill")
        folders = self._runs(verb)
        if run and run not in folders:
            raise DataError(f"the site has no {verb} run {run[:40]!r}; load the page again")
        if find_spec("torch") is None:
            raise DependencyError(
                "what training reads is made by the trainer itself, and torch is not installed "
                "here; run this where you train"
            )
        folder = folders.get(run)
        with self._lock:
            key = (verb, run, _stamps(self._site, folder))
            if self._inspector is None or key != self._key:
                if self._inspector is not None:
                    self._inspector.close()
                self._inspector = None  # before the next one is built
                from edgeseg.training.inspection import StepInspector  # noqa: PLC0415

                focus = _focus(folder) if folder is not None else frozenset()
                self._inspector = StepInspector(self._site, verb, folder, focus)
                self._key = key
            from edgeseg.labelling.browse.batch_content import batch_content  # noqa: PLC0415

            return batch_content(self._site, self._inspector, step)

    def _runs(self, verb: str) -> dict[str, Path]:
        """Return the runs of a command, then those of rounds of adaptation, oldest first."""
        root = self._site.root
        of_rounds = sorted((root / "rounds").glob(f"[0-9]*/{verb}/config.toml"))
        runs = [*self._site.runs(verb), *(path.parent for path in of_rounds)]
        return {path.relative_to(root).as_posix(): path for path in runs}


def _focus(run: Path) -> frozenset[str]:
    """Return the frames that a round of adaptation draws more often; none of other runs."""
    if run.parent.parent.name != "rounds":
        return frozenset()
    selected = round_lists.read_round_list(run.parent, round_lists.SELECTED)
    return frozenset(entry.frame for entry in selected)


def _described(verb: str, run: str, config: LoopConfig, checkpoint: int | None) -> Content:
    method = config.method if isinstance(config, TrainConfig) else "distillation"
    return {
        "verb": verb,
        "run": run,
        "method": method,
        "steps": config.steps,
        "seed": config.seed,
        "checkpoint": checkpoint,
    }


def _checkpoint_step(run: Path) -> int | None:
    names = [path.name.split("-") for path in (run / "checkpoint").glob("step-*.safetensors")]
    steps = [int(parts[1]) for parts in names if len(parts) == 3 and parts[1].isdigit()]
    return max(steps, default=None)


def _stamps(site: Site, run: Path | None) -> tuple[object, ...]:
    """Return what changes whenever a training would read something else."""
    paths = [site.index, site.root / "edgeseg.toml"]
    if run is not None:
        paths += sorted((run / "checkpoint").glob("*.safetensors"))
        paths.append(run / "metrics.json")
    stamps = []
    for path in paths:
        try:
            stamps.append((path.name, path.stat().st_mtime_ns))
        except OSError:
            stamps.append((path.name, 0))
    return tuple(stamps)
