"""Commands for the device: infer, log."""
