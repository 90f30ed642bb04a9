"""What the pages share: their files, the pictures of frames, and how errors are told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
from edgeseg.labelling.page.frame_pictures import FramePictures
from edgeseg.labelling.page.guards import Access, Guard
from edgeseg.site import Site

KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
FRAME = "/api/frames/{id:str}"
KEEP = {"Cache-Control": "private, max-age=3600"}


class OtherSiteError(DataError):
    """A page of another site asks, which this address served before."""


class StaticFiles:
    """The parts of the pages, read once."""

    def __init__(self) -> None:
        self._files = static_files()
        self.routes = [Route("/static/{name:str}", self.static)]

    async def static(self, request: Request) -> Response:
        return self.file(request.path_params["name"])

    def file(self, name: str) -> Response:
        if name not in self._files:
            raise HTTPException(404)
        data, kind = self._files[name]
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})


class PictureAnswers:
    """GET /api/frames/ID/...: image, thumbnail, label, prediction, entropy."""

    def __init__(self, pictures: FramePictures) -> None:
        self._pictures = pictures
        names = ("image", "thumbnail", "label", "prediction", "entropy")
        self.routes = [Route(f"{FRAME}/{name}", getattr(self, name)) for name in names]

    async def image(self, request: Request) -> Response:
        data, kind = await run_in_threadpool(self._pictures.image, request.path_params["id"])
        return Response(data, media_type=kind, headers=KEEP)

    async def thumbnail(self, request: Request) -> Response:
        masked = request.query_params.get("masked") == "1"
        frame_id = request.path_params["id"]
        data = await run_in_threadpool(self._pictures.thumbnail, frame_id, masked=masked)
        return Response(data, media_type="image/jpeg", headers=None if masked else KEEP)

    async def label(self, request: Request) -> Response:
        runs = await run_in_threadpool(self._pictures.label, request.path_params["id"])
        return JSONResponse({"runs": runs})

    async def prediction(self, request: Request) -> Response:
        return JSONResponse(
            await run_in_threadpool(self._pictures.prediction, request.path_params["id"])
        )

    async def entropy(self, request: Request) -> Response:
        data = await run_in_threadpool(self._pictures.entropy, request.path_params["id"])
        return Response(data, media_type="image/png")


def site_id(site: Site) -> str:
    """Return what tells the site from others that this address may have served."""
    return hashlib.sha256(bytes(site.root.resolve())).hexdigest()[:16]


def describe_site(site: Site) -> dict[str, Any]:  # Any: what JSON can hold
    """Return the name and the classes of a site as the pages show them."""
    classes = [
        {"id": number, "name": spec.name, "color": spec.color}
        for number, spec in enumerate(site.config.classes)
    ]
    return {"id": site_id(site), "name": site.config.name or site.root.name, "classes": classes}


def make_asgi(routes: Sequence[Route], site: Site, access: Access) -> Guard:
    """Return what uvicorn serves."""
    app = Starlette(
        routes=routes, exception_handlers={EdgesegError: tell_error, OSError: tell_disk_fault}
    )
    app.state.root = site.root
    return Guard(app, access)


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return content and media type of the page's parts by name."""
    found = {}
    for item in (files("edgeseg.labelling.page") / "static").iterdir():
        suffix = f".{item.name.rpartition('.')[2]}"
        if suffix in KINDS:
            found[item.name] = item.read_bytes(), KINDS[suffix]
    return found


async def tell_error(request: Request, error: Exception) -> Response:
    content: dict[str, Any] = {"error": str(error)}  # Any: text, or a table
    status = 404 if isinstance(error, UnknownFrameError) else 400
    if isinstance(error, OtherSiteError):
        status = 421  # misdirected: the page keeps its steps and tries again
    if isinstance(error, DraftConflictError):
        status = 409
        content |= {"kind": error.kind, "person": error.person}
    return JSONResponse(content, status)


async def tell_disk_fault(request: Request, error: Exception) -> Response:
    if not isinstance(error, OSError) or not is_disk_fault(error):
        raise error
    fault = describe_disk_fault(error, request.app.state.root)
    return JSONResponse({"error": f"{fault}; the page tries again"}, 507)
