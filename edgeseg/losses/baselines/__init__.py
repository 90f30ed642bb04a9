"""Losses of the baselines in `edgeseg.methods.baselines`."""
