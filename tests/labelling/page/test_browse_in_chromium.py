"""The page to browse in the system's own Chromium, over a site of thousands of frames."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeseg.atomic_files import lock_folder
from edgeseg.site import Site
from tests.labelling.browse.browse_sites import make_browse_site
from tests.labelling.label_sites import SIZE
from tests.labelling.page.browser_pages import LabelPage, LabelServer, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
COPIES = 20_000  # of one frame, beside the others


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_browse_site(tmp_path / "pond")


def open_page(
    browser: Browser, server: LabelServer, query: str = "", width: int = 1280
) -> LabelPage:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = LabelPage(context.new_page())
    page.open(f"{server.url}browse{query}")
    return page


def total(page: LabelPage) -> str:
    return (page.page.text_content("#total") or "").strip()


def test_filters_grid_and_a_frame(browser: Browser, site: Site) -> None:
    server = LabelServer(site, "browse")
    server.start()
    page = open_page(browser, server)
    assert total(page) == "8 frames" and page.page.locator(".cell").count() == 8
    page.until("[...document.querySelectorAll('.cell img')].every((one) => one.naturalWidth > 0)")
    page.page.check("[data-filter='class:water']")
    page.until("document.getElementById('total').textContent === '3 of 8 frames'")
    assert page.page.is_checked("[data-filter='class:water']")
    assert "class=water" in page.page.url
    page.page.select_option("#sort", "entropy")
    page.until("edgesegBrowse.grid.known(0)?.entropy === 0.1")
    page.page.focus("#grid")
    page.press("ArrowRight", "Enter")  # the labelled frame of ground and water
    page.until("edgesegBrowse.frameView.ids?.label && edgesegBrowse.frameView.shown === 'label'")
    mask = page.page.evaluate("Array.from(edgesegBrowse.frameView.mask.ids)")
    shown = np.array(mask, np.uint8).reshape(SIZE)
    assert (
        (shown[:, :16] == 0).all() and (shown[:, 16:32] == 1).all() and (shown[:, 32:] == 255).all()
    )
    assert page.page.text_content("#frame-name") == "cam, clip.mp4 at 0:00"
    assert "25.0 %" in (page.page.text_content("#shares") or "")
    assert page.page.get_attribute("#label-this", "href") == f"/?frame={site.frames()[0].id}"
    page.press("ArrowRight")
    page.until("document.getElementById('frame-name').textContent === 'cam, clip.mp4 at 0:30'")
    page.press("d")
    page.until("document.getElementById('caption').textContent.includes('no prediction')")
    page.reload()  # the address holds it all
    assert page.page.text_content("#frame-name") == "cam, clip.mp4 at 0:30"
    page.press("Escape")
    assert page.page.is_hidden("#frame") and total(page) == "3 of 8 frames"
    page.page.click("#clear")
    page.until("document.getElementById('total').textContent === '8 frames'")
    page.page.fill("#since", "soon")
    page.until("document.getElementById('since').getAttribute('aria-invalid') === 'true'")
    page.page.fill("#since", "2026-03-04 12:05")
    page.until("document.getElementById('total').textContent === '1 of 8 frames'")
    page.page.go_back()
    assert not page.problems
    assert {each.split("/")[2] for each in page.addresses} == {f"127.0.0.1:{server.port}"}
    assert "Traceback" not in server.stop(signal.SIGINT)
    page.page.context.close()


def test_from_a_frame_to_its_label_and_back(browser: Browser, site: Site) -> None:
    server = LabelServer(site, "browse")
    server.start()
    frame_id = site.frames()[5].id
    page = open_page(browser, server, f"?split=unlabelled&split=withheld&frame={frame_id}")
    page.page.click("#label-this")
    page.page.wait_for_url("**/?frame=*")
    page.page.wait_for_selector("body[data-ready=yes]")
    assert page.frame() == frame_id
    page.press("2")
    page.stroke((10, 10), (30, 20))
    page.saved()
    page.press("a")
    page.until(f"edgesegLabel.editor.frame !== '{frame_id}'")
    page.open(f"{server.url}browse?frame={frame_id}")
    page.until("document.querySelector('#story ol')?.textContent.includes('from nothing')")
    assert "water" in (page.page.text_content("#shares") or "")
    server.stop(signal.SIGINT)
    page.page.context.close()


def test_thousands_of_frames_are_scrolled_through(browser: Browser, site: Site) -> None:
    first = site.frames()[0]
    copies = [
        dataclasses.replace(first, id=f"copy-{number:05}", time=1000.0 + number)
        for number in range(COPIES)
    ]
    site.save_frames([*site.frames(), *copies])
    server = LabelServer(site, "browse")
    with lock_folder(site.root / "labelling"):  # somebody labels: looking goes on
        server.start()
        page = open_page(browser, server, width=390)
        assert total(page) == "20,008 frames" and page.page.is_hidden("#to-label")
        assert page.page.locator(".cell").count() < 60
        page.page.focus("#grid")
        page.press("End")
        last = f"edgesegBrowse.grid.known({COPIES + 7})"
        page.until(f"{last}?.name === 'yard, 2026-03-04 12:10:00 UTC'")
        page.page.evaluate("document.getElementById('grid').scrollTop = 600000")
        page.until("[...document.querySelectorAll('.cell')].every((one) => one.textContent)")
        assert page.page.locator(".cell").count() < 60
        page.until("[...document.querySelectorAll('.cell img')].every((one) => one.src)")
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.page.click("#show-filters")
        page.page.check("[data-filter='split:val']")
        page.until("document.getElementById('total').textContent === '1 of 20,008 frames'")
        assert not page.problems
        server.stop(signal.SIGINT)
    page.page.context.close()
