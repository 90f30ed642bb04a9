"""A synthetic site with ground truth and drift."""

__all__ = ["demo_runner", "html_page"]
