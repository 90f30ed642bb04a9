"""The demo: a rendered river with ground truth and an autumn that looks unlike the summer before,
on which training, export, inference and one round of adaptation are run and measured.
"""

__all__ = ["demo_runner", "html_page"]
