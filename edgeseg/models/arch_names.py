"""Names of architectures that carry the width of their decoder, such as deeplabv3plus_096.

As the encoders' names do (mobilenetv2_050, stdc1_050), so that an edge model stays two names
wherever it is written down. The number is that of the decoder's channels.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edgeseg.errors import TrainError
from edgeseg.models.edge import lightfpn

# Decoders whose width can be told, and the width of the bare name.
WIDTHS = {"deeplabv3plus": 256, "lightfpn": lightfpn.WIDTH}
LEAST, MOST = 8, 1024  # channels; a name of three or four digits


class ArchName(NamedTuple):
    """What the name of an architecture says.

    Attributes:
        decoder: The name without a width.
        width: Channels of the decoder; None where the decoder has its own.
    """

    decoder: str
    width: int | None


def parse_arch(arch: str) -> ArchName:
    """Split `arch` into decoder and width: deeplabv3plus_096 has 96 channels.

    A name that is not of this form comes back whole.

    Raises:
        TrainError: a width that the decoder cannot have.
    """
    match = re.fullmatch(r"([a-z0-9]+)_(\d{3,4})", arch)
    if match is None or match[1] not in WIDTHS:
        return ArchName(arch, WIDTHS.get(arch))
    width = int(match[2])
    if not LEAST <= width <= MOST or width % LEAST:
        raise TrainError(
            f"arch {arch} asks for {width} channels in the decoder; take a multiple of {LEAST} "
            f"from {match[1]}_{LEAST:03d} to {match[1]}_{MOST}"
        )
    return ArchName(match[1], width)
