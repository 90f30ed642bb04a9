"""The server of the page: from the address it listens at to a clean end."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import uvicorn

from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.errors import DataError
from edgeseg.labelling.browse import SiteFrames, open_site_frames
from edgeseg.labelling.browse.training_reads import TrainingReads
from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.finished_masks import DoorState, FinishedMasks
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.page.app import PageApp
from edgeseg.labelling.page.browse_answers import BrowseAnswers, browse_asgi
from edgeseg.labelling.page.frame_pictures import FramePictures
from edgeseg.labelling.page.frame_views import FrameViews
from edgeseg.labelling.page.guards import LOOPBACK_NAMES, Access, Guard
from edgeseg.labelling.page.queue_rows import QueueRows
from edgeseg.site import Site

DEFAULT_PORT = 8487
TRIES = 20  # ports from the default one on
GRACE_SECONDS = 3
ADDRESS = "page.json"  # in labelling, while a page that can label is served


@dataclass(frozen=True)
class Address:
    """Where the page is to be found.

    Attributes:
        url: To be opened in a browser; holds the token, if there is one.
        is_local: Whether only this machine reaches it.
        can_label: Whether the page for labelling is served, too.
    """

    url: str
    is_local: bool
    can_label: bool = True


def serve_page(
    site: Site,
    *,
    host: str,
    port: int | None,
    person: str,
    opened: Callable[[Address], None],
    source: str = "footage",
    frame_id: str = "",
) -> DoorState:
    """Serve the page until the process gets SIGINT or SIGTERM, then save what waits.

    Args:
        host: The address to listen at; beyond loopback a token is made.
        port: The port; the next free one from `DEFAULT_PORT` on if left out.
        person: Who labels, unless the page is told another name.
        opened: Called with the address once it listens.
        source: The queue that the page begins with.
        frame_id: The frame that it begins with; the first of the queue if left out.

    Returns:
        What could not be handed to the site before the end.

    Raises:
        DataError: The address cannot be listened at, or another process labels this site.
    """
    begin = [("queue", source)] if source != "footage" else []
    begin += [("frame", frame_id)] if frame_id else []
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(site.root / "labelling", DataError))
        except DataError as error:
            if (url := served_address(site)) is None:
                raise
            raise DataError(f"{error}; its page is at {url}, and can label") from None
        return _serve_both(site, host, port, person, opened, "", begin)


def serve_browsing(
    site: Site,
    *,
    host: str,
    port: int | None,
    person: str,
    opened: Callable[[Address], None],
    begin: Sequence[tuple[str, str]] = (),
    on_gpu: bool = False,
) -> DoorState | None:
    """Serve the page to browse, and that for labelling beside it unless another process has it.

    Args:
        host, port, person, opened: As in `serve_page`.
        begin: The filters that the page begins with, as its address has them.
        on_gpu: Whether batches of trainings that mean a GPU are made on one.

    Returns:
        As `serve_page`; None where only browsing was possible.

    Raises:
        DataError: The address cannot be listened at.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(site.root / "labelling", DataError))
        except DataError:
            frames, predictions = FrameLookup(site), Predictions(site)
            pictures = FramePictures(site, frames, predictions)
            reads = TrainingReads(site, frames, on_gpu=on_gpu)
            answers = BrowseAnswers(open_site_frames(site), reads, can_label=False)
            make = partial(browse_asgi, answers, pictures)

            def tell(address: Address) -> None:
                opened(replace(address, can_label=False))

            with closing(_listen(host, port)) as listening:
                _run(site, host, listening, tell, make, "browse", begin)
            return None
        return _serve_both(site, host, port, person, opened, "browse", begin, on_gpu=on_gpu)


