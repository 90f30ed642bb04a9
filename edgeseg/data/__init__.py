"""Frames, masks and splits of a site, as training reads them; `ingest` takes them in."""
