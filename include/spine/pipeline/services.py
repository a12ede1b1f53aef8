"""What the steps of the pipeline need from outside: control plane, Variables, Connections; and a source's reader made from them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from spine.control import airflow_state, audit, breaker, connections, runs
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database, TenantDatabase
from spine.control.tokens import ConnectionToken, TokenVault
from spine.control.variables import Variables
from spine.core.blobs import Keep
from spine.core.errors import ConfigError
from spine.core.placeholders import needed
from spine.core.settings import settings
from spine.core.tokens import TokenStore
from spine.http.allowance import Allowance
from spine.http.auth import Account, Auth, Credentials, Signer
from spine.http.auth.database import DatabaseAuth
from spine.http.auth.none import NoAuth
from spine.http.client import Client
from spine.http.transport import Request, Response, Transport, require_encrypted
from spine.pipeline.budgets import budgets_of
from spine.sources.access import Access, Times
from spine.sources.drops import Folder
from spine.sources.loader import UNCALLED, reader_for
from spine.sources.places import Place
from spine.sources.reading import Reader
from spine.sources.rest.requester import host_of, listed_host
from spine.sources.sftp import SftpFolder, sftp_options
from spine.sources.spec import Source, Stream, Timeouts
from spine.sources.variables import values_of

_DAY = 86_400.0
_TOKEN_TIME = 60.0  # seconds of a request to a token endpoint: half of the time for which a worker may hold the account's token


@dataclass(frozen=True)
class Services:
    """The outside world; `connections` gives a Connection by its id, `sleep` takes seconds, `put` writes into a Connection's extra."""

    database: Database
    variables: Variables
    connections: Callable[[str], ConnectionInfo]
    sleep: Callable[[float], None] = field(default=time.sleep)
    put: Callable[[str, Mapping[str, str]], bool] = field(default=airflow_state.put_into_connection)

    def tenants(self, source: str) -> list[str]:
        """Tenants that have a connection to this source."""
        return airflow_state.tenants(source, self.variables)

    def under_way(self, sources: Collection[str]) -> set[tuple[str, str]]:
        """(Source, run id) of every sync of these sources that has begun and not ended, of whichever tenant."""
        tenants = {tenant for source in sources for tenant in self.tenants(source)}
        return {found for tenant in tenants for found in runs.under_way(self.database.of(tenant), sources)}


def services_from_environment() -> Services:
    """The services as Airflow and the settings name them, in a task and outside. Raises ConfigError, ControlPlaneUnavailable."""
    options = airflow_state.lake_options()
    if options:
        os.environ["SPINE_LAKE_OPTIONS"] = options
    return Services(airflow_state.open_database(), airflow_state.AirflowVariables(), airflow_state.get_connection)


def open_reader(
    source: Source, tenant: str, info: ConnectionInfo, run_id: str, services: Services, sleep: Callable[[float], None],
    *, stream: Stream | None = None, pages: int = 0, size: int = 0, ahead: bool = False,
) -> Reader:  # fmt: skip
    """The reader of one connection, for a stream that has brought `pages` of `size` bytes in this run already.

    `ahead`: all that is read is wanted, so that pages may be asked for before, where the source's limits are all ours, and files are kept.

    Without a `stream` it is for any of them, and keeps to the source's own times and limits. That it was given the Connection's secrets is
    in the audit log.

    Raises ConfigError or AuthFailed if the Connection is incomplete.
    """
    if proxy := settings().proxy:
        airflow_state.mask(proxy.secrets())
    _note(services, tenant, info, run_id)
    if source.kind == "files":
        return reader_for(source, folder=folder_of(info, _place(source, tenant, services)))
    times = (stream.timeouts if stream else None) or source.timeouts
    allowance = Allowance((stream.limits if stream else None) or source.limits, pages, size)
    personal = any("hash" in declared.personal.values() for declared in source.streams)
    hashed = TokenVault(services.database.of(tenant), run_id).hasher() if personal else None
    if source.kind in UNCALLED:
        seconds = (source.time_of(stream) if stream else source.stream_time).total_seconds()
        access = access_of(source, info, Times(times.connect, times.total, seconds), allowance, _place(source, tenant, services))
        tokens = ConnectionToken(TokenVault(services.database.of(tenant), run_id), info.conn_id)
        return reader_for(source, access=replace(access, hashed=hashed, bearer=bearer_of(source, info, tokens)))
    client = _client(source, tenant, info, run_id, services, sleep, times)
    client.allowance = allowance
    keep = _keeping(tenant, source) if ahead and stream is not None and stream.download is not None else None
    return reader_for(source, client=client, extra=info.extra, hashed=hashed, ahead=ahead and source.rate_limit.ours, keep=keep)


