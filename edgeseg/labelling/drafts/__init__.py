"""Drafts: masks while a person works on them, kept so that nothing drawn is lost."""

__all__ = [
    "draft",
    "draft_leases",
    "draft_store",
    "finished_masks",
    "frame_lookup",
    "journal",
    "mask_edits",
    "mask_runs",
    "predictions",
    "site_masks",
    "unfinished_drafts",
]
