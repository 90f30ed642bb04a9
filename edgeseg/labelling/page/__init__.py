"""`edgeseg label`: the page in the browser, and the server behind it (extra `review`)."""

__all__ = ["queue_rows", "server"]
