"""What has been found, in one JSON file that a second start goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.race.speed import Course, RaceError, Rounds
from edgeseg.atomic_files import write_json

Json = dict[str, Any]  # Any: what JSON holds
FORMAT = 1


class Results:
    """The file `race.json` of a work folder.

    Its "speed" holds a race for each number of threads, its "accuracy" a trained network for each
    entry.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file, or begin it.

        Raises:
            RaceError: The file is damaged or of another version.
        """
        self.path = folder / "race.json"
        self.content: Json = {"format": FORMAT, "speed": {}, "accuracy": {}}
        if not self.path.exists():
            return
        try:
            self.content = json.loads(self.path.read_bytes())
            known = self.content["format"] == FORMAT
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise RaceError(
                f"{self.path} is damaged or of another version; move it away to begin anew"
            )

    def save(self) -> None:
        """Write the file in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.content)

    def rounds(self, course: Course, forms: list[Json]) -> Rounds:
        """Return the rounds of the same race, or none, and keep what is raced.

        Rounds of other files, another clip or another size do not compare, so they are dropped.
        """
        key, facts = str(course.threads), race_facts(course, forms)
        stored = self.content["speed"].get(key)
        if stored is None or {name: stored.get(name) for name in facts} != facts:
            stored = facts | {"rounds": {}, "versions": {}}
            self.content["speed"][key] = stored
        rounds: Rounds = stored["rounds"]
        return rounds

    def entry(self, name: str, budget: Json) -> Json:
        """Return what is known of a trained network.

        Raises:
            RaceError: It was begun with another budget.
        """
        stored: Json = self.content["accuracy"].setdefault(name, {"budget": budget})
        if stored["budget"] != budget:
            other = ", ".join(
                f"{key} {stored['budget'].get(key)} instead of {value}"
                for key, value in budget.items()
                if stored["budget"].get(key) != value
            )
            raise RaceError(
                f"{name} was begun with {other or 'another budget'}; give the same, or another "
                "--work"
            )
        return stored


def race_facts(course: Course, forms: list[Json]) -> Json:
    """Return what must be equal for two rounds to compare."""
    return {
        "clip": Path(course.clip).name,
        "size": list(course.size),
        "frames": course.frames,
        "forms": forms,
    }
