"""Names made from a source's address: safe as file names, and without its password."""

from __future__ import annotations

import re

# scheme://user:password@ ; to the last @, as passwords may hold one. The user may be shown.
CREDENTIALS = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)([^\s:@/]*)(:?).*@")
SECRET_VALUES = re.compile(r"(?i)((?:pass\w*|pwd|token|secret|auth\w*|api_?key|key)=)[^&;\s]+")


def safe_name(text: str) -> str:
    """Return `text` with nothing in it that a file name or a camera name must not hold.

    "10.0.0.7:554/live/1" gives "10.0.0.7-554-live-1".
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "camera"


def redact(text: str) -> str:
    """Return `text` with *** for passwords and for the values of secret keys.

    "rtsp://bob:geheim@cam/x?token=1" gives "rtsp://bob:***@cam/x?token=***".
    """
    return SECRET_VALUES.sub(r"\1***", CREDENTIALS.sub(_hide_password, text))


def _hide_password(match: re.Match[str]) -> str:
    scheme, user, colon = match.groups()
    # Without a colon what stands before the @ is a token or a user; it may be a secret.
    return f"{scheme}{user}:***@" if colon else f"{scheme}***@"
