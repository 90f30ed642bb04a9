"""The command that installs an extra of this edgeseg, whichever way it came onto the machine.

No registry has edgeseg, so `pip install 'edgeseg[device]'` finds nothing, or one day what somebody
else has put there under its name. pip notes where a package came from in `direct_url.json` (PEP
610); edgeseg from a folder or a wheel is installed from there again, and where that is gone, or
unknown, the packages of the extra are named one by one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from subprocess import list2cmdline
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from edgeseg.version import __version__

NAME = "edgeseg"
WHEEL = f"{NAME}-{__version__}-py3-none-any.whl"
CODE = Path(__file__).resolve().parents[1]  # a checkout, or site-packages
REQUIREMENT = re.compile(r"(?P<package>[^;]+?)\s*(?:;\s*(?P<marker>.+))?")
EXTRA_MARKER = re.compile(r"""(?:\band\s+)?\bextra\s*==\s*["']([^"']+)["']""")
OWN_NAME = re.compile(rf"""^name\s*=\s*["']{NAME}["']""", re.MULTILINE)
OWN_EXTRAS = re.compile(rf"{NAME}\[(?P<extras>[^]]+)]")


def install_command(*extras: str) -> str:
    """Return what to type to add extras to this edgeseg, such as "pip install -e '.[device]'".

    Args:
        extras: Names as in pyproject.toml; edgeseg's base alone without any.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    if _is_checkout():
        return _pip("-e", f"{CODE}{wanted}")
    try:
        installed = distribution(NAME)
    except PackageNotFoundError:
        return _pip(f"./{WHEEL}{wanted}")
    if origin := _origin(installed, wanted):
        return _pip(origin)
    return _pip(*_packages(installed.requires or [], extras)) or _pip(f"./{WHEEL}{wanted}")


def _is_checkout() -> bool:
    """Tell whether the package runs from its source tree; any other project may lie beside it."""
    try:
        text = (CODE / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return OWN_NAME.search(text) is not None


def _pip(*words: str) -> str:
    if not words:
        return ""
    quoted = list2cmdline(words) if os.name == "nt" else shlex.join(words)
    return f"pip install {quoted}"


def _origin(installed: Distribution, wanted: str) -> str | None:
    """Return where edgeseg was installed from, as pip takes it; None where that is gone."""
    try:
        noted: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
        url = str(noted.get("url", ""))  # Any: whatever pip, or another installer, has written
        parts, inside = urlsplit(url), str(noted.get("subdirectory") or "")
        fragment = f"#subdirectory={inside}" if inside else ""
        path = Path(url2pathname(parts.path)) if parts.scheme == "file" else None
        if path is not None and not path.exists():
            return None
        if parts.scheme and "vcs_info" in noted:
            vcs = noted["vcs_info"]
            return f"{NAME}{wanted} @ {vcs['vcs']}+{url}@{vcs['commit_id']}{fragment}"
        if path is not None and (path.is_dir() or not inside):
            return f"{path / inside}{wanted}"
        known = parts.scheme in ("file", "http", "https")
        return f"{NAME}{wanted} @ {url}{fragment}" if known else None
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None


def _packages(requires: Sequence[str], extras: Sequence[str]) -> list[str]:
    """Return the requirements of extras, or of the base, from the metadata of a wheel.

    'av>=17; extra == "device"' gives "av>=17" for the extra "device"; an extra that is made of
    others, 'edgeseg[device,train]; extra == "all"', gives theirs. What else a marker asks for, such
    as an operating system, stays with the package: pip evaluates it.
    """
    return list(dict.fromkeys(_each_package(requires, extras, set(), "")))


def _each_package(
    requires: Sequence[str], extras: Sequence[str], seen: set[str], outer: str
) -> Iterator[str]:
    """Yield packages; `outer` is the marker of the extra that these extras come from, or empty."""
    for requirement in requires:
        match = REQUIREMENT.fullmatch(requirement)
        assert match is not None, requirement
        package, marker = match["package"], match["marker"] or ""
        named = EXTRA_MARKER.search(marker)
        if named is None:
            if not extras:
                yield requirement
            continue
        if named[1] not in extras:
            continue
        rest = EXTRA_MARKER.sub("", marker).strip().removeprefix("and ")
        asked = " and ".join(part for part in (outer, rest) if part)  # each "or" is in parentheses
        own = OWN_EXTRAS.fullmatch(package)
        if own is None:
            yield f"{package}; {asked}" if asked else package
            continue
        inner = [name for name in own["extras"].split(",") if name not in seen]
        yield from _each_package(requires, inner, seen | set(extras) | set(inner), asked)
