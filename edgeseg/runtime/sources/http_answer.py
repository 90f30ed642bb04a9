"""Whether an HTTP address is a recording or a live camera: by what the server answers.

Names tell nothing: go2rtc, Frigate and many cameras serve live video as `stream.mp4`. A recording
has a length. A live stream has none, or is sent in parts (`multipart/x-mixed-replace`).
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edgeseg.errors import SourceError
from edgeseg.runtime.sources.source_names import redact

ASK_SECONDS = 5.0
GROWTH_SECONDS = 1.0  # between two questions for the length of a file that may still be written
# Lengths that servers make up for streams without end: 2 GiB - 1, 4 GiB - 1, and absurd ones.
MADE_UP_LENGTHS, MOST_BYTES = (2**31 - 1, 2**32 - 1), 1 << 45
PLAYLIST_TYPES = ("mpegurl", "dash+xml")
PLAYLIST_SUFFIXES = (".m3u8", ".mpd")
REFUSALS = {
    401: "wants another user or password",
    403: "does not let this user in",
    404: "is not there",
    410: "is not there any more",
}


class HttpAnswer(NamedTuple):
    """What a server says about an address.

    Attributes:
        status: Of the answer, after redirects.
        kind: Its content type, in lower case and without parameters.
        length: Of the whole content in bytes, None if not told.
        ranges: Whether parts of it can be asked for.
        address: Where redirects led.
    """

    status: int
    kind: str
    length: int | None
    ranges: bool
    address: str

    @property
    def is_playlist(self) -> bool:
        """Whether it lists pieces of video (HLS, DASH)."""
        path = urlsplit(self.address).path.lower()
        return path.endswith(PLAYLIST_SUFFIXES) or any(kind in self.kind for kind in PLAYLIST_TYPES)

    @property
    def is_endless(self) -> bool:
        """Whether it cannot be a recording: parts or pictures that follow each other for ever."""
        return self.kind.startswith(("multipart/", "image/"))


def ask_server(address: str) -> HttpAnswer | None:
    """Ask a server what kind of thing an address is, without fetching it.

    Returns:
        None where there is no answer, which the attempt to open it will explain.

    Raises:
        SourceError: The server says that this address cannot be had.
    """
    answer = _ask(address, "HEAD")
    # Many servers refuse HEAD or do not know for it what they would say otherwise.
    if answer is None or answer.status >= 400 or (not answer.length and not answer.is_endless):
        answer = _ask(address, "GET") or answer
    if answer is not None and answer.status in REFUSALS:
        raise SourceError(
            f"{redact(address)} {REFUSALS[answer.status]} (the server answers {answer.status}); "
            "check address, user and password"
        )
    return answer


def is_recording(address: str, answer: HttpAnswer) -> bool:
    """Return whether what the server answered is a file that does not grow."""
    length = answer.length
    if answer.is_endless or length is None or length in MADE_UP_LENGTHS or length > MOST_BYTES:
        return False
    if answer.ranges:
        return True
    time.sleep(GROWTH_SECONDS)
    again = _ask(address, "GET")
    return again is not None and again.length == length


def _ask(address: str, method: str) -> HttpAnswer | None:
    try:
        url, user, password = split_credentials(address)
    except ValueError:
        return None
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, user, password)
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=_lenient_tls()),
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )
    headers = {"Range": "bytes=0-0"} if method == "GET" else {}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with opener.open(request, timeout=ASK_SECONDS) as response:
            return _answer(response.status, response.headers, response.geturl())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, url)
    except (OSError, HTTPException, ValueError):
        return None


def _answer(status: int, headers: Message, address: str) -> HttpAnswer:
    """Read the headers of an answer.

    To `Range: bytes=0-0` a server that knows ranges answers 206 and
    `Content-Range: bytes 0-0/12345`; another one answers 200 and the whole length.
    """
    partial = headers.get("Content-Range", "")
    told = partial.rpartition("/")[2] if partial else headers.get("Content-Length", "")
    length = int(told) if told.strip().isdecimal() else None
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        length = None
    ranges = bool(partial) or "bytes" in headers.get("Accept-Ranges", "").lower()
    return HttpAnswer(status, headers.get_content_type(), length, ranges, address)


def split_credentials(address: str) -> tuple[str, str, str]:
    """Return the address without user and password, and both of them.

    "http://bob:a%40b@cam/x" gives "http://cam/x", "bob" and "a@b".
    """
    scheme, host, path, query, _ = urlsplit(address)
    credentials, _, host = host.rpartition("@")
    user, _, password = credentials.partition(":")
    safe = quote(path, safe="/%:@!$&'()*+,;=~"), quote(query, safe="/%:@!$&'()*+,;=~?")
    return urlunsplit((scheme, host, safe[0] or "/", safe[1], "")), unquote(user), unquote(password)


def _lenient_tls() -> ssl.SSLContext:
    """Cameras sign their own certificates; FFmpeg, which fetches the pictures, takes them too."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