def _serve_both(
    site: Site,
    host: str,
    port: int | None,
    person: str,
    opened: Callable[[Address], None],
    path: str,
    begin: Sequence[tuple[str, str]],
    *,
    on_gpu: bool = False,
) -> DoorState:
    """Serve all pages; the folder of labelling is held."""
    with closing(_listen(host, port)) as listening:
        finished = FinishedMasks(site)
        predictions = Predictions(site)
        store = DraftStore(site, predictions, finished)
        views, queues = FrameViews(store, predictions), QueueRows(store, predictions)
        looks = SiteFrames(site, store.frames, store.unfinished)
        reads = TrainingReads(site, store.frames, on_gpu=on_gpu)
        answers = BrowseAnswers(looks, reads, can_label=True)
        kept = site.root / "labelling" / ADDRESS

        def tell(address: Address) -> None:
            # without the token: whoever may read the site need not be who may label it
            write_json(
                kept, {"pid": os.getpid(), "url": urlsplit(address.url)._replace(query="").geturl()}
            )
            opened(address)

        def make(access: Access) -> Guard:
            return PageApp(views, queues, access, person, answers.routes).asgi

        finished.start()
        try:
            _run(site, host, listening, tell, make, path, begin)
        finally:
            kept.unlink(missing_ok=True)
            left = finished.close()
        return left


def served_address(site: Site) -> str | None:
    """Return where the process that holds a site's labelling serves its page; None if unknown."""
    folder = site.root / "labelling"
    try:
        stored = json.loads((folder / ADDRESS).read_bytes())
        holder = int((folder / ".lock").read_text())
        return str(stored["url"]) if int(stored["pid"]) == holder else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _run(
    site: Site,
    host: str,
    listening: socket.socket,
    opened: Callable[[Address], None],
    make: Callable[[Access], Guard],
    path: str,
    begin: Sequence[tuple[str, str]],
) -> None:
    """Serve until a signal.

    Args:
        make: Makes what is served.
        path: Of the page that is opened.
        begin: What its address holds beside the token.
    """
    access, url = _access(site, host, listening.getsockname()[1])
    token = [] if access.token is None else [("token", access.token)]
    query = urlencode([*token, *begin])
    address = Address(
        f"{url}{path}?{query}" if query else f"{url}{path}", is_local=access.token is None
    )
    config = uvicorn.Config(
        make(access),
        lifespan="off",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with _signals_that_only_stop():
        opened(address)
        uvicorn.Server(config).run(sockets=[listening])


def open_browser(address: Address) -> bool:
    """Open the page in the person's browser; returns whether there is a screen to open it on."""
    has_screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_screen:
        threading.Thread(target=webbrowser.open, args=(address.url,), daemon=True).start()
    return has_screen


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = range(DEFAULT_PORT, DEFAULT_PORT + TRIES) if port is None else [port]
    reason = ""
    for number in ports:
        listening = socket.socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            listening.listen(64)
        except OSError as error:
            reason = error.strerror or str(error)
            listening.close()
            continue
        return listening
    where = f"port {port}" if port is not None else f"ports {ports[0]} to {ports[-1]}"
    raise DataError(
        f"the page cannot be served at {host}, {where} ({reason}); choose another --port, or end "
        "what uses it"
    )


def _access(site: Site, host: str, port: int) -> tuple[Access, str]:
    """Return who may reach the server, and its address."""
    shown = f"[{host}]" if ":" in host else host
    if _is_loopback(host):
        names = (*LOOPBACK_NAMES, shown)
        return Access(port, names), f"http://{shown}:{port}/"
    token = _kept_token(site.root / "labelling" / "token")
    name = socket.gethostname().lower()
    access = Access(
        port,
        (shown.lower(), name, f"{name}.local", *LOOPBACK_NAMES),
        takes_addresses=True,
        token=token,
    )
    if host in ("0.0.0.0", "::"):
        shown = name
    return access, f"http://{shown}:{port}/"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _kept_token(path: Path) -> str:
    """Return the site's token: the same after a restart, so that open pages go on."""
    try:
        kept = path.read_text().strip()
        if len(kept) >= 32:
            return kept
    except OSError:
        pass
    token = secrets.token_urlsafe(32)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token


@contextmanager
def _signals_that_only_stop() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server and nothing else: uvicorn raises them once more."""
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, frame: None) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before):
            signal.signal(kind, handler)
