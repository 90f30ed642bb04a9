"""The records of devices' frame logs: their import into the site, and the choice of those that a
round learns from.
"""

__all__ = ["record_import", "record_selection"]
