"""CVAT for images 1.1: `annotations.xml` with a mask for each connected part, beside `images`.

CVAT refuses a mask of several parts (cvat-ai/cvat#7458).
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from edgeseg.atomic_files import write_atomic
from edgeseg.data.label_formats.run_lengths import runs_of_bits
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.data.label_formats.writers.polygons import parts_of
from edgeseg.imaging.array_types import Mask


class CvatWriter:
    """Writes `images/NAME.jpg` and `annotations.xml`."""

    def __init__(self, target: Target) -> None:
        """Begin with no frame."""
        self._target = target
        self._images: list[str] = []

    def add(self, frame: WrittenFrame) -> Mask:
        """Write the image, and keep its masks."""
        name = f"{frame.name}{frame.suffix}"
        write_atomic(self._target.folder / "images" / name, frame.image, sync=False)
        height, width = frame.mask.shape
        lines = [
            f'  <image id="{len(self._images)}" name={quoteattr(name)} width="{width}" '
            f'height="{height}">'
        ]
        for part in parts_of(frame.mask):
            runs = ", ".join(map(str, runs_of_bits(part.bits).tolist()))
            lines.append(
                f"    <mask label={quoteattr(self._target.classes[part.class_id])} "
                f'source="manual" occluded="0" rle="{runs}" left="{part.left}" top="{part.top}" '
                f'width="{part.bits.shape[1]}" height="{part.bits.shape[0]}" z_order="0">\n'
                "    </mask>"
            )
        self._images.append("\n".join([*lines, "  </image>"]))
        return frame.mask

    def finish(self) -> None:
        """Write the table."""
        labels = "".join(
            f"<label><name>{escape(name)}</name><color>#{red:02x}{green:02x}{blue:02x}</color>"
            "<attributes></attributes></label>"
            for name, (red, green, blue) in zip(self._target.classes, self._target.palette)
        )
        text = "\n".join(
            [
                '<?xml version="1.0" encoding="utf-8"?>',
                "<annotations>",
                "  <version>1.1</version>",
                f"  <meta><task><labels>{labels}</labels></task></meta>",
                *self._images,
                "</annotations>\n",
            ]
        )
        write_atomic(self._target.folder / "annotations.xml", text.encode())
