"""HTTP answers that all vendors use: JSON, and a body that breaks off half-way."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send


class ConnectionCut(Exception):
    """Raised inside the server to make it drop a connection; never reaches a client."""


class CutResponse(Response):
    """Promises its whole body, sends half of it, then the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first half and break."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
        raise ConnectionCut


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with the content type that the vendors send."""
    return Response(orjson.dumps(content), status, headers, "application/json;charset=UTF-8")


def page_answer() -> Response:
    """What a proxy says while the vendor is being maintained: a page for people, with status 200."""
    return HTMLResponse("<html><head><title>Scheduled maintenance</title></head><body>We will be back soon.</body></html>")


def cut(whole: Response) -> Response:
    """The same answer, broken off half-way."""
    return CutResponse(bytes(whole.body), whole.status_code, dict(whole.headers), whole.media_type)
