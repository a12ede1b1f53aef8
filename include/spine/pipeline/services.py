"""What the steps of the pipeline need from outside: control plane, Variables, Connections; and a source's reader made from them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from spine.control import airflow_state, breaker, bucket, tokens
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import Variables
from spine.core.errors import ConfigError
from spine.http import auth
from spine.http.client import Client, RetryRule
from spine.http.transport import Transport
from spine.sources.files import Folder
from spine.sources.loader import reader_for
from spine.sources.reading import Reader
from spine.sources.spec import Source


@dataclass(frozen=True)
class Services:
    """The outside world; `connections` gives a Connection by its id, `sleep` takes seconds."""

    database: Database
    variables: Variables
    connections: Callable[[str], ConnectionInfo]
    sleep: Callable[[float], None] = field(default=time.sleep)

    def tenants(self, source: str) -> list[str]:
        """Tenants that have a connection to this source."""
        return airflow_state.tenants(source, self.variables)


def services_from_environment() -> Services:
    """The services as Airflow and the settings name them, in a task and outside. Raises ConfigError, ControlPlaneUnavailable."""
    options = airflow_state.lake_options()
    if options:
        os.environ["SPINE_LAKE_OPTIONS"] = options
    return Services(airflow_state.open_database(), airflow_state.AirflowVariables(), airflow_state.get_connection)


def open_reader(
    source: Source, tenant: str, info: ConnectionInfo, run_id: str, services: Services, sleep: Callable[[float], None]
) -> Reader:
    """The reader of one connection. Raises ConfigError or AuthFailed if the Connection is incomplete."""
    if source.kind == "files":
        return reader_for(source, folder=_folder(info))
    return reader_for(source, client=_client(source, tenant, info, run_id, services, sleep))


def base_url(info: ConnectionInfo, *, allow_private: bool) -> str:
    """The address of a Connection's host, https unless it says otherwise. Raises ConfigError if secrets would travel unencrypted."""
    if not info.host:
        raise ConfigError("the Connection has no host", hint="Put the address of the account there", connection=info.conn_id)
    url = info.host if "://" in info.host else f"{info.schema or 'https'}://{info.host}"
    if info.port and f":{info.port}" not in url.partition("://")[2]:
        url = f"{url.rstrip('/')}:{info.port}"
    if not url.startswith("https://") and not allow_private:
        raise ConfigError("the Connection's address is not encrypted", hint="Use https", connection=info.conn_id)
    return url.rstrip("/")


def _folder(info: ConnectionInfo) -> Folder:
    uri = str(info.extra.get("path") or info.host)
    if not uri:
        raise ConfigError("the Connection names no folder", hint="Put a path or s3://bucket/prefix in its host", connection=info.conn_id)
    options = dict(info.extra.get("s3") or {})
    if uri.startswith("s3://") and info.login:
        options |= {"access_key": info.login, "secret_key": info.password}
    return Folder(uri, options, settle=float(info.extra.get("settle_seconds", 0)))


def _client(
    source: Source, tenant: str, info: ConnectionInfo, run_id: str, services: Services, sleep: Callable[[float], None]
) -> Client:  # fmt: skip
    allow_private = str(info.extra.get("allow_private", "")).lower() == "true"
    url = base_url(info, allow_private=allow_private)
    transport = Transport(connect=source.timeouts.connect, read=source.timeouts.read, allow_private=allow_private)
    credentials = auth.Credentials(url, info.login, info.password, info.extra, info.conn_id)
    limit, database = source.rate_limit, services.database.of(tenant)
    return Client(
        base_url=url,
        transport=transport,
        auth=_auth(source, credentials, transport, TokenStore(tokens.TokenVault(database, run_id), info.conn_id)),
        bucket=bucket.Bucket(database, info.conn_id, limit.burst, limit.requests * limit.share / limit.per.total_seconds()),
        breaker=breaker.Breaker(database, info.conn_id),
        retry=RetryRule(source.retry.max_retries, source.retry.base, source.retry.cap),
        headers=source.headers,
        sleep=sleep,
        where={"connection": info.conn_id},
    )


def _auth(source: Source, credentials: auth.Credentials, transport: Transport, store: TokenStore) -> auth.Auth:
    wanted = source.auth
    if wanted.type == "bearer":
        return auth.Bearer(credentials)
    if wanted.type == "basic":
        return auth.Basic(credentials)
    if wanted.type == "api_key":
        return auth.ApiKey(credentials, wanted.header, wanted.param)
    if wanted.type == "oauth2":
        return auth.OAuth2(credentials, wanted.grant, credentials.base_url + wanted.token_path, store, transport.send)
    return auth.Auth()


@dataclass(frozen=True)
class _Held:
    held: tokens.HeldTokens

    def load(self) -> auth.Token | None:
        return _from_vault(self.held.load())

    def save(self, token: auth.Token) -> None:
        self.held.save(tokens.Token(token.access_token, token.refresh_token, token.expires_at))


@dataclass(frozen=True)
class TokenStore:
    """The vault's tokens of one connection, as the http package sees them."""

    vault: tokens.TokenVault
    connection_id: str

    def load(self) -> auth.Token | None:
        """The stored token."""
        return _from_vault(self.vault.load(self.connection_id))

    def locked(self) -> AbstractContextManager[auth.LockedToken]:
        """The stored token while no other worker may refresh it."""
        return self._locked()

    @contextmanager
    def _locked(self) -> Iterator[auth.LockedToken]:
        with self.vault.locked(self.connection_id) as held:
            yield _Held(held)


def _from_vault(token: tokens.Token | None) -> auth.Token | None:
    return auth.Token(token.access_token, token.refresh_token, token.expires_at) if token else None
