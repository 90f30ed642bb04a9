"""What training reads, for the page: which trainings there are, and the batch of a step.

The first batch imports torch and builds the network; until then nothing here needs it.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.config import DistillConfig, LoopConfig, TrainConfig, load_saved_config
from edgeseg.errors import DataError, DependencyError, EdgesegError, TrainError
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.worth import round_lists
from edgeseg.site import FrameNames, Site

if TYPE_CHECKING:
    from edgeseg.training.inspection import StepInspector

VERBS: dict[str, type[TrainConfig] | type[DistillConfig]] = {
    "train": TrainConfig,
    "distill": DistillConfig,
}
IDLE_SECONDS = 300  # until an opened training is closed again
Content = dict[str, Any]  # Any: what JSON can hold


class TrainingReads:
    """The trainings of a site as the page shows them; one is kept open at a time."""

    def __init__(
        self, site: Site, frames: FrameLookup | None = None, *, on_gpu: bool = False
    ) -> None:
        """Open nothing yet.

        Args:
            frames: The index, which other parts of the page may share.
            on_gpu: Whether trainings that mean a GPU are looked at on one.
        """
        self._site, self._on_gpu = site, on_gpu
        self._frames = frames or FrameLookup(site)
        self._names = FrameNames(site)
        self._lock = threading.Lock()
        self._idle: threading.Timer | None = None
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
            EdgesegError: There is no such run, the training could not begin, or it takes more
                memory than there is.
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
            try:
                if self._inspector is None or key != self._key:
                    self._drop()  # before the next one is built
                    self._open(verb, folder)
                    self._key = key
                assert self._inspector is not None
                from edgeseg.labelling.browse.batch_content import batch_content  # noqa: PLC0415

                return batch_content(self._inspector, self._name, step)
            except (RuntimeError, MemoryError) as error:  # of torch, which says so in many lines
                self._drop()
                what = (str(error).strip() or "there is not enough memory").splitlines()[0]
                raise TrainError(
                    f"this batch cannot be made here ({what}); end what else takes memory, or "
                    "look at another training"
                ) from None
            finally:
                self._wait_for_the_next()

    def close(self) -> None:
        """Free what is open."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._drop()

    def _open(self, verb: str, run: Path | None) -> None:
        from edgeseg.training.inspection import StepInspector  # noqa: PLC0415

        focus = _focus(run) if run is not None else frozenset()
        self._inspector = StepInspector(self._site, verb, run, focus, on_gpu=self._on_gpu)
        self._names = FrameNames(self._site)  # with the clocks of frames that came home since

    def _drop(self) -> None:
        if self._inspector is not None:
            self._inspector.close()
        self._inspector = None

    def _wait_for_the_next(self) -> None:
        """Free the memory when nobody has looked for a while."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(IDLE_SECONDS, self.close)
        self._idle.daemon = True
        self._idle.start()

    def _name(self, frame_id: str) -> str:
        frame = self._frames.all().get(frame_id)
        return frame_id if frame is None else self._names.of(frame)

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
