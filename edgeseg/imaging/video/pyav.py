"""PyAV, which brings FFmpeg, or a sentence on how to install it.

PyAV keeps FFmpeg from printing unless it is told otherwise; what FFmpeg says about a camera
includes its password.
"""

from __future__ import annotations

from edgeseg.errors import DependencyError
from edgeseg.installation import install_command

try:
    import av
except ImportError:
    raise DependencyError(
        "PyAV, which reads and writes videos, is not installed; "
        f"run `{install_command('device')}`, or `pip install av`"
    ) from None

__all__ = ["av"]
