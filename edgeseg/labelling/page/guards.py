"""What stands before every request: who may ask, and what the answer lets a browser do.

A page of another address must not reach this server through a browser that runs here, neither by
asking straight (its `Origin` differs) nor by a name that it makes point at this machine (DNS
rebinding: `Host` differs). Beyond this machine every request needs the token of the address, too.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
ENTRANCES = ("/", "/browse")  # what a person may open from elsewhere
MOST_TOKEN = 200  # characters that are compared
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may reach the server.

    Attributes:
        port: The port that it listens at.
        hosts: Names that `Host` may be; empty where any address in numbers may be as well.
        takes_addresses: Whether `Host` may be any IP address.
        token: What every request must know; None on loopback.
    """

    port: int
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    takes_addresses: bool = False
    token: str | None = None

    def knows_host(self, host: str) -> bool:
        """Return whether a `Host` header names this server."""
        host = host.lower()
        if self.port == 80 and not host.rpartition(":")[2].isdecimal():
            host += ":80"  # browsers leave it out
        name, _, port = host.rpartition(":")
        if not name or port != str(self.port):
            return False
        if name in self.hosts:
            return True
        if not self.takes_addresses:
            return False
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def knows_token(self, token: str) -> bool:
        """Return whether a token is the right one; without one every one is."""
        if self.token is None:
            return True
        return hmac.compare_digest(token[:MOST_TOKEN].encode(), self.token.encode())

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token; cookies know no ports."""
        return f"edgeseg-label-{self.port}"


class Guard:
    """Refuses requests that `Access` does not allow, and adds headers to all answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # there are no web sockets
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._entrance(scope)
        app = self._app if answer is None else answer

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    added[name] = value
                added.setdefault("Cache-Control", "no-store")
            await send(message)

        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._access.knows_host(host):
            return _refuse("this address is not that of the server; use the one it printed")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            is_entrance = scope["method"] == "GET" and scope["path"] in ENTRANCES
            if not is_entrance or headers.get("sec-fetch-mode") != "navigate":
                return _refuse("a page of another address must not ask this server")
        if scope["method"] not in ("GET", "HEAD") and headers.get("origin") != f"http://{host}":
            return _refuse("a page of another address must not change anything here")
        return None

    def _entrance(self, scope: Scope) -> Response | None:
        """Turn the token of an address into a cookie; refuse who has neither."""
        access = self._access
        if access.token is None:
            return None
        address = dict(parse_qsl(scope["query_string"].decode("ascii", "replace")))
        if scope["path"] in ENTRANCES and (given := address.get("token")) is not None:
            if not access.knows_token(given):
                return _refuse("this token is not that of the server; use the address it printed")
            rest = urlencode({key: value for key, value in address.items() if key != "token"})
            path = scope["path"]
            answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            answer.set_cookie(access.cookie, given, httponly=True, samesite="strict")
            return answer
        if access.knows_token(_token_of_cookie(scope, access.cookie)):
            return None
        return _refuse("the token is missing; open the address that edgeseg printed", 401)


def _token_of_cookie(scope: Scope, name: str) -> str:
    try:
        morsel = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _refuse(reason: str, status: int = 403) -> Response:
    return PlainTextResponse(f"refused: {reason}\n", status)