def open_client(
    source: Source, tenant: str, info: ConnectionInfo, run_id: str, services: Services, sleep: Callable[[float], None]
) -> Client:
    """The client of one connection, for whoever writes to it: within the same budget, breaker and retries as its reader.

    That it was given the Connection's secrets is in the audit log. Raises ConfigError or AuthFailed if the Connection is incomplete.
    """
    if proxy := settings().proxy:
        airflow_state.mask(proxy.secrets())
    _note(services, tenant, info, run_id)
    client = _client(source, tenant, info, run_id, services, sleep, source.timeouts)
    client.allowance = Allowance(source.limits)
    return client


def open_access(source: Source | None, tenant: str, info: ConnectionInfo, run_id: str, services: Services) -> Access:
    """What is spoken to without HTTP, for whoever writes to it; without a source's file the Connection says all. Raises ConfigError."""
    _note(services, tenant, info, run_id)
    if source is not None:
        return access_of(source, info, Times(), Allowance(), _place(source, tenant, services))
    if not info.host:
        raise ConfigError("the Connection has no host", hint="Put the address of the server there", connection=info.conn_id)
    return Access(info.host.partition("://")[2] or info.host, info.port, info.schema, info.login, info.password, info.extra)


def _keeping(tenant: str, source: Source) -> Keep:
    from spine.lake.blobs import keep_file  # heavy, and seldom wanted

    return partial(keep_file, tenant, source.source)


def _place(source: Source, tenant: str, services: Services) -> Place:
    return Place(tenant, frozenset(services.tenants(source.source)))


def access_of(source: Source, info: ConnectionInfo, times: Times, allowance: Allowance, place: Place) -> Access:
    """What a source that is spoken to without HTTP is given of its Connection. Raises ConfigError, AuthFailed if that is incomplete."""
    values = values_of(source, info.extra)
    host = info.host or (host_of(source.host, values) if source.host else "")
    if not host and source.kind not in ("singer", "lake"):
        raise ConfigError("the Connection has no host", hint="Put the address of the account there", connection=info.conn_id)
    user, password = str(values.get("mailbox") or info.login), info.password
    auth = source.auth_of(None, info.extra)
    if isinstance(auth, DatabaseAuth):
        user, password = auth.login(Credentials(host, info.login, info.password, {**values, **info.extra}, info.conn_id))
    return Access(
        host.partition("://")[2] or host,
        info.port,
        info.schema,
        user,
        password,
        info.extra,
        values,
        times=times,
        allowance=allowance,
        place=place,
    )


def bearer_of(source: Source, info: ConnectionInfo, tokens: TokenStore) -> Callable[[bool], str] | None:
    """What gives the token of an account that is not spoken to by HTTP; None of one that has a password. Raises ConfigError, AuthFailed.

    The token is one that a request would be signed with: asked for by HTTP, kept and renewed as all others are.
    """
    auth = source.auth_of(None, info.extra)
    if source.kind != "imap" or isinstance(auth, DatabaseAuth | NoAuth):
        return None
    host = info.host or (host_of(source.host, values_of(source, info.extra)) if source.host else "")
    extra = {**values_of(source, info.extra), **info.extra}
    credentials = Credentials(f"https://{host.partition('://')[2] or host}", info.login, info.password, extra, info.conn_id)
    signer = auth.signer(Account(credentials, tokens, Transport(total=_TOKEN_TIME).send))

    def token(anew: bool) -> str:
        signed = signer.sign(Request("GET", credentials.base_url))
        if anew and signer.renew(signed, Response(401, {}, b"", "the mailbox")):
            signed = signer.sign(Request("GET", credentials.base_url))
        return next((value.removeprefix("Bearer ") for name, value in signed.secret_headers.items() if name == "Authorization"), "")

    return token


def credentials_of(info: ConnectionInfo, source: Source) -> Credentials:
    """What a Connection holds for signing, and the source's variables. Raises ConfigError if its address is none, or not encrypted."""
    extra = {**values_of(source, info.extra), **info.extra}
    return Credentials(base_url(info, source), info.login, info.password, extra, info.conn_id)


def _note(services: Services, tenant: str, info: ConnectionInfo, actor: str) -> None:
    """Say in the audit log that somebody is given the Connection's secrets; a folder of this machine has none."""
    if info.secrets():
        audit.record(services.database.of(tenant), audit.Entry(actor, "secret_read", "connection", info.conn_id))


def ignored(info: ConnectionInfo) -> tuple[str, ...]:
    """What a Connection says that does nothing any more, with what does it now; empty for one that is up to date."""
    if not info.extra.get("allow_private"):
        return ()
    said = f"`allow_private` in {info.conn_id} does nothing: private networks are the operator's to allow, by SPINE_PRIVATE_NETWORKS"
    return (f"{said}. Remove it",)


def fingerprint(database: TenantDatabase, info: ConnectionInfo) -> str:
    """What tells this Connection from a changed one, under the tenant's key; empty if the deployment's key does not open that."""
    try:
        return TokenVault(database, "spine").fingerprint(info.content())
    except ConfigError:  # then nobody can tell, and only a person or a good test resumes
        return ""


