"""The sandbox's own routes: status, faults, counted requests, changes, given records, truth. No vendor has these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from spine.core import clock
from spine.core.errors import SpineError
from spine.sandbox.accounts import credentials
from spine.sandbox.answers import json_answer
from spine.sandbox.state import Sandbox


def routes(sandbox: Sandbox) -> list[Route]:
    """All routes under /_sandbox."""
    status = _Control(sandbox)
    return [
        Route("/", status.status),
        Route("/_sandbox", status.status),
        Route("/_sandbox/faults", status.faults, methods=["GET", "POST", "DELETE"]),
        Route("/_sandbox/requests", status.requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/advance", status.advance, methods=["POST"]),
        Route("/_sandbox/load", status.load, methods=["POST"]),
        Route("/_sandbox/merge", status.merge, methods=["POST"]),
        Route("/_sandbox/drop", status.drop, methods=["POST"]),
        Route("/_sandbox/truth", status.truth),
        Route("/_sandbox/expire", status.expire, methods=["POST"]),
    ]


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def status(self, request: Request) -> Response:
        """What is served, to whom, and how large it is."""
        tenants = {}
        for tenant, world in self.sandbox.worlds.items():
            rows = {f"{stream.source}.{stream.name}": int((~table.deleted).sum()) for stream, table in world.tables.items()}
            tenants[tenant] = {"scale": world.scale, "credentials": asdict(credentials(tenant)), "rows": rows}
        now, drop = clock.to_text(self.sandbox.now), self.sandbox.drop
        return json_answer({"status": "ok", "now": now, "drop": str(drop) if drop else None, "tenants": tenants})

    async def faults(self, request: Request) -> Response:
        """GET shows, POST adds one or a list, DELETE removes all."""
        if request.method == "DELETE":
            self.sandbox.faults.clear()
        if request.method == "POST":
            return await self._change(request, self._add_faults)
        return json_answer(self.sandbox.faults.as_list())

    def _add_faults(self, body: Any) -> Any:
        wanted = body if isinstance(body, list) else [body]
        return [asdict(self.sandbox.faults.add(**one)) for one in wanted]

    async def requests(self, request: Request) -> Response:
        """Counted requests, oldest first; `vendor`, `tenant`, `stream` and `path` (a part of it) narrow the list."""
        if request.method == "DELETE":
            self.sandbox.calls.clear()
            self.sandbox.counted.clear()
        wanted = {key: value for key, value in request.query_params.items() if key in ("vendor", "tenant", "stream")}
        part = request.query_params.get("path", "")
        calls = [
            asdict(call)
            for call in list(self.sandbox.calls)
            if part in call.text and all(getattr(call, key) == value for key, value in wanted.items())
        ]
        return json_answer({"count": len(calls), "requests": calls})

    async def advance(self, request: Request) -> Response:
        """Rows change, appear, vanish; see `Sandbox.advance`."""
        return await self._change(request, lambda body: self.sandbox.advance(**body))

    async def load(self, request: Request) -> Response:
        """Given records; see `Sandbox.load`."""
        return await self._change(request, lambda body: self.sandbox.load(**body))

    async def merge(self, request: Request) -> Response:
        """One row is merged into another; see `Sandbox.merge`."""
        return await self._change(request, lambda body: self.sandbox.merge(**body))

    async def drop(self, request: Request) -> Response:
        """The people file of one day arrives: `{"day": 30, "tenant": "default"}`."""
        return await self._change(request, lambda body: {"file": str(self.sandbox.deliver(**body) or "")})

    async def expire(self, request: Request) -> Response:
        """End all access tokens at once, or those of `?tenant=`."""
        self.sandbox.tokens.expire(request.query_params.get("tenant"))
        return json_answer({"status": "ok"})

    async def truth(self, request: Request) -> Response:
        """The known truth as CSV: tenant,source,stream,record_id,entity,true_id."""
        lines = ["tenant,source,stream,record_id,entity,true_id"]
        for world in self.sandbox.worlds.values():
            lines += [",".join((*key, entity, label)) for key, entity, label in world.truth_rows()]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/csv")

    async def _change(self, request: Request, action: Callable[[Any], Any]) -> Response:
        try:
            return json_answer(action(orjson.loads(await request.body())))
        except SpineError as refusal:
            return json_answer(refusal.as_dict(), 400)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as refusal:
            return json_answer({"code": "BAD_REQUEST", "message": f"{type(refusal).__name__}: {refusal}"}, 400)
