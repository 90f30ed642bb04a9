"""Weights & Biases: files in the site's folder for `wandb sync`, or online by `WANDB_MODE`."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from typing import Any

from edgeseg.imaging.array_types import Image
from edgeseg.tracking.tracker import FOLDER, TrackedRun

NAME = "wandb"
REFUSED = re.compile(r"[/\\#?%:]")  # in names of projects
LONGEST = 128  # characters of one
STEP = "step"  # W&B's own counter goes up only, and a resumed run goes back to its checkpoint


class WandbTracker:
    """One run of W&B; a resumed training has the id of the one that it began."""

    def __init__(self, run: TrackedRun) -> None:
        """Open the run.

        Raises:
            Exception: W&B's own, where it is online and its server cannot be reached.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before it is imported
        import wandb  # noqa: PLC0415  # optional

        folder = run.root.resolve() / FOLDER
        folder.mkdir(exist_ok=True)
        known = run.remembered(NAME)
        identity = known or uuid.uuid4().hex[:16]
        run.remember(NAME, identity)
        mode = os.environ.get("WANDB_MODE", "offline")
        self._image = wandb.Image
        self._run: Any = wandb.init(
            id=identity,
            # Offline it is not asked what the server knows: a further file of the same id begins.
            resume="allow" if known and mode == "online" else None,
            mode=mode,
            project=os.environ.get("WANDB_PROJECT") or project_name(run.site),
            name=run.name,
            group=run.group,
            job_type=run.name.partition("/")[0],
            dir=str(folder),
            config=run.settings(),
            reinit="create_new",
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, save_code=False
            ),
        )
        self._run.define_metric("*", step_metric=STEP)

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        images = {name: self._image(picture) for name, picture in pictures.items()}
        self._run.log({**figures, **images, STEP: step})

    def close(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


def project_name(site: str) -> str:
    """Return the name of a site as one that W&B takes: "yard: a/b" becomes "yard_ a_b"."""
    return REFUSED.sub("_", site)[:LONGEST]
