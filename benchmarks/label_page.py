"""The page of `edgeseg label` in Chromium: the time of a brush move, of a save, and its pictures.

    python benchmarks/label_page.py [--frames 8] [--pictures docs/images] [--folder SITE]

Frames of the demo's river are rendered at 1280x720. Beside them lie their true masks: roughened,
with a patch that is wrong, they stand for the predictions of a model. The system's Chromium opens
the page without a screen. With --pictures the pictures of docs/label.md are made anew.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.demo.renderer.materials import CLASSES
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import summer
from edgeseg.imaging import read_mask
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.page.server import serve_page
from edgeseg.labelling.starting_masks import StartingMask
from edgeseg.site import Frame, Site

HEIGHT, WIDTH = 720, 1280
COARSE = 8  # pixels of the frame for one of the roughened mask
WRONG = (slice(52, 64), slice(96, 118))  # of the roughened mask: bank on water
MOVES = 200
SIZES = (24, 60, 120)  # of the brush
DRAW = """async ([size, moves]) => {
  const { editor, outbox } = edgesegLabel;
  editor.setSize(size);
  const times = [];
  editor.tool.down(100, 100);
  for (let k = 0; k < moves; k++) {
    const begin = performance.now();
    editor.tool.move(640 + 500 * Math.cos(k / 12), 360 + 300 * Math.sin(k / 12));
    times.push(performance.now() - begin);
    await new Promise(requestAnimationFrame);
  }
  editor.tool.up();
  times.sort((a, b) => a - b);
  await outbox.drained();
  await new Promise((resolve) => setTimeout(resolve, 60));
  const quantile = (share) => Math.round(100 * times[Math.floor(times.length * share)]) / 100;
  return { median: quantile(0.5), "95 %": quantile(0.95), saved: Math.round(outbox.savedMs) };
}"""
FILL_AND_ACCEPT = """async () => {
  const { editor, outbox } = edgesegLabel;
  const saved = async () => {
    await outbox.drained();
    await new Promise((resolve) => setTimeout(resolve, 60));
    return Math.round(outbox.savedMs);
  };
  editor.tools.fill.down(2, 2);
  const fill = await saved();
  outbox.push(editor.frame, { kind: "finish", split: "auto", person: "x" });
  return { fill, accept: await saved() };
}"""


def make_river(root: Path, frames: int) -> None:
    """Render frames with their true masks into a site."""
    (root / "card").mkdir(parents=True)
    (root / "truth").mkdir()
    tables = [f'[[classes]]\nname = "{name}"\ncolor = "{color}"\n' for name, color in CLASSES]
    settings = "[data]\nnear_duplicate = 0\n"
    (root / "edgeseg.toml").write_text('name = "river"\n' + "".join(tables) + settings)
    scene = Scene(HEIGHT, WIDTH)
    for number, conditions in enumerate(summer(np.random.default_rng(1), frames)):
        rgb, mask = scene.render(conditions)
        name = root / "card" / f"{number:02}.jpg"
        cv2.imwrite(str(name), rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(root / "truth" / f"{number:02}.png"), mask)
    add_footage(Site.open(root), [str(root / "card")], "gauge")


def predict(self: Predictions, frame: Frame) -> StartingMask:
    """The true mask, roughened, with a patch that is wrong and edges that are unsure."""
    truth = read_mask(self.site.root / "truth" / f"{Path(frame.source).stem}.png")
    size = WIDTH // COARSE, HEIGHT // COARSE
    small = cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST)
    coarse = np.asarray(cv2.medianBlur(small, 3), np.uint8)
    coarse[WRONG] = 2
    large = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    mask = np.asarray(cv2.medianBlur(large, 9), np.uint8)
    edges = (np.asarray(cv2.Canny(mask, 1, 1)) > 0).astype(np.float32)
    entropy = 4 * np.asarray(cv2.GaussianBlur(edges, (0, 0), 9))
    doubt = np.zeros((size[1], size[0]), np.float32)
    doubt[WRONG] = 0.7
    entropy = entropy + np.asarray(cv2.resize(doubt, (WIDTH, HEIGHT)))
    return StartingMask(mask, np.clip(entropy, 0, 1).astype(np.float32), "distill exp1")


def serve(root: Path) -> None:
    """Serve the page with these predictions until a signal comes."""
    Predictions.of = predict  # type: ignore[method-assign]

    def opened(address: Any) -> None:
        print(address.url, flush=True)

    serve_page(Site.open(root), host="127.0.0.1", port=None, person="Ada", opened=opened)


def open_page(browser: Browser, url: str, width: int, height: int, scheme: Any) -> Page:
    """Open the page with a screen of this size."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=width < 500
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
    page.wait_for_timeout(800)
    return page


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the frame is on the screen."""
    place = page.evaluate(
        "([x, y]) => { const { view } = edgesegLabel.editor; "
        "const box = view.stage.getBoundingClientRect(); "
        "return [box.left + view.x + x * view.scale, box.top + view.y + y * view.scale]; }",
        [x, y],
    )
    return place[0], place[1]


def shoot(page: Page, path: Path) -> None:
    """Save what the page shows as a small JPEG."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(path, quality=84, optimize=True, progressive=True)


