"""framelog."""
