"""Drafts: masks while a person works on them, kept so that nothing drawn is lost."""

__all__ = ["draft_store", "finished_masks", "label_history", "mask_edits", "mask_runs"]
