"""What a file that cannot be read is by its first bytes, so that the user hears more than "no"."""

from __future__ import annotations

from collections.abc import Collection

OWN: dict[str, bytes | tuple[bytes, ...]] = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # the latter two of BigTIFF
}
FOREIGN: dict[str, bytes | tuple[bytes, ...]] = {
    "GIF": b"GIF8",
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "PDF": b"%PDF",
    "Photoshop": b"8BPS",
    "OpenEXR": b"\x76\x2f\x31\x01",
}
# Behind the length of the first box, 4 bytes, stands "ftyp" and the brand.
HEIF_BRANDS = {
    "HEIC": (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
}


def why_unreadable(data: bytes, formats: Collection[str]) -> str:
    """Return why a file could not be opened as a picture, as words that follow its name.

    Args:
        data: The content of the file.
        formats: What it may be.
    """
    for kind, start in FOREIGN.items():
        if data.startswith(start):
            return f"is a {kind} file, whatever its name; save it as JPEG or PNG"
    for kind, brands in HEIF_BRANDS.items():
        if data[4:8] == b"ftyp" and data[8:12] in brands:
            return f"is a {kind} picture, whatever its name; save it as JPEG or PNG"
    for kind, start in OWN.items():
        if kind in formats and data.startswith(start):
            return (
                f"is damaged, or a {kind} of a kind that is not read, such as one of more than "
                "4 channels, of 64-bit floats or of 12-bit JPEG; save it anew"
            )
    return f"is damaged or no {', '.join(formats)} image"