def make_pictures(browser: Browser, url: str, folder: Path) -> None:
    """Make the pictures of docs/label.md."""
    page = open_page(browser, url, 1280, 800, "light")
    page.keyboard.press("2")
    page.evaluate("edgesegLabel.editor.setSize(44)")
    page.mouse.move(*at(page, 800, 450))
    page.mouse.down()
    for x, y in ((900, 440), (930, 470), (820, 480)):
        page.mouse.move(*at(page, x, y), steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)
    shoot(page, folder / "label-light.jpg")
    page.keyboard.press("c")
    for x, y in ((700, 760), (560, 640), (420, 560)):
        page.mouse.click(*at(page, x / 1.2, y / 1.2))
        page.wait_for_timeout(700)
    page.mouse.move(*at(page, 300, 470))
    page.wait_for_timeout(1200)
    shoot(page, folder / "label-scissors.jpg")
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    page.context.close()
    page = open_page(browser, url, 1280, 800, "dark")
    page.keyboard.press("i")
    page.wait_for_timeout(1500)
    shoot(page, folder / "label-dark.jpg")
    page.context.close()
    page = open_page(browser, url, 390, 844, "dark")
    shoot(page, folder / "label-narrow.jpg")
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--pictures", type=Path, help="make the pictures of the docs here")
    parser.add_argument("--folder", type=Path, help="keep the site here and use it again")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve)
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.folder or Path(temporary) / "river"
        if not (root / "frames.jsonl").exists():
            make_river(root, arguments.frames)
        shutil.rmtree(root / "labelling" / "drafts", ignore_errors=True)
        command = [sys.executable, __file__, "--serve", str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            try:
                measure(url, arguments.pictures)
            finally:
                server.send_signal(signal.SIGINT)
    return None


def _processor_seconds(session: CDPSession) -> float:
    """Return the processor time of the page's main thread, scripts and painting."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def measure(url: str, pictures: Path | None) -> None:
    """Open the page, and print what was measured."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        if pictures is not None:
            make_pictures(browser, url, pictures)
        begin = time.monotonic()
        page = open_page(browser, url, 1600, 1000, "light")
        opened = time.monotonic() - begin
        print(f"{browser.version}, load {os.getloadavg()[0]:.1f}, opened in {opened:.1f} s; in ms:")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        for size in SIZES:
            before = _processor_seconds(session)
            result = page.evaluate(DRAW, [size, MOVES])
            used = 1000 * (_processor_seconds(session) - before) / MOVES
            print(f"brush of {size}: {json.dumps(result)}, processor of the page {used:.2f} a move")
        print(f"saved: {json.dumps(page.evaluate(FILL_AND_ACCEPT))}")
        browser.close()


if __name__ == "__main__":
    main()
