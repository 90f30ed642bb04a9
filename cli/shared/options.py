"""Options that several commands share, and how they become overrides of `edgeseg.toml`.

A help text may name keys of `edgeseg.toml` in braces: "{train.steps}" stands for the description of
that key, the one text about it, see `SettingsCommand`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from edgeseg.errors import ConfigError, EdgesegError

if TYPE_CHECKING:
    from edgeseg.config import LoopConfig
    from edgeseg.site import Site

Config = TypeVar("Config", bound="LoopConfig")

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override any key of edgeseg.toml, repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Encoder = Annotated[str | None, typer.Option(help="{train.encoder}")]
ImageSize = Annotated[
    str | None,
    typer.Option("--imgsz", metavar="N|HxW", help="{train.imgsz} Written 256 or 256x320."),
]
Steps = Annotated[int | None, typer.Option(help="{train.steps}")]
BatchSize = Annotated[
    int | None, typer.Option("--batch", help="{train.batch} As many unlabelled ones are taken.")
]
Device = Annotated[str | None, typer.Option(help="{train.device}")]
Devices = Annotated[int | None, typer.Option(help="{train.devices}")]
Workers = Annotated[int | None, typer.Option(help="{train.workers}")]
MaxMemory = Annotated[
    str | None, typer.Option("--max-memory", metavar="SIZE", help="{train.max_memory}")
]
Weights = Annotated[str | None, typer.Option(help="{train.weights}")]
Seed = Annotated[int | None, typer.Option(help="{train.seed}")]
Trackers = Annotated[
    list[str] | None, typer.Option("--tracker", help="{train.trackers} Repeatable.")
]
Init = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN", help="Start from the best weights of this run, of the same network."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the newest run from its last checkpoint.")
]

RUN_VARIABLE = "EDGESEG_RUN"  # tells the processes that --devices starts which run folder is theirs


class SettingsCommand(TyperCommand):
    """A command in whose help "{train.steps}" becomes the description of that key.

    This happens only when the help of the command is shown: the models of the configuration need
    pydantic, which takes longer to import than `edgeseg --help` takes.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:  # Any: Typer's classes are not public
        from edgeseg.config.reference import fill_in_meanings

        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:
                parameter.help = fill_in_meanings(text)  # type: ignore[attr-defined, unused-ignore]
        super().format_help(ctx, formatter)


def merge_overrides(section: str, given: list[str] | None, **flags: object) -> list[str]:
    """Return `--set` texts for the flags that were given, followed by those of `--set` itself.

    An explicit --set of the same key comes last and wins. For example, `steps=10` in the section
    "train" becomes "train.steps=10".
    """
    from edgeseg.config.reference import toml_value
    from edgeseg.disk.stored_paths import home_path

    overrides = []
    for name, value in flags.items():
        if value is None or value is False:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(value, Path):
            text = toml_value(str(home_path(value).resolve()))
        overrides.append(f"{section}.{name}={text}")
    return [*overrides, *(given or [])]


def parse_size(text: str | None) -> str | None:
    """Return "256x320" as the TOML list "[256, 320]" and "256" as the square "[256, 256]".

    Raises:
        ConfigError: The text is no size.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise ConfigError(
            f"--imgsz {text!r} is no size; write 256 or 256x320 (height x width, multiples of 32)"
        )
    if len(sides) == 1:
        return str([int(sides[0]), int(sides[0])])
    return f"[{sides[0]}, {sides[1]}]"


def parse_memory(text: str | None) -> str | None:
    """Return "6GB" as a TOML string.

    Raises:
        ConfigError: The text is no amount of memory.
    """
    from edgeseg.training.memory.budget import parse_bytes

    if text is None:
        return None
    parse_bytes(text)
    return f'"{text}"'


def parse_weights(text: str | None) -> str | Path | None:
    """Make a file a path, which becomes absolute in the configuration saved beside the run."""
    return text if text in (None, "imagenet", "none") else Path(text)


def training_flags(
    *,
    imgsz: str | None,
    batch: int | None,
    weights: str | None,
    max_memory: str | None = None,
    **flags: object,
) -> dict[str, object]:
    """Return the flags of a training as values of its keys.

    Args:
        imgsz: "256" or "256x320".
        batch: Labelled frames of a step, and as many unlabelled ones.
        weights: "imagenet", "none" or a file.
        max_memory: An amount such as "6GB".
        flags: Those whose value is taken as it is.

    Raises:
        ConfigError: A value is not of its form.
    """
    return {
        **flags,
        "imgsz": parse_size(imgsz),
        "batch": batch,
        "batch_unlabelled": batch,
        "weights": parse_weights(weights),
        "max_memory": parse_memory(max_memory),
    }


def open_site(
    section: str, given: list[str] | None, flags: Mapping[str, object]
) -> tuple[Site, list[str]]:
    """Return the site around here under the flags of a command, and the overrides they make.

    Raises:
        ConfigError: There is no site here, or a key or value is wrong.
    """
    from edgeseg.site import Site

    overrides = merge_overrides(section, given, **flags)
    return Site.open(overrides=overrides), overrides


def open_run(
    site: Site, config: Config, verb: str, overrides: list[str], *, resume: bool
) -> tuple[Path, Config]:
    """Return the run folder of a training, new or to resume, and the configuration of the run.

    Raises:
        ConfigError: There is nothing to resume.
    """
    out = choose_run_folder(site, verb, resume=resume)
    return out, run_configuration(config, out, verb, overrides, resume=resume)


def run_configuration(
    config: Config, out: Path, section: str, overrides: list[str], *, resume: bool
) -> Config:
    """Return the site's configuration, or on --resume the one that the run was begun with under the
    overrides given now.

    The run itself refuses overrides that differ from what it was begun with.
    """
    from edgeseg.config import load_saved_config

    stored = out / "config.toml"
    if not resume or not stored.exists():
        return config
    prefix = f"{section}."
    own = [text.removeprefix(prefix) for text in overrides if text.startswith(prefix)]
    return load_saved_config(type(config), stored, own)


def choose_run_folder(site: Site, verb: str, *, resume: bool) -> Path:
    """Return the newest run to resume, or make a fresh folder.

    Child processes of --devices share the folder of their parent.

    Raises:
        ConfigError: There is nothing to resume.
    """
    shared = os.environ.get(RUN_VARIABLE)
    if shared and "LOCAL_RANK" in os.environ:
        return Path(shared)
    path = site.run_folder(verb, resume=resume)
    os.environ[RUN_VARIABLE] = str(path)
    return path


@contextmanager
def discard_if_refused(out: Path, *, resume: bool) -> Iterator[None]:
    """Remove the folder of a run that is refused, or stopped by the disk, before it trained.

    Otherwise the next `--resume` would find a run that cannot go on.
    """
    try:
        yield
    except (EdgesegError, OSError):
        if not resume and next(out.rglob("model.json"), None) is None:
            shutil.rmtree(out, ignore_errors=True)
        raise
