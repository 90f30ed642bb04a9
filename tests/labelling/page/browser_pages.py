"""The page in the system's own Chromium, served by the real command in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeseg.imaging.array_types import Mask
from edgeseg.labelling.drafts.mask_runs import decode_text
from edgeseg.site import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
# A container has no user namespaces for its sandbox, and little shared memory.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
PATIENCE = 60_000  # ms, for a machine that does other work


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or a reason to skip."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class LabelServer:
    """`edgeseg label`, or browse, of a site at its own port; may be killed and started again."""

    def __init__(self, site: Site, verb: str = "label") -> None:
        self.arguments = [verb, "--no-browser"]
        if verb == "label":
            self.arguments += ["--person", "Ada"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.site = site
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            f"sys.argv = {['edgeseg', *self.arguments, '--port', str(self.port)]}; "
            "from edgeseg.cli.start import main; main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.site.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}static/runs.js", timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.stop(signal.SIGKILL)}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> str:
        """Send a signal, wait for the end, and return what was printed."""
        if self.process is None:
            return ""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=60)[0]
        self.process = None
        return said


@contextmanager
def label_server(site: Site) -> Iterator[LabelServer]:
    server = LabelServer(site)
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


class LabelPage:
    """A tab with the page, and what tests do in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.addresses: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.addresses.append(request.url))

    def _note(self, line: Any) -> None:  # Any: Playwright's own
        if line.type in ("error", "warning") and "Failed to load resource" not in line.text:
            self.problems.append(line.text)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready=yes]")

    def reload(self) -> None:
        self.page.reload()
        self.page.wait_for_selector("body[data-ready=yes]")

    def frame(self) -> str:
        return str(self.page.evaluate("edgesegLabel.editor.frame"))

    def mask(self) -> Mask:
        """The class ids that the page holds."""
        runs = self.page.evaluate(
            "import('/static/runs.js').then((runs) => "
            "[runs.encodeRuns(edgesegLabel.editor.mask.ids), "
            "edgesegLabel.editor.mask.height, edgesegLabel.editor.mask.width])"
        )
        return decode_text(*runs)

    def shown(self) -> Mask:
        """Which pixels the mask's canvas shows in a color of their own, (H, W) of 0 and 1."""
        values = self.page.evaluate(
            "(() => { const {canvas, context} = edgesegLabel.editor.mask; "
            "const {data} = context.getImageData(0, 0, canvas.width, canvas.height); "
            "return [canvas.height, canvas.width, "
            "Array.from(data.filter((_, i) => i % 4 === 3), (a) => (a > 100 ? 1 : 0))]; })()"
        )
        return np.array(values[2], np.uint8).reshape(values[0], values[1])

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the frame is on the screen."""
        place = self.page.evaluate(
            "([x, y]) => { const view = edgesegLabel.editor.view; "
            "const box = view.stage.getBoundingClientRect(); "
            "return [box.left + view.x + x * view.scale, box.top + view.y + y * view.scale]; }",
            [x, y],
        )
        return float(place[0]), float(place[1])

    def stroke(self, *points: tuple[float, float]) -> None:
        """Draw with the mouse through pixels of the frame."""
        mouse = self.page.mouse
        mouse.move(*self.at(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(*point), steps=3)
        mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def until(self, condition: str) -> None:
        """Wait until an expression of JavaScript holds; the page's policy forbids Playwright's."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"never: {condition}"
            self.page.wait_for_timeout(50)

    def saved(self) -> None:
        self.until("edgesegLabel.outbox.waiting.length === 0")
