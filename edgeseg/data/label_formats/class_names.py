"""Names of classes as label tools write them, and the classes of the site that they stand for.

What `--map NAME=CLASS` says comes first, then the class of that name, then the class that differs
by case, and by spaces, "-" and "_" alone. `ignore` and `__ignore__` mean "not labelled". A
background that the site has no class for is the rest, of which `--rest` decides. All other names
are faults, which are told at once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import IGNORE

IGNORE_NAMES = frozenset({"ignore"})
BACKGROUND_NAMES = frozenset({"background", "bg"})
OTHERS = "*"
MOST_NAMED = 30


class ClassNames:
    """Turns names into ids, and remembers those that it could not.

    Attributes:
        rest: The id of pixels that no shape covers.
        rest_pixels, pixels: Pixels of the rest, and all, that were drawn so far.
    """

    def __init__(
        self, classes: Sequence[str], mapping: Iterable[str] = (), rest: str = "ignore"
    ) -> None:
        """Take the classes of the site and what the user said about names.

        Args:
            classes: In the order of their ids.
            mapping: Texts "NAME=CLASS"; CLASS is an id, a name or "ignore", NAME may be "*", which
                stands for all that have no other meaning.
            rest: "ignore" or the class of what no shape covers.

        Raises:
            ConfigError: A text is none, or names no class of the site.
        """
        self._classes = list(classes)
        self._exact = {name: index for index, name in enumerate(classes)}
        self._plain = _by_plain_name(classes)
        self._mapped: dict[str, int] = {}
        for text in mapping:
            name, equals, target = text.rpartition("=")
            if not equals or not name.strip():
                raise ConfigError(f"--map {text!r} is not NAME=CLASS; write it like car=vehicle")
            value = self._target(target.strip(), f"--map {text!r}")
            if self._mapped.setdefault(name.strip(), value) != value:
                raise ConfigError(f"two --map give {name.strip()!r} two meanings; keep one of them")
        self._others = self._mapped.pop(OTHERS, None)
        self.rest = self._target(rest.strip(), f"--rest {rest}")
        self._unknown: dict[str, None] = {}
        self._used: set[str] = set()
        self.rest_pixels = self.pixels = 0

    def id_of(self, name: str) -> int:
        """Return the id of a class by its foreign name; `IGNORE` for one that is unknown."""
        name = name.strip()
        self._used.add(name)
        found = self._known(name)
        if found is None:
            self._unknown.setdefault(name)
            return IGNORE
        return found

    def _known(self, name: str) -> int | None:
        if name in self._mapped:
            return self._mapped[name]
        if name in self._exact:
            return self._exact[name]
        plain = plain_name(name)
        if plain in self._plain:
            return self._plain[plain]
        if plain in IGNORE_NAMES:
            return IGNORE
        if plain in BACKGROUND_NAMES:
            return self.rest
        return self._others

    def check(self, listed: Iterable[str] = ()) -> None:
        """See that every name that was asked for is known, and every `--map` was of use.

        Args:
            listed: Classes that the export names but may not show.

        Raises:
            DataError: With all unknown names and the options that mend it.
        """
        if self._unknown:
            names = list(self._unknown)
            listed = ", ".join(map(repr, names[:MOST_NAMED]))
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            options = " ".join(f"--map {shlex.quote(f'{name}=ignore')}" for name in names[:3])
            raise DataError(
                f"nothing was added, for these labels are of no class of the site: {listed}{more}; "
                f"say what each means, like {options} (or a class instead of ignore: "
                f"{self._known_classes()}); --map '*=ignore' speaks for all others"
            )
        useless = [name for name in self._mapped if name not in self._used | set(listed)]
        if useless:
            seen = ", ".join(sorted(self._used)[:MOST_NAMED]) or "none"
            raise DataError(
                f"nothing was added, for --map names {useless[0]!r}, which no label of this export "
                f"has; it has {seen}"
            )

    def _target(self, text: str, option: str) -> int:
        """Return the class that an option names by id or name, `IGNORE` for "ignore"."""
        if text in self._exact:
            return self._exact[text]
        if plain_name(text) in self._plain:
            return self._plain[plain_name(text)]
        if text.isascii() and text.isdecimal() and int(text) < len(self._classes):
            return int(text)
        if text.casefold() == "ignore" or text == str(IGNORE):
            return IGNORE
        raise ConfigError(
            f"{option} names no class of the site; give one of {self._known_classes()}, or ignore"
        )

    def _known_classes(self) -> str:
        return ", ".join(self._classes[:8]) + (", ..." if len(self._classes) > 8 else "")


def plain_name(name: str) -> str:
    """Return a name without what tools change: "Road_Surface" is "road surface"."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def _by_plain_name(classes: Sequence[str]) -> dict[str, int]:
    """Return the ids by plain name, without those that two classes share."""
    plain = [plain_name(name) for name in classes]
    return {name: index for index, name in enumerate(plain) if plain.count(name) == 1}
