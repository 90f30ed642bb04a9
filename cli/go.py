"""`edgeseg go`: from footage to a bundle that runs, in one command that goes on where it stopped.

Each step is the command of its name; nothing is done here that they do not do.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.presets import Preset
from edgeseg.cli.shared.terminal_text import shell_word

if TYPE_CHECKING:
    from edgeseg.site import Site

NOTE = "cache/go.json"  # the footage that was added to its end
LABEL_PACKAGES = ("starlette", "uvicorn")  # of the extra review
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The site's folder; made where there is none.")
]
Footage = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FOOTAGE]...", help="Videos, images, folders, or quoted patterns."),
]
Classes = Annotated[
    str,
    typer.Option(help='Class names in the order of their ids: "sky,water,bank"; else asked for.'),
]
Labels = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="IMAGES MASKS", help="Labelled images and their masks, where there are."),
]
Student = Annotated[str | None, typer.Option(help="{distill.student}")]


def go(
    folder: Folder,
    footage: Footage = None,
    classes: Classes = "",
    labels: Labels = None,
    preset: Preset = "auto",
    student: Student = None,
) -> None:
    """Go from footage to an INT8 bundle: site, frames, labels, training, distillation, export.

    What is done already is left alone and what was stopped is resumed: the same command goes on.
    """
    paths = [_whole_path(path) for path in footage or []]
    labelled = (labels[0].absolute(), labels[1].absolute()) if labels else None
    _make_site(folder, paths, classes)
    os.chdir(folder)
    _refuse_several_devices()
    _require_trackers()
    _add_footage(paths)
    _add_labels(labelled)
    _require_labels()
    _train_models(preset, student)
    _export(paths)


def _whole_path(path: str) -> str:
    """Return a path or pattern that means the same in another folder.

    Raises:
        ConfigError: It is the address of a stream.
    """
    from edgeseg.disk.stored_paths import home_path
    from edgeseg.errors import ConfigError

    if "://" in path:
        raise ConfigError(f"{path} is a stream, which never ends; record some of it, and name that")
    return str(home_path(Path(path)).absolute())


def _refuse_several_devices() -> None:
    """Refuse what would start this command again in every process.

    Raises:
        ConfigError: A training of this site uses several devices.
    """
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    config = Site.open().config
    for table, each in (("train", config.train), ("distill", config.distill)):
        if each.devices * each.nodes > 1:
            raise ConfigError(
                f"`edgeseg go` trains on one device and {table} uses {each.devices * each.nodes}; "
                "run `edgeseg train`, `distill` and `export` one by one"
            )


def _require_trackers() -> None:
    """Refuse a missing tracker now, and not when hours of training are over.

    Raises:
        ConfigError: One is not installed.
    """
    from edgeseg.site import Site
    from edgeseg.tracking import require_trackers

    config = Site.open().config
    require_trackers((*config.train.trackers, *config.distill.trackers))


def _make_site(folder: Path, footage: list[str], classes: str) -> None:
    """Make the folder a site unless it is one.

    Raises:
        ConfigError: The classes or the footage of a new one are not known.
    """
    from edgeseg.cli.site.init import init
    from edgeseg.config import CONFIG_NAME
    from edgeseg.errors import ConfigError
    from edgeseg.imaging.footage_walk import named_files

    if (folder / CONFIG_NAME).exists():
        _refuse_other_classes(folder, classes)
        return
    if not footage:
        raise ConfigError(f"{folder} is no site yet; name videos or pictures to make it from")
    if not classes and sys.stdin.isatty():
        classes = typer.prompt("Names of the classes, with commas between", err=True)
    names = [name.strip() for name in classes.split(",") if name.strip()]
    if not names:
        raise ConfigError(
            f"{folder} is no site yet and its classes are not known; name them with "
            '--classes "sky,water,bank"'
        )
    files = named_files(footage[0]) or [Path(footage[0])]
    init(folder, classes=",".join(names), like=str(files[0]))


def _refuse_other_classes(folder: Path, classes: str) -> None:
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    own = Site.open(folder).config.class_names
    if names and names != own:
        raise ConfigError(
            f"{folder} is a site with the classes {', '.join(own)}; leave --classes out, or change "
            "them in its edgeseg.toml"
        )


def _add_footage(footage: list[str]) -> None:
    """Add what was not added to its end before; what is noted of it may be lost."""
    from edgeseg.atomic_files import write_json
    from edgeseg.cli.site import add
    from edgeseg.errors import DataError
    from edgeseg.site import Site

    site = Site.open()
    note = site.root / NOTE
    added = json.loads(note.read_bytes()) if note.is_file() else []
    fresh = [path for path in footage if path not in added]
    if fresh:
        add.footage(fresh)
        note.parent.mkdir(exist_ok=True)
        write_json(note, [*added, *fresh])
    if not Site.open().frames():
        raise DataError(
            f"{site.root} has no frames; name videos or pictures: edgeseg go "
            f"{shell_word(site.root)} FOOTAGE"
        )


def _add_labels(labelled: tuple[Path, Path] | None) -> None:
    from edgeseg.cli.site import add
    from edgeseg.data.site_needs import missing_labels
    from edgeseg.site import Site

    if labelled and missing_labels(Site.open()):
        add.labels(*labelled)


def _require_labels() -> None:
    """Open the page to label where labels are missing, and go on once there are enough.

    Raises:
        DataError: There are still too few.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.cli.site.label import label
    from edgeseg.data.site_needs import missing_labels
    from edgeseg.errors import DataError
    from edgeseg.site import Site

    missing = missing_labels(Site.open())
    if missing and sys.stdin.isatty() and all(map(find_spec, LABEL_PACKAGES)):
        say(f"{missing}; label frames in the page, and stop it with Ctrl-C to go on")
        label()
        missing = missing_labels(Site.open())
    if missing:
        raise DataError(
            f"{missing}; label frames with `edgeseg label`, or name masks with --labels IMAGES "
            "MASKS, and run the same command again"
        )


def _train_models(preset: str | None, student: str | None) -> None:
    from edgeseg.cli.training.distill import distill
    from edgeseg.cli.training.train import train
    from edgeseg.site import Site

    site = Site.open()
    if not site.has_finished_run("train"):
        begun = _is_begun(site, "train")
        train(preset=None if begun else preset, resume=begun)
    finished, begun = site.has_finished_run("distill"), _is_begun(site, "distill")
    if finished or begun:
        _tell_kept(student)
    if not finished:
        given = None if begun else student
        distill(student=given, preset=None if begun else preset, resume=begun)


def _tell_kept(student: str | None) -> None:
    from edgeseg.cli.shared.console import say

    if student is not None:
        say(
            "note: an edge model was begun before, and stays; "
            f"`edgeseg distill --student {student}` makes another"
        )


def _is_begun(site: Site, verb: str) -> bool:
    """Return whether the newest run has something to go on from."""
    run = site.newest_run(verb)
    return run is not None and (run / "config.toml").exists()


def _export(footage: list[str]) -> None:
    from edgeseg.cli.bundle.export import export
    from edgeseg.cli.shared.console import say
    from edgeseg.site import Site

    site = Site.open()
    if not site.current_bundle.exists():
        export(int8=True)
    source = shell_word(footage[0]) if footage else "SOURCE"
    say(f"{site.current_bundle.resolve()} is ready; it came from {site.root}")
    say(
        f"next: cd {shell_word(site.root)} && edgeseg infer --source {source} --save overlay.mp4, "
        "and `edgeseg adapt` when frames come back from the device"
    )
