"""The page in a real browser: drawn, corrected, killed, gone on with; pixels compared."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.labelling.drafts.mask_runs import encode_text
from edgeseg.labelling.drafts.site_masks import digest_of
from edgeseg.labelling.frame_marks import read_marks
from edgeseg.site import Site
from tests.labelling.label_sites import make_label_site, open_store
from tests.labelling.page.browser_pages import LabelPage, chromium, label_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = pytest.mark.browser
SIZE = (96, 128)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, browser: Browser) -> Site:
    return make_label_site(tmp_path / "pond", frames=3, size=SIZE)


def new_page(browser: Browser, width: int = 1280, height: int = 800) -> LabelPage:
    return LabelPage(browser.new_page(viewport={"width": width, "height": height}))


def brushed(points: list[tuple[float, float]], diameter: float) -> Mask:
    """Pixels whose middle is no farther from a line through the points than the brush reaches."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    covered = np.zeros(SIZE, bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        covered |= np.hypot(x - x0 - along * dx, y - y0 - along * dy) <= diameter / 2
    return covered.astype(np.uint8)


def kept_mask(site: Site, frame_id: str) -> Mask:
    """What the journal of a frame holds, read as the next server would."""
    mask: Mask = open_store(site).open(frame_id).edits.mask
    return mask


def test_draw_correct_undo_save_kill_and_go_on(browser: Browser, site: Site) -> None:
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        frame_id = page.frame()
        page.press("2")
        page.page.evaluate("edgesegLabel.editor.setSize(9)")
        line = [(20.5, 20.5), (60.5, 40.5), (90.5, 20.5)]
        page.stroke(*line)
        expected = np.where(brushed(line, 9), 1, IGNORE).astype(np.uint8)
        drawn = page.mask()
        assert (drawn != expected).mean() < 0.002  # mouse places are rounded to screen pixels
        assert np.array_equal(page.shown() == 1, drawn != IGNORE)
        page.press("3")
        page.stroke((30.5, 70.5), (100.5, 70.5))
        page.press("e")  # correct it
        page.stroke((60.5, 60.5), (60.5, 80.5))
        page.saved()
        corrected = page.mask()
        assert len(np.unique(corrected)) == 3
        assert np.array_equal(kept_mask(site, frame_id), corrected)
        page.press("z", "z")
        assert np.array_equal(page.mask(), drawn)
        page.press("Shift+Z", "Shift+Z")
        page.saved()

        server.stop(signal.SIGKILL)
        page.press("b", "1")
        page.stroke((10.5, 90.5), (120.5, 90.5))
        page.stroke((10.5, 5.5), (120.5, 5.5))
        page.until("document.getElementById('save').dataset.state === 'trouble'")
        assert "Not saved: 2 steps" in (page.page.text_content("#save") or "")
        assert np.array_equal(kept_mask(site, frame_id), corrected)
        server.start()
        page.saved()
        longer = page.mask()
        assert np.array_equal(kept_mask(site, frame_id), longer)

        page.reload()  # undo after reload
        assert page.frame() == frame_id and np.array_equal(page.mask(), longer)
        page.press("z", "z")
        assert np.array_equal(page.mask(), corrected)
        page.press("a")
        page.until(f"edgesegLabel.editor.frame !== {json.dumps(frame_id)}")
        said = server.stop(signal.SIGINT)
        assert "stopped; everything is saved" in said and "Traceback" not in said
    frame = next(frame for frame in site.frames() if frame.id == frame_id)
    assert frame.mask is not None
    assert np.array_equal(read_mask(site.path(frame.mask)), corrected)
    (record,) = (site.root / "labelling/history.jsonl").read_text().splitlines()
    assert json.loads(record)["person"] == "Ada" and json.loads(record)["steps"]["eraser"] == 1
    assert not page.problems
    assert {address.split("/")[2] for address in page.addresses} == {f"127.0.0.1:{server.port}"}
    page.page.close()


