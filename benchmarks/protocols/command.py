"""The command line of `benchmarks/sites.py voc` and `benchmarks/sites.py cityscapes`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.protocols.data_sets import DATA_SETS
from benchmarks.protocols.papers import PROTOCOLS
from benchmarks.protocols.partition import read_partition
from benchmarks.protocols.partition_site import make_partition_site
from edgeseg.cli.shared.console import progress_bar
from edgeseg.errors import EdgesegError

DESCRIPTION = """A site for the protocol of a paper, from a data set that you have.

    python benchmarks/sites.py voc --data VOCdevkit/VOC2012 \\
        --labelled UniMatch/splits/pascal/92/labeled.txt --protocol unimatch --out voc-92
    python benchmarks/sites.py cityscapes --data CITYSCAPES \\
        --labelled UniMatch/splits/cityscapes/1_16/labeled.txt --protocol unimatch --out city-186
    cd voc-92 && edgeseg compare --methods unimatch,fixmatch

The lists come from the official repositories; those of U2PL, ST++, UniMatch, UniMatch V2 and
TorchSemiSeg (CPS) are understood. benchmarks/PROTOCOLS.md has the papers' figures, and what differs
from their protocols.
"""
LICENSES = {
    "voc": """You need VOC 2012 (JPEGImages, ImageSets) and SBD's masks as SegmentationClassAug.
VOC's photographs are from Flickr and subject to Flickr's terms of use; SBD's masks (Hariharan et
al., ICCV 2011) are of the same photographs. Do not take either for free in commercial use: read
host.robots.ox.ac.uk/pascal/VOC/voc2012 before you pass on images, or models trained on them.""",
    "cityscapes": """You need leftImg8bit and gtFine, for which one registers at
www.cityscapes-dataset.com. The licence is for non-commercial purposes such as research and teaching
and does not allow the images to be passed on; read www.cityscapes-dataset.com/license before you
pass on models trained on them. The site holds copies of all images (about 10 GB): it is under the
same licence.""",
}


def main(arguments: Sequence[str]) -> int:
    """Make a site, and say what to type next.

    Args:
        arguments: The data set, then its options.

    Returns:
        The exit code.
    """
    name, *others = arguments
    options = _parser(name).parse_args(others)
    protocol = PROTOCOLS[name][options.protocol]
    encoder = options.encoder or protocol.encoder
    weights = (
        options.weights if options.weights == "imagenet" else str(Path(options.weights).resolve())
    )
    try:
        data = DATA_SETS[name](options.data)
        partition = read_partition(data, options.labelled, options.unlabelled, options.val)
        with progress_bar() as bar:
            site = make_partition_site(
                options.out,
                f"{name}-{len(partition.labelled)}-{options.protocol}",
                data,
                partition,
                protocol,
                encoder=encoder,
                weights=weights,
                report=bar,
            )
    except EdgesegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for note in partition.notes:
        print(f"note: {note}")
    kind = data.partitions.get(len(partition.labelled), "no published one")
    counts = [f"{split} {len(site.frames(split))}" for split in ("labelled", "unlabelled", "val")]
    print(f"{', '.join(counts)} (partition: {kind}); {site.config.train.steps} steps")
    rows = protocol.floor()
    if partition.unlabelled:
        rows = f"{rows},{protocol.methods[0]}"
    print(f"Next: cd {options.out} && edgeseg compare --methods '{rows}'")
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    protocols = "\n".join(
        f"  {key:12} {', '.join(protocol.methods)}: {protocol.encoder}, crop {protocol.crop}, "
        f"batch {protocol.batch}"
        for key, protocol in PROTOCOLS[name].items()
    )
    parser = argparse.ArgumentParser(
        prog=f"sites.py {name}",
        description=DESCRIPTION,
        epilog=f"protocols:\n{protocols}\n\nlicence:\n{LICENSES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data set")
    parser.add_argument(
        "--labelled", type=Path, required=True, help="the official list of labelled images"
    )
    parser.add_argument(
        "--unlabelled", type=Path, help="that of unlabelled ones; all others if left out"
    )
    parser.add_argument("--val", type=Path, help="that of val; the data set's own if left out")
    parser.add_argument("--protocol", choices=list(PROTOCOLS[name]), required=True)
    parser.add_argument("--encoder", help="another encoder, such as resnet50c")
    parser.add_argument(
        "--weights", default="imagenet", help="imagenet, or a .safetensors file with timm's names"
    )
    parser.add_argument("--out", type=Path, required=True, help="the site")
    return parser
