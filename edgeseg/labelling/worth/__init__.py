"""The worth of a label: which frames teach the next model most, in order, and why."""

from edgeseg.labelling.worth.label_needs import needs
from edgeseg.labelling.worth.label_queue import build_queue, order_by_worth
from edgeseg.labelling.worth.queue_sources import QueueSource, frames_of_source
from edgeseg.labelling.worth.queued_frame import QueuedFrame

__all__ = [
    "QueueSource",
    "QueuedFrame",
    "build_queue",
    "frame_table",
    "frames_of_source",
    "model_doubts",
    "needs",
    "order_by_worth",
    "round_lists",
]