def test_every_tool_by_keyboard_alone(browser: Browser, site: Site) -> None:
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        middle = SIZE[0] // 2, SIZE[1] // 2
        page.press("1", " ", *["ArrowRight"] * 6, " ")  # a stroke
        assert page.mask()[middle] == 0
        page.press(
            "z", "p", " ", *["Shift+ArrowRight"] * 3, " ", *["Shift+ArrowDown"] * 2, " ", "Enter"
        )
        triangle = page.mask() == 0
        assert 300 < triangle.sum() < 1500
        page.press("f", "2", "Shift+ArrowUp", " ")  # fill what is around the triangle
        page.saved()
        filled = page.mask()
        assert np.array_equal(filled == 0, triangle) and np.array_equal(filled == 1, ~triangle)
        page.press("s")
        page.until("edgesegLabel.editor.cells.ids !== null")
        page.press("3", " ", " ")
        cell = page.mask() == 2
        assert 20 < cell.sum() < 3000
        page.press("c", "u", "c")
        for keys in (["Shift+ArrowLeft"] * 2, ["Shift+ArrowUp"], ["Shift+ArrowRight"]):
            page.press(*keys, " ")
        page.page.wait_for_timeout(200)
        page.press("Enter")
        page.until("edgesegLabel.editor.mask.undoSteps.at(-1).tool === 'scissors'")
        assert (page.mask() == IGNORE).any()
        page.press("r", " ", "ArrowLeft", " ")  # restore what it began with: nothing
        page.saved()
        assert np.array_equal(kept_mask(site, page.frame()), page.mask())
        page.press("?")
        assert page.page.is_visible("#help")
        page.press("Escape")
        first = page.frame()
        page.press("a")
        page.until(f"edgesegLabel.editor.frame !== {json.dumps(first)}")
        page.press("t")  # as the frame before, which may lie behind this one
        page.press("x")
        page.until("document.querySelectorAll('[data-state=skipped]').length === 1")
    assert not page.problems
    page.page.close()


def test_a_long_stroke_is_kept_while_it_goes_on(browser: Browser, site: Site) -> None:
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        mouse = page.page.mouse
        mouse.move(*page.at(20, 20))
        mouse.down()
        for place in range(8):
            page.page.wait_for_timeout(200)
            mouse.move(*page.at(20 + 10 * place, 30))
        page.saved()
        assert (kept_mask(site, page.frame()) != IGNORE).any()  # the button is still down
        mouse.move(*page.at(100, 80))
        mouse.up()
        page.saved()
        assert page.page.evaluate("edgesegLabel.editor.mask.undoSteps.length") > 1
        page.press("z")  # all parts at once
        page.saved()
        assert (page.mask() == IGNORE).all() and (kept_mask(site, page.frame()) == IGNORE).all()
    assert not page.problems
    page.page.close()


def test_a_first_stroke_lands_on_what_the_page_shows(browser: Browser, site: Site) -> None:
    """As if another model had come since the frame was opened."""
    page = new_page(browser)
    shown = np.ones(SIZE, np.uint8)
    view = {"start": encode_text(shown), "beginning": digest_of(shown)}
    view |= {"origin": "prediction", "model": "exp1"}
    with label_server(site) as server:
        page.open(server.url)
        page.page.evaluate(
            "(view) => edgesegLabel.outbox.views.set(edgesegLabel.editor.frame, view)", view
        )
        page.press("3")
        page.stroke((20, 20), (60, 40))
        page.saved()
        drawn = page.mask() == 2
        kept = kept_mask(site, page.frame())
        assert drawn.any() and (kept[drawn] == 2).all()
        assert (kept[70:] == 1).all()  # far from the stroke, whose box is the page's own
    assert not page.problems
    page.page.close()


def test_two_tabs_on_one_frame(browser: Browser, site: Site) -> None:
    with label_server(site) as server:
        ada, bob = new_page(browser), new_page(browser)
        ada.open(server.url)
        ada.stroke((20, 20), (60, 40))
        ada.saved()
        before = ada.mask()
        bob.open(server.url)
        assert bob.frame() == ada.frame()
        assert "draws on this frame in another tab" in (bob.page.text_content("#notice") or "")
        bob.stroke((10, 80), (100, 80))  # moves the frame, for drawing is not allowed
        assert np.array_equal(bob.mask(), before)
        bob.page.click("#notice button")
        bob.until("!edgesegLabel.editor.isReadOnly")
        bob.press("g")
        bob.stroke((10, 80), (100, 80))
        bob.saved()
        ada.stroke((10, 10), (100, 10))
        ada.until("document.getElementById('conflict').open")
        assert "another tab" in (ada.page.text_content("#conflict-text") or "")
        assert np.array_equal(kept_mask(site, bob.frame()), bob.mask())
        ada.page.click("#conflict button[value=take]")
        ada.until("!edgesegLabel.editor.isReadOnly")
        assert np.array_equal(ada.mask(), bob.mask())
        ada.page.close()
        bob.page.close()


