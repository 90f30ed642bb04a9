r"""Text on its way to a terminal: what is not printable is shown as an escape, all else as it is.

Names of files, cameras and classes come from anywhere. One that holds "\x1b[2J" would clear the
screen, a carriage return would overwrite the line, a bidirectional override turn it around, and a
byte that is no UTF-8 would end the program with a UnicodeEncodeError.
"""

from __future__ import annotations

import codecs
import io
import re
import shlex
import unicodedata
from typing import TextIO

# Zero-width, yet letters of Persian and of emoji cannot do without them.
JOINERS = "\u200c\u200d"
CONTROL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
LOWEST_BYTE, HIGHEST_BYTE = 0xDC80, 0xDCFF  # how Python writes bytes of names that are no UTF-8
OWN_LINE = re.compile(r"\n(?!  )")  # lists of edgeseg itself are indented


def terminal_text(text: str) -> str:
    r"""Return `text` with escapes for control characters, but for line ends.

    "\x1b[1m" becomes r"\x1b[1m", the byte 0xE9 of "caf\xe9", which Python holds as the surrogate
    U+DCE9, becomes r"\xe9", and a right-to-left override r"\u202e".
    """
    if text.isprintable():
        return text
    return "".join(
        character if character == "\n" or character.isprintable() else _shown(character)
        for character in text
    )


def terminal_line(text: str) -> str:
    r"""Return `terminal_text` of a sentence, in which a name's line end is r"\n"."""
    return terminal_text(OWN_LINE.sub(r"\\n", text))


def shell_word(path: object) -> str:
    r"""Return a path as one types it in a shell, for a command that is to be copied.

    "my site" becomes "'my site'", "-x" "./-x", and what is not printable r"$'caf\xe9'".
    """
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    data = text.encode(errors="surrogateescape")
    return "$'" + "".join(_ansi_c(byte) for byte in data) + "'"


def _ansi_c(byte: int) -> str:
    """Return a byte inside of $'...', where bash reads it back."""
    if chr(byte) in "\\'":
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"


def _shown(character: str) -> str:
    if unicodedata.category(character) not in CONTROL_CATEGORIES or character in JOINERS:
        return character  # unassigned in this version of Unicode, or a space of another width
    code = ord(character)
    if LOWEST_BYTE <= code <= HIGHEST_BYTE:
        return f"\\x{code & 0xFF:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


def never_fail_to_print(stream: TextIO) -> None:
    """Let a stream take every text: names of files may hold bytes that are no text at all.

    UTF-8 gives such bytes back as they were, so that a printed path can be used; other encodings
    show escapes for what they lack.
    """
    if isinstance(stream, io.TextIOWrapper):
        is_utf8 = codecs.lookup(stream.encoding).name == "utf-8"
        stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
