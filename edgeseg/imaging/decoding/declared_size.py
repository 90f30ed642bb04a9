"""The size that a JPEG or a WebP declares, read from its bytes before a library sees them.

Pillow reads the size of a JPEG by itself and libjpeg, which decodes, by itself: a file on which the
two disagree would be decoded into too little memory. This reader goes by the rules of libjpeg, and
`picture` refuses a file for which it and Pillow find different sizes. Of a WebP, Pillow's older
versions set up the decoder, with memory for the whole canvas, before they tell the size.
"""

from __future__ import annotations

# Kinds of JPEG segments between 0xC0 and 0xCF that carry no frame header: Huffman tables (DHT), a
# reserved one (JPG) and arithmetic coding tables (DAC).
NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)
# Kinds that stand alone, without a length: TEM and RST0 to RST7.
ALONE = (0x01, *range(0xD0, 0xD8))
SCAN, END = 0xDA, 0xD9


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read (height, width) from the frame header; None where the segments before it are unsound.

    A JPEG begins with FF D8; then follow segments, each FF, its kind, and a length of two bytes
    that counts itself but not those two. In

        FF D8 | FF E0 00 10 ... | FF C0 00 11 08 01 E0 02 80 ...

    the segment E0 at byte 2 is passed over to byte 2 + 2 + 0x10 = 20. There stands C0, a frame
    header: height 0x01E0 = 480 from byte 20 + 5, width 0x0280 = 640 from byte 20 + 7. More than
    one FF before a kind only fill space, and other bytes before an FF are passed over.
    """
    if data[:2] != b"\xff\xd8":
        return None
    start = 2
    while (start := data.find(b"\xff", start)) >= 0:
        while data[start : start + 2] == b"\xff\xff":
            start += 1
        segment = data[start : start + 9]
        if len(segment) < 9:
            return None
        kind, length = segment[1], int.from_bytes(segment[2:4], "big")
        if kind == 0 or kind in ALONE:
            start += 2
        elif 0xC0 <= kind <= 0xCF and kind not in NO_FRAME_HEADER:
            return int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
        elif length < 2 or kind < 0xC0 or kind in (0xD8, SCAN, END):
            return None
        else:
            start += 2 + length
    return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Read (height, width) of a WebP's canvas; None where the header is of no known kind.

    Behind `RIFF`, the length of the file and `WEBP`, at byte 12, stands the kind of the first
    chunk. VP8X holds width - 1 and height - 1 from bytes 24 and 27, three bytes each; VP8, the
    lossy kind, holds both from bytes 26 and 28 in 14 bits each; VP8L holds them less one in 28 bits
    from byte 21 on.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(height, "little") + 1, int.from_bytes(width, "little") + 1
    if kind == b"VP8 ":
        width, height = data[26:28], data[28:30]
        return int.from_bytes(height, "little") & 0x3FFF, int.from_bytes(width, "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return None
