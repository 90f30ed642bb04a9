"""Flags that several commands share, and how they become overrides of `edgeseg.toml`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edgeseg.errors import ConfigError, EdgesegError

if TYPE_CHECKING:
    from edgeseg.config import LoopConfig
    from edgeseg.site import Site

C = TypeVar("C", bound="LoopConfig")

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override any key of edgeseg.toml, repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
ImageSize = Annotated[
    str | None,
    typer.Option(
        "--imgsz", metavar="N|HxW", help="Height and width, multiples of 32 (14 for DINOv2)."
    ),
]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch", help="Labelled frames a step (and as many unlabelled ones)."),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Devices = Annotated[int | None, typer.Option(help="How many of them, on each machine.")]
Workers = Annotated[int | None, typer.Option(help="Threads that read frames.")]
Accumulate = Annotated[
    int | None, typer.Option(help="Parts that a batch is split into to save memory.")
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="Split batches until a step fits, like 6GB."),
]
Weights = Annotated[
    str | None, typer.Option(help="Encoder weights: imagenet, none, or a .safetensors file.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the newest run from its last checkpoint.")
]

RUN_VARIABLE = "EDGESEG_RUN"  # tells the processes that --devices starts which run folder is theirs


def overrides(section: str, given: list[str] | None, **flags: object) -> list[str]:
    """`--set` texts for the flags that were given; an explicit --set of the same key comes last and
    wins.
    """
    found = []
    for name, value in flags.items():
        if value is None or value is False:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(value, Path):
            text = f'"{value.resolve()}"'
        found.append(f"{section}.{name}={text}")
    return [*found, *(given or [])]


def size(text: str | None) -> str | None:
    """ "256x320" as a TOML list, "256" as a square.

    Raises:
        ConfigError: it is neither.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise ConfigError(
            f"--imgsz {text!r} is no size; write 256 or 256x320 (height x width, multiples of 32)"
        )
    return (
        str([int(side) for side in (sides * 2)[:2]])
        if len(sides) == 1
        else f"[{sides[0]}, {sides[1]}]"
    )


def memory(text: str | None) -> str | None:
    """ "6GB" as a TOML string.

    Raises:
        ConfigError: it is no amount of memory.
    """
    if text is None:
        return None
    from edgeseg.training.memory.budget import parse_bytes

    parse_bytes(text)
    return f'"{text}"'


def weights(text: str | None) -> str | Path | None:
    """A file becomes an absolute path, so that the configuration saved beside the run stays right."""
    return text if text in (None, "imagenet", "none") else Path(text)


def configuration(config: C, out: Path, section: str, given: list[str], *, resume: bool) -> C:
    """The site's configuration, or on --resume the one the run was begun with under the flags given
    now.

    The run itself refuses flags that differ from what it was begun with.
    """
    from edgeseg.config import load_saved_config

    stored = out / "config.toml"
    if not resume or not stored.exists():
        return config
    mine = [text.removeprefix(f"{section}.") for text in given if text.startswith(f"{section}.")]
    return load_saved_config(type(config), stored, mine)


def run_folder(site: Site, verb: str, *, resume: bool) -> Path:
    """The newest run to resume, or a fresh folder; child processes of --devices share their
    parent's.

    Raises:
        ConfigError: there is nothing to resume.
    """
    shared = os.environ.get(RUN_VARIABLE)
    if shared and "LOCAL_RANK" in os.environ:
        return Path(shared)
    path = site.newest_run(verb) if resume else site.new_run(verb)
    if path is None:
        raise ConfigError(
            f"there is no {verb} run to resume in {site.root}; start one without --resume"
        )
    os.environ[RUN_VARIABLE] = str(path)
    return path


@contextmanager
def begun(out: Path, *, resume: bool) -> Iterator[None]:
    """While a run is made in `out`: one that was refused before it trained anything leaves no
    folder to `--resume`.
    """
    try:
        yield
    except EdgesegError:
        if not resume and next(out.rglob("model.json"), None) is None:
            shutil.rmtree(out, ignore_errors=True)
        raise
