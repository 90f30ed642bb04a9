"""The version, alone in its file: whoever notes it down needs nothing else of edgeseg."""

__version__ = "0.1.0"
