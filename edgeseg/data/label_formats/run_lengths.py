"""Run lengths of masks: those of COCO, CVAT and Label Studio, by hand, for they are few lines.

pycocotools would bring 2 MB of compiled code to read and write what is below; tests hold both equal
on files that it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.label_formats.canvas import Bits

Runs = NDArray[np.int64]
MOST_RUNS = 20_000_000
MOST_RUN = 1 << 31
LETTERS = 48  # of COCO's strings: "0" is 0


def runs_of_numbers(numbers: object) -> Runs:
    """Return run lengths that a file lists.

    Raises:
        ValueError: They are none.
    """
    try:
        runs = np.asarray(numbers)
    except (ValueError, OverflowError):
        raise ValueError("has run lengths that are no numbers") from None
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iuf") or runs.size > MOST_RUNS:
        raise ValueError("has run lengths that are no numbers")
    if runs.size and (runs.min() < 0 or runs.max() > MOST_RUN):
        raise ValueError("has run lengths below zero or beyond any picture")
    return runs.astype(np.int64)


def coco_runs(text: str) -> Runs:
    """Return the run lengths of COCO's compressed text.

    Each number is written in digits of 5 bits, lowest first, as letters from "0" on; 32 is added to
    all digits but the last, whose bit of 16 is the sign. From the fourth on, numbers are the
    differences to the one before the last. "52203" are 5, 2, 2, then 0 + 2 = 2 and 3 + 2 = 5.

    Raises:
        ValueError: It is none.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        digit = ord(letter) - LETTERS
        if not 0 <= digit < 64 or shift > 35:
            raise ValueError("has damaged run lengths")
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            if digit & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("has damaged run lengths")
    return runs_of_numbers(runs)


def coco_text(runs: Runs) -> str:
    """Return run lengths as COCO's compressed text; see `coco_runs`."""
    letters = []
    listed = runs.tolist()
    for index, run in enumerate(listed):
        value = run - (listed[index - 2] if index > 2 else 0)
        while True:
            digit, value = value & 31, value >> 5
            is_last = value == (-1 if digit & 16 else 0)
            letters.append(chr(LETTERS + digit + (0 if is_last else 32)))
            if is_last:
                break
    return "".join(letters)


def bits_of_runs(runs: Runs, size: tuple[int, int], *, by_column: bool = False) -> Bits:
    """Return the (H, W) bits of runs of 0 and 1 by turns, 0 first.

    Args:
        by_column: Runs go down the columns, as COCO's do, else along the rows.

    Raises:
        ValueError: They do not fill the size.
    """
    height, width = size
    if int(runs.sum()) != height * width:
        raise ValueError(f"has {int(runs.sum())} pixels of runs for an image of {width}x{height}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T if by_column else flat.reshape(height, width)


def runs_of_bits(bits: Bits, *, by_column: bool = False) -> Runs:
    """Return the runs of 0 and 1 by turns, 0 first, of (H, W) bits; see `bits_of_runs`."""
    flat = (bits.T if by_column else bits).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(ends)
    return np.concatenate([[0], runs]) if flat.size and flat[0] else runs


class BitReader:
    """Numbers of any number of bits, highest first, out of bytes."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first bit."""
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def read(self, count: int) -> int:
        """Return the next number.

        Raises:
            ValueError: There are no bits left.
        """
        end = self._at + count
        if end > len(self._bits):
            raise ValueError("has a brush mask that ends early")
        value = int(self._bits[self._at : end], 2)
        self._at = end
        return value


def brush_bits(numbers: Sequence[int], size: tuple[int, int]) -> Bits:
    """Return the (H, W) bits of a brush of Label Studio.

    32 bits tell the number of values (four channels of each pixel), 5 the bits of a value less one,
    and 4 times 4 the bits of four kinds of lengths, less one. Then blocks follow: a bit that says
    whether one value is repeated, 2 bits for the kind of its length, the length less one, and the
    value or values. Alpha, the fourth channel, is 0 outside of the brush.

    Raises:
        ValueError: It is damaged, or of another size.
    """
    height, width = size
    try:
        data = bytes(numbers)
    except (TypeError, ValueError):
        raise ValueError("has a brush mask that is no list of bytes") from None
    source = BitReader(data)
    total = source.read(32)
    if total != 4 * height * width:
        raise ValueError(f"has a brush mask of {total // 4} pixels for {width}x{height}")
    word = source.read(5) + 1
    lengths = [source.read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    at = 0
    while at < total:
        is_run = source.read(1)
        length = source.read(lengths[source.read(2)]) + 1
        if at + length > total:
            raise ValueError("has a brush mask that is longer than its image")
        if is_run:
            values[at : at + length] = source.read(word) > 0
        else:
            values[at : at + length] = [source.read(word) > 0 for _ in range(length)]
        at += length
    return values.reshape(height, width, 4)[..., 3] > 0


def brush_numbers(bits: Bits) -> list[int]:
    """Return (H, W) bits as a brush of Label Studio; see `brush_bits`."""
    runs = 4 * runs_of_bits(bits)
    lengths = (3, 8, 12, 16)
    written = [f"{4 * bits.size:032b}", f"{7:05b}", *(f"{length - 1:04b}" for length in lengths)]
    for index, run in enumerate(runs.tolist()):
        value = "11111111" if index % 2 else "00000000"
        while run:
            kind = next((k for k in range(4) if run <= 1 << lengths[k]), 3)
            length = min(run, 1 << lengths[kind])
            written.append(f"1{kind:02b}{length - 1:0{lengths[kind]}b}{value}")
            run -= length
    text = "".join(written)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
