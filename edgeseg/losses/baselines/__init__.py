"""Losses of the baselines in `edgeseg.methods.baselines`."""

__all__ = ["adversarial", "cac_directional", "dmt_weights", "gct_flaw", "image_level"]
