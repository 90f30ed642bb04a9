"""How right are the labels that are propagated to unlabelled frames? No network has a part in it.

    python benchmarks/propagated_labels.py SITE --truth DATA/dhcn/labels/train
    python benchmarks/propagated_labels.py DEMO    # the footage of a demo's site is rendered again

SITE is a folder that benchmarks/sites.py made; `--truth` has the masks of its training frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.data.propagation.label_propagation import LabelPropagation
from edgeseg.demo.demo_site import DemoSize, file_stem
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import summer
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.mask_png import read_mask
from edgeseg.metrics.confusion import confusion_matrix, iou, miou
from edgeseg.site import Site

SOURCES = (1, 3, 5)  # labelled frames that are tried for each unlabelled one


def main() -> None:
    """Print a row for each number of labelled frames that are tried."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path)
    parser.add_argument("--truth", type=Path, help="masks of the training frames, by file name")
    parser.add_argument("--every", type=int, default=1, help="look at every so many frames")
    options = parser.parse_args()
    site = Site.open(options.site)
    truth_of = _masks_in(options.truth) if options.truth else _demo_footage()
    for sources in SOURCES:
        print(f"{sources} tried: {measure(site, truth_of, sources, options.every)}", flush=True)


def measure(site: Site, truth_of: Callable[[str], Mask], sources: int, every: int) -> str:
    """Propagate the labels of a site to its footage; returns the figures as a sentence.

    Args:
        site: The site, at the size of `train.imgsz`.
        truth_of: Gives the mask (H, W) of an unlabelled frame by the stem of its file's name.
        sources: Labelled frames that are tried for each.
        every: Distance between two frames that are looked at.
    """
    size, classes = site.config.train.imgsz, len(site.config.classes)
    labelled = SiteFrameReader(site, site.frames("labelled"), size)
    footage = SiteFrameReader(site, site.frames("unlabelled"), size)
    propagation = LabelPropagation(labelled, sources)
    counts = np.zeros((classes, classes), np.int64)
    shares = []
    seconds = 0.0
    for index in range(0, len(footage), every):
        frame = footage.frames[index]
        image, _ = footage[index]
        began = time.perf_counter()
        found = propagation.propagate(image)
        seconds += time.perf_counter() - began
        fit = fit_frame(site.config.data.fit, (frame.height, frame.width), size)
        truth = fit.mask(truth_of(Path(frame.source).stem))
        truth[(truth >= classes) | (found == IGNORE)] = IGNORE
        counts += confusion_matrix(truth, np.minimum(found, classes - 1), classes)
        shares.append(float((found != IGNORE).mean()))
    right = 100 * counts.trace() / counts.sum()
    names = site.config.class_names
    each = ", ".join(f"{name} {value:.0f}" for name, value in zip(names, iou(counts)))
    return (
        f"{len(shares)} frames, {100 * np.mean([share > 0 for share in shares]):.0f} % of them get "
        f"labels, {100 * np.mean(shares):.1f} % of all pixels; {right:.1f} % of these right, mIoU "
        f"{miou(counts):.1f} ({each}); {1000 * seconds / len(shares):.0f} ms a frame"
    )


def _masks_in(folder: Path) -> Callable[[str], Mask]:
    return lambda stem: read_mask(folder / f"{stem}.png").copy()


def _demo_footage() -> Callable[[str], Mask]:
    size = DemoSize()
    scene = Scene(size.height, size.width)
    random = np.random.default_rng((size.seed, 6))  # as the demo renders its summer
    masks = {file_stem(moment): scene.render(moment)[1] for moment in summer(random, size.footage)}
    return lambda stem: masks[stem]


if __name__ == "__main__":
    main()
