"""PyAV, which brings FFmpeg, or a sentence on how to install it.

PyAV keeps FFmpeg from printing unless it is told otherwise; what FFmpeg says about a camera
includes its password.
"""

from __future__ import annotations

from edgeseg.errors import DependencyError

try:
    import av
except ImportError:
    raise DependencyError(
        "PyAV, which reads and writes videos, is not installed; "
        "run `pip install 'edgeseg[device]'`, or `pip install av`"
    ) from None

__all__ = ["av"]