def resume_if_changed(database: TenantDatabase, connection_id: str, services: Services) -> None:
    """Resume a connection that refused credentials have paused, if its Connection is not the one that was refused.

    Raises ConfigError if there is no Connection, ControlPlaneUnavailable.
    """
    state = connections.state(database, connection_id)
    if not state.refused or not state.refused_fingerprint:
        return
    now = fingerprint(database, services.connections(connection_id))
    if now and now != state.refused_fingerprint:
        connections.resume(database, connection_id, by=connections.SYSTEM, reason="the Connection has changed")


def base_url(info: ConnectionInfo, source: Source | None = None) -> str:
    """The address of a Connection's host, https unless it says otherwise; where it has none, that of the source's file.

    Raises ConfigError if there is none, or secrets would travel unencrypted.
    """
    if not info.host and source is not None and source.host:
        url = host_of(source.host, values_of(source, info.extra))
        require_encrypted(url, connection=info.conn_id)
        return url.rstrip("/")
    if not info.host:
        raise ConfigError("the Connection has no host", hint="Put the address of the account there", connection=info.conn_id)
    url = info.host if "://" in info.host else f"{info.schema or 'https'}://{info.host}"
    if info.port and f":{info.port}" not in url.partition("://")[2]:
        url = f"{url.rstrip('/')}:{info.port}"
    require_encrypted(url, connection=info.conn_id)
    return url.rstrip("/")


def folder_of(info: ConnectionInfo, place: Place) -> Folder:
    """The folder that a Connection names, with its keys. Raises ConfigError."""
    uri = str(info.extra.get("path") or info.host)
    if not uri:
        raise ConfigError(
            "the Connection names no folder", hint="Put a path, s3://bucket/prefix or sftp://host/path in its host", connection=info.conn_id
        )
    if uri.startswith("sftp://"):
        return SftpFolder(uri, sftp_options(info.login or "", info.password or "", info.extra.get("sftp")), _settle(info))
    given = info.extra.get("s3") or {}
    if not isinstance(given, dict):
        raise ConfigError("`s3` in the Connection's extra is no object", hint='Write {"s3": {"region": "…"}}', connection=info.conn_id)
    options = dict(given)
    if uri.startswith("s3://") and info.login:
        options |= {"access_key": info.login, "secret_key": info.password}
    return Folder(uri, options, _settle(info), place)


def _settle(info: ConnectionInfo) -> float:
    """Seconds for which a file must have stayed unchanged, up to a day."""
    given = info.extra.get("settle_seconds") or 0
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _DAY:
        raise ConfigError(
            "`settle_seconds` in the Connection's extra is no number of seconds up to a day", hint="Write 60", connection=info.conn_id
        )
    return seconds


def _token_name(info: ConnectionInfo, auth: Auth) -> str:
    """Under which name the token of a stream's own authentication is kept: streams that sign alike share it."""
    return f"{info.conn_id} {hashlib.sha256(auth.model_dump_json().encode()).hexdigest()[:8]}"


def client_of(
    source: Source, info: ConnectionInfo, transport: Transport, sleep: Callable[[float], None], signer: Callable[[Auth, str], Signer],
    **around: Any,
) -> Client:  # fmt: skip
    """The client of one connection as its source's file says; `signer` makes what signs, `around` is what keeps it within limits.

    Raises ConfigError or AuthFailed if the Connection is incomplete.
    """
    url, values = base_url(info, source), values_of(source, info.extra)
    own = {stream.name: partial(signer, stream.auth, _token_name(info, stream.auth)) for stream in source.streams if stream.auth}
    return Client(
        base_url=url,
        transport=transport,
        auth=signer(source.auth_of(None, info.extra), info.conn_id),
        others=own,
        leave=source.rate_limit.leave,
        retry=source.retry,
        headers={name: needed(said, values) for name, said in source.headers.items()},
        hosts=tuple(listed_host(host, values) for host in source.hosts),
        open_hosts=tuple(listed_host(host, values) for host in source.open_hosts),
        sleep=sleep,
        where={"connection": info.conn_id},
        **around,
    )


def _client(
    source: Source, tenant: str, info: ConnectionInfo, run_id: str, services: Services, sleep: Callable[[float], None], times: Timeouts
) -> Client:  # fmt: skip
    transport = Transport(connect=times.connect, read=times.read, total=times.total)
    credentials = credentials_of(info, source)
    database = services.database.of(tenant)
    calls, searches = budgets_of(source, info, base_url(info, source), services.database)
    vault = TokenVault(database, run_id)
    asking = Transport(connect=times.connect, read=times.read, total=min(times.total, _TOKEN_TIME))

    def signer(auth: Auth, token: str) -> Signer:
        return auth.signer(Account(credentials, ConnectionToken(vault, token), asking.send))

    watched = breaker.Watched(breaker.Breaker(database, info.conn_id))
    return client_of(source, info, transport, sleep, signer, bucket=calls, search_bucket=searches, breaker=watched)
