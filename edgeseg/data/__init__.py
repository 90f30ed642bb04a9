"""Footage, masks, splits, and what training reads from them."""
