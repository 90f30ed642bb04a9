"""Kills `edgeseg label` while somebody draws: no acknowledged step may be lost, no mask damaged.

    python benchmarks/kill_label.py [--kills 50] [--size 720x1280] [--seed 0]

Steps (brush strokes, large fills, undo, redo, finished masks) are sent as the page sends them, each
as soon as the one before is answered. The server is killed at a random moment, often in the middle
of a step. After each kill the next server must show every frame as it was acknowledged, or with the
one step that was on its way. At the end it is stopped with SIGINT, and the site's masks must be
those that were finished. A kill -9 cannot show a missing fsync: that takes a power cut.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.data.ingest.site_writer import open_site_writer
from edgeseg.imaging import read_mask
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text
from edgeseg.site import Site

CLASSES = 4
FRAMES = 4
LONGEST = 1.5  # seconds of drawing between two kills at most
START_SECONDS = 90.0
KINDS = ("stroke", "stroke", "stroke", "stroke", "fill", "undo", "redo", "finish")
Answer = dict[str, Any]  # Any: what JSON can hold


@dataclass
class Drawing:
    """What a frame should look like, by what the server acknowledged.

    Attributes:
        mask: (H, W) class ids.
        undo, redo: Masks before each step that can be taken back, and after each that was.
        revision: Number of acknowledged events.
        finished: The mask that was finished last.
        unsure: A mask whose finish a kill left unanswered and the journal does not hold: the site
            may have it or not.
        on_the_way: The drawing with the event that a kill left unanswered.
    """

    mask: Mask
    undo: list[Mask] = field(default_factory=list)
    redo: list[Mask] = field(default_factory=list)
    revision: int = 0
    finished: Mask | None = None
    unsure: Mask | None = None
    on_the_way: Drawing | None = None

    def after(self, kind: str, box: tuple[int, int, int, int], class_id: int) -> Drawing:
        """Return the drawing after an event."""
        mask, undo, redo = self.mask, [*self.undo], [*self.redo]
        finished, unsure = self.finished, self.unsure
        if kind == "edit":
            x, y, width, height = box
            undo, redo, mask = [*undo, mask], [], mask.copy()
            mask[y : y + height, x : x + width] = class_id
        elif kind == "undo":
            redo, mask = [*redo, mask], undo.pop()
        elif kind == "redo":
            undo, mask = [*undo, mask], redo.pop()
        else:
            finished, unsure = mask, None
        return Drawing(mask, undo, redo, self.revision + 1, finished, unsure)


class Server:
    """`edgeseg label` in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.starts: list[float] = []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        begin = time.monotonic()
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            f"sys.argv = ['edgeseg', 'label', '--no-browser', '--port', '{self.port}']; "
            "from edgeseg.cli.start import main; main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        while time.monotonic() - begin < START_SECONDS:
            try:
                self.ask("GET", "/api/site")
                self.starts.append(time.monotonic() - begin)
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the server does not start")

    def stop(self, number: signal.Signals) -> None:
        """Send it a signal, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)

    def ask(self, method: str, path: str, content: Answer | None = None) -> Answer:
        """Ask for an address.

        Raises:
            OSError: The server is gone.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Origin": f"http://127.0.0.1:{self.port}"}
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {text.decode()}")
        return dict(json.loads(text))


def replay(root: Path, kills: int, size: tuple[int, int], seed: int = 0) -> dict[str, Any]:
    """Draw, kill, and compare; returns what was counted.

    Args:
        root: A folder for the site.
        kills: How often the server is killed.
        size: Height and width of the frames.
        seed: Of the strokes and the moments.
    """
    random_numbers = random.Random(seed)
    site = _make_site(root, size)
    drawings = {frame.id: Drawing(np.full(size, IGNORE, np.uint8)) for frame in site.frames()}
    server, counts = Server(root), Counter[str]()
    seconds: list[float] = []
    for number in range(kills + 1):
        server.start()
        _compare(server, drawings, counts)
        if number == kills:
            break
        delay = random_numbers.uniform(0.02, LONGEST)
        killer = threading.Timer(delay, server.stop, [signal.SIGKILL])
        killer.start()
        _draw(server, drawings, random_numbers, counts, seconds)
        killer.join()
    server.stop(signal.SIGINT)
    masks = {frame.id: frame.mask for frame in site.frames()}
    for frame_id, drawing in drawings.items():
        if drawing.finished is not None:
            path = masks[frame_id]
            fitting = [mask for mask in (drawing.finished, drawing.unsure) if mask is not None]
            is_right = path is not None and any(
                np.array_equal(read_mask(site.path(path)), mask) for mask in fitting
            )
            counts["finished masks"] += 1
            counts["wrong masks in the site"] += not is_right
    left = len(list((root / "labelling" / "finished").iterdir()))
    return {
        "kills": kills,
        **{name: counts[name] for name in ("acknowledged", "on the way", "lost or damaged")},
        **{name: counts[name] for name in ("finished masks", "wrong masks in the site")},
        "left at the door": left,
        "answered in ms, median": round(1000 * float(np.median(seconds)), 1),
        "answered in ms, 99 %": round(1000 * float(np.quantile(seconds, 0.99)), 1),
        "start in s, median": round(float(np.median(server.starts)), 2),
    }


