"""The addresses of the page. Frames are named by their ids, which are looked up and never used as
paths.

    GET  /                              the page; /static/NAME its parts
    GET  /api/site                      classes, queues, who labels by default
    GET  /api/queue/SOURCE              the queue; ?anew=1 orders it again
    POST /api/status                    a tab goes on: how finished masks get on
    POST /api/leave                     a tab leaves its frame
    GET  /api/frames/ID/image           the frame as the site stores it; /thumbnail a small one
    GET  /api/frames/ID/prediction      what the model predicts; /entropy how sure it is
    GET  /api/frames/ID/before          the mask of the frame before, of the same camera
    POST /api/frames/ID/open            its draft
    POST /api/frames/ID/events          a step of its draft
    POST /api/frames/ID/mark            skip or flag it
    POST /api/frames/ID/contour         the way along edges between two pixels

A page that was loaded of another site says so in `X-Edgeseg-Site`, and nothing of it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgeseg.disk.faults import describe_disk_fault, is_disk_fault
from edgeseg.errors import DataError, EdgesegError
from edgeseg.labelling.drafts.draft_leases import DraftConflictError
from edgeseg.labelling.drafts.frame_lookup import UnknownFrameError
from edgeseg.labelling.page.frame_views import FrameViews
from edgeseg.labelling.page.guards import Access, Guard
from edgeseg.labelling.page.messages import (
    ContourMessage,
    EventMessage,
    MarkMessage,
    OpenMessage,
    TabMessage,
    read_message,
)
from edgeseg.labelling.page.queue_rows import SOURCES, QueueRows

KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
BYTES_PER_PIXEL = 6  # of runs in base64, at most

Answer = Callable[[Request], Awaitable[Response]]


class OtherSiteError(DataError):
    """A page of another site asks, which this address served before."""


class PageApp:
    """The answers to all addresses; `asgi` is what uvicorn serves."""

    def __init__(self, views: FrameViews, queues: QueueRows, access: Access, person: str) -> None:
        """Prepare the page.

        Args:
            person: Who labels, unless the page is told another name.
        """
        self._views = views
        self._store = views.store
        self._queues = queues
        self._person = person
        self._static = _static_files()
        self._site_id = hashlib.sha256(bytes(self._store.site.root.resolve())).hexdigest()[:16]
        frame = "/api/frames/{id:str}"
        routes = [
            Route("/", self.index),
            Route("/static/{name:str}", self.static),
            Route("/api/site", self.site),
            Route("/api/queue/{source:str}", self.queue),
            Route("/api/status", self.status, methods=["POST"]),
            Route("/api/leave", self.leave, methods=["POST"]),
            Route(f"{frame}/image", self.image),
            Route(f"{frame}/thumbnail", self.thumbnail),
            Route(f"{frame}/prediction", self.prediction),
            Route(f"{frame}/entropy", self.entropy),
            Route(f"{frame}/before", self.before),
            Route(f"{frame}/open", self.open, methods=["POST"]),
            Route(f"{frame}/events", self.write, methods=["POST"]),
            Route(f"{frame}/mark", self.mark, methods=["POST"]),
            Route(f"{frame}/contour", self.contour, methods=["POST"]),
        ]
        app = Starlette(
            routes=routes, exception_handlers={EdgesegError: _tell_error, OSError: _tell_disk_fault}
        )
        app.state.root = self._store.site.root
        self.asgi = Guard(app, access)

    async def index(self, request: Request) -> Response:
        return self._file("index.html")

    async def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    async def site(self, request: Request) -> Response:
        content = {
            **self._views.site(),
            "id": self._site_id,
            "sources": list(SOURCES),
            "person": self._person,
        }
        return JSONResponse(content)

    async def queue(self, request: Request) -> Response:
        anew = request.query_params.get("anew") == "1"
        rows = await run_in_threadpool(self._queues.rows, request.path_params["source"], anew=anew)
        return JSONResponse(rows)

    async def status(self, request: Request) -> Response:
        message = await read_message(request, TabMessage)
        if message.frame and message.frame in self._store.frames.all():
            self._store.leases.take(message.frame, message.tab, message.person)
        door = self._store.door()
        return JSONResponse(
            {
                "waiting": list(door.waiting),
                "trouble": door.trouble,
                "notes": list(door.notes),
                "ordering": self._queues.progress,
            }
        )

    async def leave(self, request: Request) -> Response:
        message = await read_message(request, TabMessage)
        self._store.leases.release(message.frame, message.tab)
        return Response(status_code=204)

    async def image(self, request: Request) -> Response:
        data, kind = await run_in_threadpool(self._views.image, request.path_params["id"])
        return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    async def thumbnail(self, request: Request) -> Response:
        data = await run_in_threadpool(self._views.thumbnail, request.path_params["id"])
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(data, media_type="image/jpeg", headers=headers)

    async def prediction(self, request: Request) -> Response:
        return JSONResponse(
            await run_in_threadpool(self._views.prediction, request.path_params["id"])
        )

    async def entropy(self, request: Request) -> Response:
        data = await run_in_threadpool(self._views.entropy, request.path_params["id"])
        return Response(data, media_type="image/png")

    async def before(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._views.before, request.path_params["id"]))

    async def open(self, request: Request) -> Response:
        message = await read_message(request, OpenMessage)
        return JSONResponse(
            await run_in_threadpool(self._views.open, request.path_params["id"], message)
        )

    async def write(self, request: Request) -> Response:
        self._check_site(request)
        frame = self._store.frames.find(request.path_params["id"])
        room = BYTES_PER_PIXEL * frame.height * frame.width + 4096
        message = await read_message(request, EventMessage, room)
        event = message.model_dump(exclude={"tab"})
        draft = await run_in_threadpool(self._store.write, frame.id, message.tab, event)
        if message.kind == "finish":
            await run_in_threadpool(self._views.clear_mark, frame.id)
        return JSONResponse({"revision": draft.revision})

    async def mark(self, request: Request) -> Response:
        self._check_site(request)
        message = await read_message(request, MarkMessage)
        await run_in_threadpool(self._views.mark, request.path_params["id"], message.mark)
        return Response(status_code=204)

    async def contour(self, request: Request) -> Response:
        message = await read_message(request, ContourMessage)
        points = await run_in_threadpool(
            self._views.contour, request.path_params["id"], message.start, message.end
        )
        return JSONResponse({"points": points})

    def _check_site(self, request: Request) -> None:
        if request.headers.get("x-edgeseg-site", self._site_id) != self._site_id:
            root = self._store.site.root
            raise OtherSiteError(
                f"this server is of another site, {root}; run `edgeseg label` of the site of this "
                "page at the same --port"
            )

    def _file(self, name: str) -> Response:
        if name not in self._static:
            raise HTTPException(404)
        data, kind = self._static[name]
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Return content and media type of the page's parts by name."""
    found = {}
    for item in (files("edgeseg.labelling.page") / "static").iterdir():
        suffix = f".{item.name.rpartition('.')[2]}"
        if suffix in KINDS:
            found[item.name] = item.read_bytes(), KINDS[suffix]
    return found


async def _tell_error(request: Request, error: Exception) -> Response:
    content: dict[str, Any] = {"error": str(error)}  # Any: text, or a table
    status = 404 if isinstance(error, UnknownFrameError) else 400
    if isinstance(error, OtherSiteError):
        status = 421  # misdirected: the page keeps its steps and tries again
    if isinstance(error, DraftConflictError):
        status = 409
        content |= {"kind": error.kind, "person": error.person}
    return JSONResponse(content, status)


async def _tell_disk_fault(request: Request, error: Exception) -> Response:
    if not isinstance(error, OSError) or not is_disk_fault(error):
        raise error
    fault = describe_disk_fault(error, request.app.state.root)
    return JSONResponse({"error": f"{fault}; the page tries again"}, 507)
