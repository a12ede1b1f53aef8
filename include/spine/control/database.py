"""Connections to the control plane: one transaction per use, in the context of the tenant that was named once.

Row-level security shows only that tenant's rows; without a tenant there is nothing to see.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError, TimeoutError

from spine.core.errors import ControlPlaneUnavailable
from spine.core.names import DEFAULT_TENANT, require_tenant

# A pool, or the server, that has no connection left. A retry finds one, as each is held for one transaction only.
_SPENT = ("too many connections", "too many clients", "remaining connection slots")
_FEWER = "All connections are taken. If it comes often, raise PostgreSQL's max_connections or lower CONNECTOR_POOL_SIZE"


def psycopg_url(url: str | URL) -> URL:
    """`url` for the psycopg driver, whatever PostgreSQL driver it names."""
    return make_url(url).set(drivername="postgresql+psycopg")


def new_engine(url: str | URL, **options: Any) -> Engine:
    """An engine whose errors never show parameters, since these may be secrets."""
    arguments = {"connect_timeout": 10, "application_name": "spine"}
    return create_engine(psycopg_url(url), hide_parameters=True, connect_args=arguments, **options)


@contextmanager
def reachable(url: URL) -> Iterator[None]:
    """Turn the driver's connection failures, dead locks and time-outs into ControlPlaneUnavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()
        told = cause[0] if cause else type(error).__name__
        spent = isinstance(error, TimeoutError) or any(words in told for words in _SPENT)
        raise ControlPlaneUnavailable(
            f"PostgreSQL did not do its work: {told}",
            hint=_FEWER if spent else "Check that the server runs and that SPINE_POSTGRES or Connection spine_postgres names it",
            database=url.render_as_string(hide_password=True),
        ) from error


def _require_open(connection: Any, _: object, __: object) -> None:
    """Have the pool replace its sessions if the server has ended this one: an idle socket has something to read only then.

    SQLAlchemy's own way (`pool_pre_ping`) is a transaction before each transaction.
    """
    socket = select.poll()
    socket.register(connection.pgconn.socket, select.POLLIN)
    if socket.poll(0):
        raise InvalidatePoolError


def one_at_a_time(connection: Connection) -> None:
    """Hold set-up and migrations of this database until the transaction ends, by a table that only its owner may lock.

    A first set-up has nothing to hold; two of them collide on what they make.
    """
    connection.exec_driver_sql("SET LOCAL lock_timeout = '5min'")
    if connection.exec_driver_sql("SELECT to_regclass('gold.tenant_access')").scalar():
        connection.exec_driver_sql("LOCK TABLE gold.tenant_access IN EXCLUSIVE MODE")


def analyst_role(tenant_id: str) -> str:
    """The login role of a tenant's analysts; slugs have no underscore, so no two tenants share one."""
    return f"analyst_{require_tenant(tenant_id).replace('-', '_')}"


class Database:
    """The control plane as role `spine_app`. Threads may share one; a forked process makes its own."""

    def __init__(self, url: str | URL) -> None:
        self.url = psycopg_url(url)
        self._engine = new_engine(self.url, pool_size=5, max_overflow=15, pool_recycle=1800)
        event.listen(self._engine, "checkout", _require_open)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Database, (self.url.render_as_string(hide_password=False),))

    def of(self, tenant_id: str) -> TenantDatabase:
        """The control plane as one tenant has it. Raises ConfigError for a name that no tenant can have."""
        return TenantDatabase(self, tenant_id)

    @contextmanager
    def begin(self, **options: Any) -> Iterator[Connection]:
        """A transaction that sees no tenant's rows; `options` are those of SQLAlchemy's execution. Raises ControlPlaneUnavailable."""
        with reachable(self.url), self._engine.execution_options(**options).begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all pooled connections."""
        self._engine.dispose()


@dataclass(frozen=True)
class TenantDatabase:
    """The control plane of one tenant, made by `Database.of`: whoever has it can neither see nor write rows of another."""

    database: Database
    tenant: str

    def __post_init__(self) -> None:
        require_tenant(self.tenant)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that sees and writes this tenant's rows only. Raises ControlPlaneUnavailable."""
        with self.database.begin() as connection:
            connection.execute(text("SELECT set_config('spine.tenant', :tenant, true)"), {"tenant": self.tenant})
            yield connection

    @contextmanager
    def reading_gold(self) -> Iterator[Connection]:
        """A read-only transaction on one publication of schema `gold`, with the rights of the tenant's analysts, no more."""
        role = "analyst" if self.tenant == DEFAULT_TENANT else analyst_role(self.tenant)
        with self.database.begin(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
            connection.execute(text("SELECT set_config('role', :role, true)"), {"role": role})
            yield connection
