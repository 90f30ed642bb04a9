"""Where the figures and pictures of a training go while it runs: TensorBoard, MLflow, W&B.

All of them are a `Tracker`. What leaves the machine's disk is the user's choice, never the default,
and a tracker's fault is a note, never the end of a training.
"""

from edgeseg.tracking.run_trackers import RunTrackers, open_trackers, require_trackers
from edgeseg.tracking.tracker import TrackedRun, Tracker

__all__ = ["RunTrackers", "TrackedRun", "Tracker", "open_trackers", "require_trackers"]
