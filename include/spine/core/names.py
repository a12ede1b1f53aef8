"""Names of everything: tables, Connections, Variables, assets, record references. No I/O.

Sources and streams are lower-case words (`salesforce`, `people_files`); a tenant is a slug (`acme`, `north-wind`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spine.core.errors import ConfigError

DEFAULT_TENANT = "default"
CONNECTION_PREFIX = "ipai_connector_"
CONNECTOR_POOL = "spine_connectors"
_WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TENANT = re.compile(r"[a-z][a-z0-9-]{0,39}")


def require_word(value: str, what: str) -> str:
    """`value` if it is a lower-case word with single underscores; raises ConfigError otherwise."""
    if not _WORD.fullmatch(value):
        raise ConfigError(f"{what} {value!r} is not a lower-case word", hint="Use a-z, 0-9 and single underscores")
    return value


def require_tenant(value: str) -> str:
    """`value` if it is a tenant slug; raises ConfigError otherwise."""
    if not _TENANT.fullmatch(value):
        raise ConfigError(f"tenant {value!r} is not a slug", hint="Use up to 40 of a-z, 0-9 and -, starting with a letter")
    return value


@dataclass(frozen=True, order=True)
class ConnectionId:
    """One source of one tenant: `ipai_connector_<source>` or `ipai_connector_<source>__<tenant>`."""

    source: str
    tenant: str = DEFAULT_TENANT

    def __str__(self) -> str:
        suffix = "" if self.tenant == DEFAULT_TENANT else f"__{self.tenant.replace('-', '_')}"
        return f"{CONNECTION_PREFIX}{self.source}{suffix}"


def connection_id(source: str, tenant: str = DEFAULT_TENANT) -> str:
    """The Airflow Connection id of a tenant's source. Raises ConfigError for names that are not allowed."""
    return str(ConnectionId(require_word(source, "source"), require_tenant(tenant)))


def cursor_variable(connection: str, stream: str) -> str:
    """The Airflow Variable that holds a stream's cursor."""
    return f"spine.cursor.{connection}.{stream}"


def schema_variable(connection: str, stream: str) -> str:
    """The Airflow Variable that holds which fields a stream's records have."""
    return f"spine.schema.{connection}.{stream}"


def found_variable(connection: str, stream: str) -> str:
    """The Airflow Variable that holds which streams a stream of the file stands for."""
    return f"spine.found.{connection}.{stream}"


def bronze_table(source: str, stream: str) -> str:
    """`raw_<source>_<stream>`: a table's name says its layer."""
    return f"raw_{source}_{stream}"


def silver_table(source: str, entity: str) -> str:
    """`<source>_<entity>`: Silver has no prefix."""
    return f"{source}_{entity}"


def history_table(source: str, stream: str) -> str:
    """`<source>_<stream>_history`: every version of a stream's records, where its file asks for that."""
    return f"{source}_{stream}_history"


def quarantine_table(source: str, entity: str) -> str:
    """Rows of a source that failed an entity's rules, with every reason."""
    return f"quarantine_{source}_{entity}"


def gold_table(domain: str, entity: str) -> str:
    """`gold_<domain>_<entity>`: readers meet the domain, no source."""
    return f"gold_{domain}_{entity}"


def silver_asset(source: str, entity: str) -> str:
    """Readable name of the Airflow asset that says a Silver table has a new version."""
    return f"silver.{silver_table(source, entity)}"


def gold_asset(entity: str) -> str:
    """Readable name of the Airflow asset that says an entity was published."""
    return f"gold.{entity}"


def record_ref(source: str, stream: str, record_id: str) -> str:
    """Reference of one source record within a tenant: `<source>:<stream>:<record id>`."""
    return f"{source}:{stream}:{record_id}"


def job_name(source: str, stream: str, mode: str) -> str:
    """`sync_<source>_<stream>_<mode>`, used in run logs: one name per source, stream and mode."""
    return f"sync_{source}_{stream}_{mode}"
