"""The addresses of the page for labelling. Frames are named by their ids, which are looked up and
never used as paths.

    GET  /                              the page; /static/NAME its parts
    GET  /api/site                      classes, queues, who labels by default
    GET  /api/queue/SOURCE              the queue; ?anew=1 orders it again
    POST /api/status                    a tab goes on: how finished masks get on
    POST /api/leave                     a tab leaves its frame
    GET  /api/frames/ID/image           the frame as the site stores it; /thumbnail a small one
    GET  /api/frames/ID/label           the site's mask; /prediction the model's, /entropy how sure
    GET  /api/frames/ID/before          the mask of the frame before, of the same camera
    POST /api/frames/ID/open            its draft
    POST /api/frames/ID/events          a step of its draft
    POST /api/frames/ID/mark            skip or flag it
    POST /api/frames/ID/contour         the way along edges between two pixels

A page that was loaded of another site says so in `X-Edgeseg-Site`, and nothing of it is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgeseg.labelling.page.answers import (
    FRAME,
    OtherSiteError,
    PictureAnswers,
    StaticFiles,
    describe_site,
    make_asgi,
    site_id,
)
from edgeseg.labelling.page.frame_views import FrameViews
from edgeseg.labelling.page.guards import Access
from edgeseg.labelling.page.messages import (
    ContourMessage,
    EventMessage,
    MarkMessage,
    OpenMessage,
    TabMessage,
    read_message,
)
from edgeseg.labelling.page.queue_rows import SOURCES, QueueRows

BYTES_PER_PIXEL = 6  # of runs in base64, at most

Answer = Callable[[Request], Awaitable[Response]]


class PageApp:
    """The answers to all addresses; `asgi` is what uvicorn serves."""

    def __init__(
        self,
        views: FrameViews,
        queues: QueueRows,
        access: Access,
        person: str,
        more: Sequence[Route] = (),
    ) -> None:
        """Prepare the page.

        Args:
            person: Who labels, unless the page is told another name.
            more: Of the page to browse.
        """
        self._views = views
        self._store = views.store
        self._queues = queues
        self._person = person
        self._static = StaticFiles()
        self._site_id = site_id(self._store.site)
        routes = [
            Route("/", self.index),
            *self._static.routes,
            Route("/api/site", self.site),
            Route("/api/queue/{source:str}", self.queue),
            Route("/api/status", self.status, methods=["POST"]),
            Route("/api/leave", self.leave, methods=["POST"]),
            *PictureAnswers(views.pictures).routes,
            Route(f"{FRAME}/before", self.before),
            Route(f"{FRAME}/open", self.open, methods=["POST"]),
            Route(f"{FRAME}/events", self.write, methods=["POST"]),
            Route(f"{FRAME}/mark", self.mark, methods=["POST"]),
            Route(f"{FRAME}/contour", self.contour, methods=["POST"]),
            *more,
        ]
        self.asgi = make_asgi(routes, self._store.site, access)

    async def index(self, request: Request) -> Response:
        return self._static.file("index.html")

    async def site(self, request: Request) -> Response:
        content = {
            **describe_site(self._store.site),
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
        room = 2 * BYTES_PER_PIXEL * frame.height * frame.width + 4096  # a step and the start
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
