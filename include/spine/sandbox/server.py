"""The sandbox's HTTP server: Salesforce under /services, HubSpot under /crm, a made-up CRM under /mock_crm, controls under /_sandbox.

Listens on 127.0.0.1 only. `SandboxServer` runs it in a thread; `python -m spine.sandbox` as a process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spine.core.errors import SourceUnavailable
from spine.sandbox import changes, control, crm, hubspot, salesforce
from spine.sandbox.accounts import OAuthError
from spine.sandbox.answers import cut, json_answer
from spine.sandbox.bulk import BulkQueries
from spine.sandbox.faults import Call, Fault
from spine.sandbox.hubspot import HubSpot
from spine.sandbox.salesforce import Salesforce
from spine.sandbox.state import Sandbox
from spine.sandbox.tables import stream_of
from spine.sandbox.visitors import Visitors
from spine.sandbox.writing import HubSpotWrites, SalesforceWrites

HOST = "127.0.0.1"
_STOPPING = ("rate_limit", "request_limit", "concurrent_limit", "query_timeout", "page", "server_error", "unauthorized")
Answer = Callable[[list[Fault]], Response]


def _object(request: Request) -> str:
    return request.url.path.split("/")[4]


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None


class _Vendors:
    """The HTTP side of both vendors: counts the request, lets the set faults hit, then answers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.salesforce, self.hubspot = sandbox, Salesforce(sandbox), HubSpot(sandbox)
        self.hubspot_writes, self.salesforce_writes = HubSpotWrites(sandbox), SalesforceWrites(sandbox)
        self.bulk = BulkQueries(self.salesforce)

    async def _serve(self, call: Call, fault_answer: Callable[[Fault], Response], answer: Answer) -> Response:
        self.sandbox.count(call)
        faults = self.sandbox.faults.fire(call)
        for fault in faults:
            if fault.kind == "hang":
                await asyncio.sleep(fault.seconds)
        stopping = next((fault for fault in faults if fault.kind in _STOPPING), None)
        response = fault_answer(stopping) if stopping else answer(faults)
        call.status = response.status_code
        for fault in faults:
            self._afterwards(fault, call)
        return cut(response) if any(fault.kind == "cut" for fault in faults) else response

    def _afterwards(self, fault: Fault, call: Call) -> None:
        if fault.kind == "expire_tokens":
            self.sandbox.tokens.expire(fault.tenant or call.tenant)
        elif fault.kind == "late_commit" and call.tenant and (fault.stream or call.stream):
            world = self.sandbox.world(call.tenant)
            changes.commit_late(world, stream_of(call.vendor, str(fault.stream or call.stream)), fault.rows, fault.lag)

    def _call(self, request: Request, vendor: str, tenant: str | None, stream: str | None, body: Any = None) -> Call:
        query = {key: ",".join(request.query_params.getlist(key)) for key in request.query_params}
        return Call(next(self.sandbox.numbers), vendor, tenant, request.method, request.url.path, query, stream, body)

    async def token(self, request: Request) -> Response:
        """`POST /services/oauth2/token`."""
        form = dict(parse_qsl((await request.body()).decode()))
        kind, _, basic = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            form["client_id"], _, form["client_secret"] = b64decode(basic).decode().partition(":")
        call = self._call(request, "salesforce", None, None, {"grant_type": form.get("grant_type")})
        return await self._serve(call, salesforce.fault_answer, lambda _: self._grant(request, form))

    def _grant(self, request: Request, form: dict[str, str]) -> Response:
        try:
            tenant, access, refresh = self.sandbox.refresh(form)
        except OAuthError as refusal:
            return json_answer({"error": refusal.error, "error_description": refusal.description}, 400)
        base = str(request.base_url).rstrip("/")
        answer = {
            "access_token": access,
            "signature": "c2FuZGJveA==",
            "scope": "api refresh_token",
            "instance_url": base,
            "id": f"{base}/id/00DSb0000000001/005{tenant}",
            "token_type": "Bearer",
            "issued_at": str(time.time_ns() // 1_000_000),
        }
        return json_answer(answer | ({"refresh_token": refresh} if refresh else {}))

    async def query(self, request: Request) -> Response:
        """`/services/data/vXX.0/…`: queries, deleted records, describes, query jobs."""
        tenant = self.sandbox.tokens.tenant_of(request.headers.get("Authorization", ""))
        jobs = "/jobs/query" in request.url.path
        body = _loaded(await request.body()) if jobs else None
        stream = self.bulk.stream_of(request, body) if jobs else self.salesforce.stream_of(request)
        call = self._call(request, "salesforce", tenant, stream, body)

        def answer(faults: list[Fault]) -> Response:
            if tenant is None:
                return salesforce.error(401, "INVALID_SESSION_ID", "Session expired or invalid")
            if request.path_params.get("version", "v61.0").removeprefix("v") not in salesforce.VERSIONS:
                return salesforce.error(404, "NOT_FOUND", "The requested resource does not exist")
            if "/jobs/query" in request.url.path:
                return self.bulk.answer(request, tenant, body, faults)
            if "object" in request.path_params:
                asked = self.salesforce.describe if request.url.path.endswith("/describe") else self.salesforce.deleted
                return asked(request, tenant, faults)
            if request.url.path.rstrip("/").endswith("/sobjects"):
                return self.salesforce.objects()
            return self.salesforce.query(request, tenant, faults)

        response = await self._serve(call, salesforce.fault_answer, answer)
        used = self.sandbox.counted["salesforce"]
        response.headers["Sforce-Limit-Info"] = f"api-usage={used}/{self.sandbox.daily_limit}"
        return response

    async def versions(self, request: Request) -> Response:
        """`GET /services/data/`: the versions of the API."""
        return json_answer([{"label": f"API {one}", "url": f"/services/data/v{one}", "version": one} for one in salesforce.VERSIONS])

    async def listing(self, request: Request) -> Response:
        """`GET /crm/v3/objects/{object}`."""
        return await self._crm(request, lambda tenant, body, faults: self.hubspot.listing(request, tenant, faults))

    async def search(self, request: Request) -> Response:
        """`POST /crm/v3/objects/{object}/search`."""
        return await self._crm(request, lambda tenant, body, faults: self.hubspot.search(request, tenant, body, faults))

    async def associations(self, request: Request) -> Response:
        """`POST /crm/v4/associations/contacts/companies/batch/read`."""
        return await self._crm(request, lambda tenant, body, faults: self.hubspot.associations(request, tenant, body), "contacts")

    async def owners(self, request: Request) -> Response:
        """`GET /crm/v3/owners`."""
        return await self._crm(request, lambda tenant, body, faults: self.hubspot.owners(request, tenant), "owners")

    async def kinds(self, request: Request) -> Response:
        """`GET /crm/v3/schemas`, `GET /crm/v3/properties/{kind}`."""
        return await self._crm(request, lambda tenant, body, faults: self.hubspot.kinds(request, tenant), "")

    async def _crm(self, request: Request, answer: Callable[[str, Any, list[Fault]], Response], stream: str | None = None) -> Response:
        tenant = self.sandbox.tokens.portal_of(request.headers.get("Authorization", ""))
        body = _loaded(await request.body()) if request.method == "POST" else None
        name = _object(request) if stream is None else stream
        call = self._call(request, "hubspot", tenant, stream_of("hubspot", name).name if name else None, body)
        return await self._serve(
            call, hubspot.fault_answer, lambda faults: answer(tenant, body, faults) if tenant else hubspot.unauthorized()
        )

    async def batch(self, request: Request) -> Response:
        """`POST /crm/v3/objects/{object}/batch/{word}`."""
        tenant = self.sandbox.tokens.portal_of(request.headers.get("Authorization", ""))
        body = _loaded(await request.body())
        call = self._call(request, "hubspot", tenant, _object(request), body)
        word = request.path_params["word"]
        return await self._serve(
            call,
            hubspot.fault_answer,
            lambda _: self.hubspot_writes.batch(_object(request), word, tenant, body) if tenant else hubspot.unauthorized(),
        )

    async def collection(self, request: Request) -> Response:
        """`POST`, `PATCH` and `DELETE /services/data/vXX.0/composite/sobjects…`."""
        tenant = self.sandbox.tokens.tenant_of(request.headers.get("Authorization", ""))
        body, place = _loaded(await request.body()), request.path_params
        call = self._call(request, "salesforce", tenant, None, body)
        ids = [one for one in request.query_params.get("ids", "").split(",") if one]

        def answer(_: list[Fault]) -> Response:
            if tenant is None:
                return salesforce.error(401, "INVALID_SESSION_ID", "Session expired or invalid")
            return self.salesforce_writes.write(request.method, place.get("object", ""), place.get("field", ""), tenant, body, ids)

        return await self._serve(call, salesforce.fault_answer, answer)

    async def app_token(self, request: Request) -> Response:
        """`POST /oauth/v1/token`, HubSpot's."""
        form = dict(parse_qsl((await request.body()).decode()))
        call = self._call(request, "hubspot", None, None, {"grant_type": form.get("grant_type")})

        def answer(_: list[Fault]) -> Response:
            try:
                access, refresh = self.sandbox.tokens.app(form)
            except OAuthError as refusal:
                return json_answer({"status": "BAD_REFRESH_TOKEN", "error": refusal.error, "message": refusal.description}, 400)
            return json_answer({"access_token": access, "refresh_token": refresh, "expires_in": 1800, "token_type": "bearer"})

        return await self._serve(call, hubspot.fault_answer, answer)

    def routes(self) -> list[Route]:
        """All vendor routes."""
        data = "/services/data/{version}"
        found = [
            Route("/services/oauth2/token", self.token, methods=["POST"]),
            *(Route(f"{data}/{word}", self.query) for word in ("query", "queryAll")),
            *(Route(f"{data}/{word}/{{locator}}", self.query) for word in ("query", "queryAll")),
            Route(f"{data}/composite/sobjects", self.collection, methods=["POST", "PATCH", "DELETE"]),
            Route(f"{data}/composite/sobjects/{{object}}/{{field}}", self.collection, methods=["PATCH"]),
            *(Route(f"{data}/sobjects/{{object}}/{word}", self.query) for word in ("deleted/", "describe")),
            Route(f"{data}/sobjects/", self.query),
            Route(f"{data}/jobs/query", self.query, methods=["POST"]),
            Route(f"{data}/jobs/query/{{job}}", self.query, methods=["GET", "PATCH", "DELETE"]),
            Route(f"{data}/jobs/query/{{job}}/results", self.query),
            Route("/services/data/", self.versions),
        ]
        for name in hubspot.OBJECTS:
            path = f"/crm/v3/objects/{name}"
            found += [Route(path, self.listing), Route(f"{path}/search", self.search, methods=["POST"])]
            found += [Route(f"{path}/batch/{{word}}", self.batch, methods=["POST"])]
        found += [
            Route("/crm/v3/owners", self.owners), Route("/crm/v3/schemas", self.kinds), Route("/crm/v3/properties/{kind}", self.kinds),
            Route("/crm/v4/associations/contacts/companies/batch/read", self.associations, methods=["POST"]),
            Route("/oauth/v1/token", self.app_token, methods=["POST"]),
        ]  # fmt: skip
        return found


def make_app(sandbox: Sandbox) -> Starlette:
    """The ASGI application over a state."""
    return Starlette(routes=[*_Vendors(sandbox).routes(), *crm.routes(), *control.routes(sandbox)], middleware=[Middleware(Visitors)])


def serve(sandbox: Sandbox, port: int) -> uvicorn.Server:
    """A uvicorn server, not yet running. Requests still open at its end get one second."""
    config = uvicorn.Config(make_app(sandbox), host=HOST, port=port, log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
    return uvicorn.Server(config)


class SandboxServer:
    """The sandbox in a thread of this process, for tests: `with SandboxServer() as server: … server.url …`.

    `sandbox` is its state: worlds, faults, counted calls. Arguments are those of `Sandbox`; two tenants of 200 persons
    unless told otherwise.
    """

    def __init__(
        self,
        tenants: Mapping[str, int] | None = None,
        *,
        port: int = 0,
        now: datetime | None = None,
        drop: Path | None = None,
        **settings: Any,
    ) -> None:
        self.sandbox = Sandbox(tenants or {"default": 200, "acme": 200}, now=now, drop=drop, **settings)
        self._server = serve(self.sandbox, port)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    @property
    def url(self) -> str:
        """Base URL of both vendors, without a slash at its end."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Start, and wait until requests are answered. Raises SourceUnavailable after ten seconds."""
        self._thread.start()
        ends = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > ends or not self._thread.is_alive():
                raise SourceUnavailable("the sandbox did not start", hint="Is its port free?", url=self.url)
            time.sleep(0.005)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Stop; open requests are dropped after a second."""
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()
