"""The device: sources, pipeline, runner, frame log. No torch here."""
