"""The addresses of the page to browse; all of them only look.

GET  /browse                        the page
GET  /api/browse/site               classes, how many frames, who has looked at them
GET  /api/browse/frames             rows of a question, with counts for each filter
GET  /api/browse/frames/ID          all about one frame
GET  /api/browse/trainings          the trainings whose batches can be shown
GET  /api/browse/batch              what one step of a training reads
"""

from __future__ import annotations

from typing import get_args

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edgeseg.errors import DataError
from edgeseg.labelling.browse import LIST_CHOICES, SINGLE_NAMES, FrameQuery, SiteFrames, Sort
from edgeseg.labelling.browse.training_reads import TrainingReads
from edgeseg.labelling.drafts.frame_lookup import UnknownFrameError
from edgeseg.labelling.page.answers import PictureAnswers, StaticFiles, describe_site, make_asgi
from edgeseg.labelling.page.frame_pictures import FramePictures
from edgeseg.labelling.page.guards import Access, Guard

MOST_ROWS = 500  # of an answer
MOST_STEP = 10**9


class BrowseAnswers:
    """The answers of the page to browse; `routes` may stand beside those of the label page."""

    def __init__(self, frames: SiteFrames, reads: TrainingReads, *, can_label: bool) -> None:
        """Prepare the page.

        Args:
            can_label: Whether the page for labelling is served, too.
        """
        self._frames, self._reads, self._can_label = frames, reads, can_label
        self.served_site = frames.site
        self._static = StaticFiles()
        self.routes = [
            Route("/browse", self.page),
            Route("/api/browse/site", self.site),
            Route("/api/browse/frames", self.list),
            Route("/api/browse/frames/{id:str}", self.frame),
            Route("/api/browse/trainings", self.trainings),
            Route("/api/browse/batch", self.batch),
        ]

    async def page(self, request: Request) -> Response:
        return self._static.file("browse.html")

    async def site(self, request: Request) -> Response:
        about = await run_in_threadpool(self._frames.about)
        site = describe_site(self._frames.site)
        more = {"can_label": self._can_label, "sorts": get_args(Sort)}
        return JSONResponse({**site, **about, **more})

    async def list(self, request: Request) -> Response:
        given = request.query_params
        query = self._query(given)
        start = _number(given, "start", 0, MOST_STEP)
        number = _number(given, "number", 100, MOST_ROWS)
        answer = await run_in_threadpool(self._frames.ask, query)
        rows = await run_in_threadpool(self._frames.rows, answer, start, number)
        content: dict[str, object] = {"total": len(answer.places), "start": start, "frames": rows}
        if start == 0:
            content["counts"] = answer.counts
            content["labels_unread"] = self._frames.label_classes.left
        return JSONResponse(content)

    async def frame(self, request: Request) -> Response:
        row = await run_in_threadpool(self._frames.row, request.path_params["id"])
        if row is None:
            raise UnknownFrameError("the site has no frame of this id; load the page again")
        return JSONResponse(row)

    async def trainings(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._reads.trainings))

    async def batch(self, request: Request) -> Response:
        given = request.query_params
        verb, run = given.get("verb", "train"), given.get("run", "")
        step = _number(given, "step", -1, MOST_STEP)
        return JSONResponse(await run_in_threadpool(self._reads.batch, verb, run, step))

    def _query(self, given: QueryParams) -> FrameQuery:
        lists = {name: given.getlist(name) for name in LIST_CHOICES}
        single = {name: given.get(name, "") for name in SINGLE_NAMES}
        names = self._frames.site.config.class_names
        return FrameQuery.parse(class_names=names, lists=lists, single=single)


def browse_asgi(answers: BrowseAnswers, pictures: FramePictures, access: Access) -> Guard:
    """Return what uvicorn serves where only browsing is possible."""

    async def entrance(request: Request) -> Response:
        return RedirectResponse("/browse", 303)

    routes = [
        Route("/", entrance),
        *StaticFiles().routes,
        *PictureAnswers(pictures).routes,
        *answers.routes,
    ]
    return make_asgi(routes, answers.served_site, access)


def _number(given: QueryParams, name: str, default: int, most: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise DataError(f"{name} is a number, not {text[:20]!r}")
    return min(int(text), most)
