"""`edgeseg label`: the page in the browser to label and review frames."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.cli.shared.terminal_text import shell_word

if TYPE_CHECKING:
    from edgeseg.labelling.page.server import Address


def label(
    queue: Annotated[
        str,
        typer.Option(
            metavar="footage|log|round|val|flagged|labelled", help="The frames to begin with."
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
    set_: options.Set = None,
) -> None:
    """Label and review frames in your browser; every stroke is saved at once."""
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
        person=person or _account(),
        opened=tell,
        source=queue,
        frame_id=frame,
    )
    if left.waiting:
        place = shell_word(site.root / "labelling")
        say(
            f"{len(left.waiting)} finished mask(s) wait in {place} for the next `edgeseg label`: "
            f"{left.trouble or 'the site was busy'}"
        )
    say("stopped; everything is saved")
    say("next: edgeseg status")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return ""
