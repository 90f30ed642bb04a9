"""The door of the site for finished masks: the one of `edgeseg add labels`.

A finished mask is first written into `labelling/finished/`, and is safe from then on. A thread
hands it to `edgeseg.data.ingest.add_labels`, which checks it and chooses its split as for any other
mask, and deletes it when the site has it. Where another process adds to the site, or the disk is
full, it waits and tries again; what a kill left is handed over at the next start.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edgeseg.atomic_files import remove_leftovers, write_atomic, write_json
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.disk.faults import describe_disk_fault, is_disk_fault
from edgeseg.errors import DataError, EdgesegError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.image_codec import encode_png
from edgeseg.labelling.drafts.label_history import LabelHistory, LabelRecord
from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text
from edgeseg.labelling.drafts.site_masks import digest_of, read_site_mask
from edgeseg.site import Frame, Site

RETRY_SECONDS = 2.0
# Ids of the page are ids of the site: nothing about them is to be guessed.
RULES = MaskRules(first_id=0, mapping=("255=ignore",), palette="index")


@dataclass(frozen=True)
class DoorState:
    """What waits at the door.

    Attributes:
        waiting: Ids of frames whose finished masks the site does not have yet.
        trouble: Why they wait; empty if they are only being worked on.
        notes: What the site had to say about the last ones.
    """

    waiting: tuple[str, ...]
    trouble: str
    notes: tuple[str, ...]


class FinishedMasks:
    """Masks on their way into the site."""

    def __init__(self, site: Site) -> None:
        """Find what an earlier process left."""
        self._site = site
        self._folder: Path = site.root / "labelling" / "finished"
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._folder)
        for picture in self._folder.glob("*.png"):
            picture.unlink()  # of a hand-over that was killed
        self._history = LabelHistory(site)
        self._waiting = sorted(path.stem for path in self._folder.glob("*.json"))
        self._trouble = ""
        self._notes: tuple[str, ...] = ()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="finished-masks", daemon=True)

    def start(self) -> None:
        """Begin to hand masks over."""
        self._thread.start()

    def close(self, seconds: float = 20.0) -> DoorState:
        """Hand over what can be, and end; the rest is handed over at the next start."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return self.state()

    def state(self) -> DoorState:
        """Return what waits, and why."""
        with self._changed:
            return DoorState(tuple(self._waiting), self._trouble, self._notes)

    def put(self, mask: Mask, record: LabelRecord, site: str | None = None) -> None:
        """Keep a finished mask, safe from a power cut when this returns, and let it wait.

        Args:
            mask: (H, W) class ids.
            record: Its line of the history.
            site: The digest of the site's mask that it was drawn over, `NONE` of none; left out if
                that is not known. Where the site has got another by then, that one stays.

        Raises:
            OSError: The disk does not take it.
        """
        frame_id = record["frame"]
        with self._changed:
            known = [] if site is None else [site]
            if frame_id in self._waiting:  # what an earlier one was drawn over still counts
                known += self._known_masks(frame_id)
            # One file, so that a kill cannot leave a mask with the record of another.
            height, width = mask.shape
            runs = {"height": height, "width": width, "runs": encode_text(mask)}
            content = {"record": record, "mask": runs, "site": known}
            write_json(self._folder / f"{frame_id}.json", content)
            if frame_id not in self._waiting:
                self._waiting.append(frame_id)
            self._changed.notify_all()

    def _known_masks(self, frame_id: str) -> list[str]:
        try:
            content = json.loads((self._folder / f"{frame_id}.json").read_bytes())
            return [str(digest) for digest in content["site"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closing:
                    self._changed.wait()
                waiting, is_closing = list(self._waiting), self._is_closing
            troubles = [self._try(frame_id) for frame_id in waiting]
            trouble = next(filter(None, troubles), "")
            with self._changed:
                self._trouble = trouble
                if is_closing:
                    return
                if trouble:
                    self._changed.wait(RETRY_SECONDS)

    def _try(self, frame_id: str) -> str:
        """Hand a mask over; whatever goes wrong is told, and the thread goes on."""
        try:
            return self._hand_over(frame_id)
        except OSError as error:
            return describe_disk_fault(error, self._folder) if is_disk_fault(error) else str(error)
        except Exception as error:  # noqa: BLE001  # a bug costs this mask's turn, not all others
            return f"frame {frame_id}: {type(error).__name__}: {error}; please report it"

    def _hand_over(self, frame_id: str) -> str:
        """Give a mask to the site, and return why that is not possible now."""
        kept, picture = self._folder / f"{frame_id}.json", self._folder / f"{frame_id}.png"
        try:
            written = kept.read_bytes()
            content = json.loads(written)
            record, mask = cast(LabelRecord, content["record"]), content["mask"]
            ids = decode_text(mask["runs"], mask["height"], mask["width"])
            frame = next(each for each in self._site.frames() if each.id == frame_id)
            if self._has_newer_mask(
                frame, [str(digest) for digest in content.get("site", [])], ids
            ):
                notes = [
                    f"{frame.image} got another label while the one of the page waited; the site "
                    "keeps it, and undo in the page brings yours back"
                ]
            else:
                write_atomic(picture, encode_png(ids), sync=False)
                image = self._site.path(frame.image)
                notes = add_labels(self._site, image, picture, record["split"], rules=RULES).notes
                self._history.add(record)
        except StopIteration:
            return f"the site has no frame {frame_id} any more; its mask is kept in {kept}"
        except EdgesegError as error:
            return str(error)
        except (ValueError, KeyError, TypeError):
            return f"{kept} is damaged; accept the frame again"
        finally:
            picture.unlink(missing_ok=True)
        with self._changed:
            self._notes = tuple(notes)
            if kept.read_bytes() == written:  # else it was finished again meanwhile
                kept.unlink()
                self._waiting.remove(frame_id)
        return ""

    def _has_newer_mask(self, frame: Frame, known: list[str], mask: Mask) -> bool:
        """Return whether the site has a mask that a finished one was not drawn over."""
        if frame.mask is None or not known:
            return False
        try:
            digest = digest_of(read_site_mask(self._site, frame))
        except DataError:
            return False  # a damaged one is replaced
        return digest not in (*known, digest_of(mask))
