"""`edgeseg add`: footage and labels, as people hand them in, become frames and masks of a site."""

__all__ = [
    "add_footage",
    "add_labels",
    "image_files",
    "image_mask_pairs",
    "known_predictions",
    "label_pair",
    "masks",
    "pair_names",
    "site_writer",
]
