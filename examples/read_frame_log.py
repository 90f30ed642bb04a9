"""Read a frame log into numpy: which frames a device was unsure of, and what it saw in them.

    python examples/read_frame_log.py FRAME_LOG [--output frames.npz]

Needs `edgeseg[device]` only. docs/formats/frame-log.md tells how to do without edgeseg.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--output", type=Path, help="Keep scores and masks as an .npz file.")
    options = parser.parse_args()

    records = [read_record(path) for path in iter_records(options.log)]  # checked, oldest first
    scores = np.array([record.header.score for record in records])
    # The control stream was drawn at random, so it alone tells what the camera usually shows.
    control = np.array([record.header.reason == "random" for record in records], dtype=bool)
    print(f"{len(records)} records, {control.sum()} of them drawn at random")
    arrays: dict[str, np.ndarray] = {"score": scores, "random": control}
    for record in sorted(records, key=lambda record: -record.header.score)[:5]:
        image, mask, entropy = record.image(), record.mask(), record.entropy()
        print(f"{record.name}: score {record.header.score:.2f}, frame {image.shape}")
        if mask is not None and entropy is not None:
            arrays[f"mask_{record.id[:8]}"] = mask  # (h, w) uint8 class ids
            arrays[f"entropy_{record.id[:8]}"] = entropy  # (h, w) float32, 0..1
    if options.output is not None:
        np.savez_compressed(options.output, **arrays)
        print(f"saved to {options.output}")


if __name__ == "__main__":
    main()