def test_fingers_on_a_narrow_screen(browser: Browser, site: Site) -> None:
    """One finger draws; nothing lies beyond the screen; the queue opens and closes."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = LabelPage(context.new_page())
    with label_server(site) as server:
        page.open(server.url)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
        page.page.touchscreen.tap(*page.at(64, 48))
        page.until("edgesegLabel.editor.mask.undoSteps.length === 1")
        assert page.mask()[48, 64] != IGNORE
        page.page.click("#show-queue")
        page.page.wait_for_timeout(400)
        page.page.click("#frames li:nth-child(2)")
        page.until("edgesegLabel.editor.mask.undoSteps.length === 0")
        page.saved()
    assert not page.problems
    context.close()


def test_a_frame_that_cannot_be_opened_says_why_and_shows_no_other(
    browser: Browser, site: Site
) -> None:
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        order = [row["frame"] for row in page.page.evaluate("edgesegLabel.queue.rows")]
        lost = next(frame for frame in site.frames() if frame.id == order[2])
        site.path(lost.image).unlink()
        page.page.click("#frames li:nth-child(3)")  # the second is in the browser's cache by now
        page.until("!document.getElementById('empty').hidden")
        said = page.page.text_content("#empty") or ""
        assert "cannot be opened" in said and "add the footage again" in said
        assert page.page.evaluate("edgesegLabel.editor.frame") is None
        page.press("b", "1", "a", "x", "z", " ")  # nothing to do anything with
        page.press(",")
        page.until("document.getElementById('empty').hidden")
        page.until(f"edgesegLabel.editor.frame === {json.dumps(order[1])}")
    assert not page.problems
    page.page.close()


def test_what_waits_for_the_server_lands_where_it_belongs(browser: Browser, site: Site) -> None:
    """A shape in its mask with its class, a skip taken back, steps that a lost token held up."""
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        first = page.frame()

        def late(route: Route) -> None:
            page.page.wait_for_timeout(150)
            route.continue_()

        page.page.route("**/contour", late)
        page.press("c", "2")
        for corner in ((32.5, 24.5), (63.5, 24.5), (63.5, 47.5), (32.5, 47.5)):
            page.click(*corner)
        page.press("Enter", "3", "a")  # at once: another class, and accept
        page.until(f"edgesegLabel.editor.frame !== {json.dumps(first)}")
        page.until("!edgesegLabel.editor.isReadOnly")
        page.page.unroute("**/contour")
        kept = kept_mask(site, first)
        assert set(np.unique(kept)) == {1, IGNORE}
        assert (
            kept[[24, 24, 47, 47], [32, 63, 32, 63]] == 1
        ).all()  # the line itself, on all sides

        second = page.frame()
        page.press("x")
        page.until(f"edgesegLabel.editor.frame !== {json.dumps(second)}")
        page.page.click("#toast button")
        page.until(f"edgesegLabel.editor.frame === {json.dumps(second)}")
        page.until("!edgesegLabel.editor.isReadOnly")
        assert read_marks(site) == {}

        page.page.route("**/events", lambda route: route.fulfill(status=401, body="refused"))
        page.press("b")
        page.stroke((20, 20), (60, 40))
        page.until("document.getElementById('save').dataset.state === 'trouble'")
        page.page.unroute("**/events")
        page.saved()
        assert np.array_equal(kept_mask(site, second), page.mask())
        assert (page.mask() == 2).any()
    assert not page.problems
    page.page.close()


def test_the_server_can_be_stopped_while_a_page_is_open(browser: Browser, site: Site) -> None:
    page = new_page(browser)
    with label_server(site) as server:
        page.open(server.url)
        begin = time.monotonic()
        assert "stopped" in server.stop(signal.SIGTERM)
        assert time.monotonic() - begin < 20
    page.page.close()
