"""A client of the page without a browser, as a browser of this machine would ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import Route
from starlette.testclient import TestClient

from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.finished_masks import FinishedMasks
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.page.app import PageApp
from edgeseg.labelling.page.frame_views import FrameViews
from edgeseg.labelling.page.guards import Access
from edgeseg.labelling.page.queue_rows import QueueRows
from edgeseg.site import Site

PORT = 8487
HOME = f"http://127.0.0.1:{PORT}"


def page_client(
    site: Site, access: Access | None = None, home: str = HOME, more: Sequence[Route] = ()
) -> TestClient:
    predictions = Predictions(site)
    store = DraftStore(site, predictions, FinishedMasks(site))
    app = PageApp(
        FrameViews(store, predictions),
        QueueRows(store, predictions),
        access or Access(PORT),
        "Ada",
        more,
    )
    return TestClient(
        app.asgi, base_url=home, headers={"Origin": home}, raise_server_exceptions=False
    )


def message(**content: Any) -> dict[str, Any]:  # Any: what JSON can hold
    return {"tab": "tab-1", "person": "Ada", **content}
