"""Who may ask the sandbox: programs of this machine, and no page that a browser on it has open.

Its controls write files and show the credentials of its worlds, and a browser sends a page's requests to any address. A page of another
site is known by its `Origin`, which browsers send with every request that could change something; one whose name was made to lead here
(DNS rebinding) by the `Host` that it asks for.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from spine.sandbox.answers import json_answer

_HERE = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Visitors:
    """Answers 403 to whoever may not ask, before anything is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not _welcome(Headers(scope=scope)):
            message = "only programs of this machine may ask, by 127.0.0.1 or localhost, and no page of another site"
            await json_answer({"code": "FOREIGN_ORIGIN", "message": message}, 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _welcome(headers: Headers) -> bool:
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or _name(hosts[0]) not in _HERE:
        return False
    return all(origin == f"http://{hosts[0]}" for origin in origins)


def _name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()