def _make_site(root: Path, size: tuple[int, int]) -> Site:
    root.mkdir(parents=True, exist_ok=True)
    tables = [f'[[classes]]\nname = "c{n}"\ncolor = "#0000{n:02x}"\n' for n in range(CLASSES)]
    (root / "edgeseg.toml").write_text("".join(tables))
    site = Site.open(root)
    noise = np.random.default_rng(0)
    with open_site_writer(site) as writer:
        for number in range(FRAMES):
            rgb = noise.integers(0, 256, (*size, 3), np.uint8)
            facts = {"camera": "c", "source": "s", "origin": "footage"}
            writer.put_image(rgb, None, time=60.0 * number, **facts)  # type: ignore[arg-type]
        writer.save()
    return site


def _compare(server: Server, drawings: dict[str, Drawing], counts: Counter[str]) -> None:
    """See that the server shows what was acknowledged, or that and the event on its way."""
    for frame_id, drawing in drawings.items():
        content = {"tab": "compare", "person": "kill", "force": True}
        view = server.ask("POST", f"/api/frames/{frame_id}/open", content)
        server.ask("POST", "/api/status", {"tab": "compare", "person": "kill"})
        mask = decode_text(view["runs"], *drawing.mask.shape)
        for known in filter(None, (drawing, drawing.on_the_way)):
            steps = len(view["undo"]), len(view["redo"])
            is_same = view["revision"] == known.revision and np.array_equal(mask, known.mask)
            if is_same and steps == (len(known.undo), len(known.redo)):
                counts["on the way"] += known is not drawing
                if known is drawing and drawing.on_the_way is not None:
                    drawing.unsure = drawing.on_the_way.finished
                known.on_the_way = None
                drawings[frame_id] = known
                break
        else:
            counts["lost or damaged"] += 1


def _draw(
    server: Server,
    drawings: dict[str, Drawing],
    random_numbers: random.Random,
    counts: Counter[str],
    seconds: list[float],
) -> None:
    """Send events until the server is gone."""
    for frame_id in drawings:
        try:
            content = {"tab": "draw", "person": "kill", "force": True}
            server.ask("POST", f"/api/frames/{frame_id}/open", content)
        except OSError:
            return
    while True:
        frame_id = random_numbers.choice(list(drawings))
        drawing = drawings[frame_id]
        height, width = drawing.mask.shape
        kind, class_id = random_numbers.choice(KINDS), random_numbers.randrange(CLASSES)
        is_large = kind == "fill"
        w = random_numbers.randint(1, width if is_large else 1 + width // 8)
        h = random_numbers.randint(1, height if is_large else 1 + height // 8)
        box = random_numbers.randint(0, width - w), random_numbers.randint(0, height - h), w, h
        if kind in ("stroke", "fill"):
            kind = "edit"
        if kind == "finish" and (drawing.mask == IGNORE).all():
            continue
        if (kind == "undo" and not drawing.undo) or (kind == "redo" and not drawing.redo):
            continue
        event: Answer = {
            "tab": "draw",
            "person": "kill",
            "name": f"{random_numbers.getrandbits(64):x}",
            "revision": drawing.revision,
            "kind": kind,
        }
        if kind == "edit":
            ids = np.full((h, w), class_id, np.uint8)
            event |= {"tool": "brush", "box": list(box), "runs": encode_text(ids)}
        following = drawing.after(kind, box, class_id)
        begin = time.monotonic()
        try:
            server.ask("POST", f"/api/frames/{frame_id}/events", event)
        except OSError:
            drawing.on_the_way = following
            return
        seconds.append(time.monotonic() - begin)
        counts["acknowledged"] += 1
        drawings[frame_id] = following


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--size", default="720x1280", help="height x width of the frames")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        result = replay(Path(folder) / "site", arguments.kills, (height, width), arguments.seed)
    load = os.getloadavg()[0]
    print(f"edgeseg {edgeseg.__version__}, {platform.processor()}, load {load:.1f}")
    for name, value in result.items():
        print(f"{name:28} {value}")
    print(json.dumps(result))
    if result["lost or damaged"] or result["wrong masks in the site"] or result["left at the door"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
