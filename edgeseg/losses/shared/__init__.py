"""Parts that several losses share: memory banks, precision, resizing."""
