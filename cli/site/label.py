"""`edgeseg label`: the page in the browser to label and review frames."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.cli.shared.terminal_text import shell_word

if TYPE_CHECKING:
    from edgeseg.labelling.drafts.finished_masks import DoorState
    from edgeseg.labelling.page.server import Address
    from edgeseg.site import Site


def label(
    queue: Annotated[
        str,
        typer.Option(
            metavar="footage|log|round|val|flagged|labelled|skipped",
            help="The frames to begin with.",
        ),
    ] = "footage",
    frame: Annotated[
        str, typer.Option(metavar="ID", help="The frame to begin with, as an alarm names it.")
    ] = "",
    host: Annotated[
        str,
        typer.Option(help="Address to serve at; beyond this machine the page asks for a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; the next free one from 8487 on.")
    ] = None,
    person: Annotated[
        str, typer.Option(help="Your name beside your labels; that of your account if left out.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print the queue with its reasons; open no page.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Frames that --list prints at most.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the queue as JSON on stdout, as --list does.")
    ] = False,
    set_: options.Set = None,
) -> None:
    """Label and review frames in your browser; every stroke is saved at once.

    The queue begins with the frame whose label is worth most, and says why. `--list` needs no
    browser and works over ssh.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.errors import DataError
    from edgeseg.labelling.page.queue_rows import SOURCES
    from edgeseg.labelling.page.server import open_browser, serve_page
    from edgeseg.site import Site

    if queue not in SOURCES:
        raise DataError(f"there is no queue {queue!r}; give one of {', '.join(SOURCES)}")
    site = Site.open(overrides=set_)
    if not site.frames():
        raise DataError(
            f"{site.root} has no frames to label; add some with `edgeseg add footage PATH`"
        )
    if frame and frame not in {each.id for each in site.frames()}:
        raise DataError(f"{site.root} has no frame {frame!r}; ids are in {site.index.name}")

    if as_list or as_json:
        _print_queue(site, queue, limit, as_json)
        return

    def tell(address: Address) -> None:
        say(f"the page is at {address.url}")
        if browser and not open_browser(address):
            say("open it in a browser; there is no screen here to open one on")
        if not address.is_local:
            say("whoever has this address can label, and reads it on the way; trust the network")
        say("masks and drafts are saved as you draw; Ctrl-C stops the page")

    left = serve_page(
        site,
        host=host,
        port=port,
        person=person or account_name(),
        opened=tell,
        source=queue,
        frame_id=frame,
    )
    tell_waiting(site, left)
    say("stopped; everything is saved")
    say("next: edgeseg status")


def tell_waiting(site: Site, left: DoorState) -> None:
    """Say which finished masks the site does not have yet."""
    from edgeseg.cli.shared.console import say

    if left.waiting:
        place = shell_word(site.root / "labelling")
        say(
            f"{len(left.waiting)} finished mask(s) wait in {place} for the next `edgeseg label`: "
            f"{left.trouble or 'the site was busy'}"
        )


def _print_queue(site: Site, source: str, limit: int, as_json: bool) -> None:
    import dataclasses
    from typing import cast, get_args

    from rich.table import Table

    from edgeseg.cli.shared.console import progress_bar, say, table_console
    from edgeseg.errors import DataError
    from edgeseg.json_text import to_json
    from edgeseg.labelling.worth import QueueSource, build_queue, needs
    from edgeseg.site import FrameNames

    if source not in get_args(QueueSource):
        raise DataError(f"{source} is no queue of what to label; leave --list out to look at it")
    with progress_bar() as bar:
        queue = build_queue(site, cast(QueueSource, source), report=bar)
    frames = {frame.id: frame for frame in site.frames()}
    names = FrameNames(site)
    lacking = needs(site)
    if as_json:
        rows = [
            {
                **dataclasses.asdict(entry),
                "name": names.of(frames[entry.frame]),
                "image": str(site.path(frames[entry.frame].image)),
                "camera": frames[entry.frame].camera,
                "source": frames[entry.frame].source,
                "time": frames[entry.frame].time,
            }
            for entry in queue[:limit]
        ]
        told = {"queue": source, "frames": rows, "waiting": len(queue), "needs": lacking}
        print(to_json(told, indent=2))
        return
    table = Table("", "frame", "id", "worth", "why")
    for number, entry in enumerate(queue[:limit], 1):
        worth = f"{entry.worth:.2f}"
        name = names.of(frames[entry.frame])
        table.add_row(str(number), name, entry.frame, worth, "; ".join(entry.reasons))
    if queue:
        table_console(160).print(table)
    say(f"{len(queue)} frames wait in {source}")
    for sentence in lacking:
        say(f"note: {sentence}")
    say(f"next: edgeseg label --queue {source}")


def account_name() -> str:
    """Return the name of the account; empty where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in containers
        return ""
