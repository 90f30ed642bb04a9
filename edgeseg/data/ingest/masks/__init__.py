"""The masks that people hand in: what a file holds, what that means, and what the whole set tells.

`raw_mask` opens a file, `mask_rules` is what the user said about the masks, `mask_palette` decides
between the indices and the colors of a palette, `mask_reader` puts the three together, and
`mask_survey` looks at all masks of a set before one of them is believed.
"""

__all__ = ["mask_facts", "mask_reader", "mask_rules", "mask_survey", "raw_mask"]
