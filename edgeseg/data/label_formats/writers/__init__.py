"""One module for each format that is written."""

__all__: list[str] = []
