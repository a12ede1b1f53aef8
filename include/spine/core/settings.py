"""Where things are and how big they may get, from the environment: the one place that reads this project's variables.

Elsewhere `os.environ` is touched only to hand an environment on: to a process that is started, or to a library that looks there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from spine.core.addresses import Networks
from spine.core.bounds import Bounds
from spine.core.errors import ConfigError
from spine.core.proxies import Proxy

_Number = TypeVar("_Number", int, float)
PROJECT = Path(__file__).resolve().parents[3]
PRIVATE_NETWORKS = "private-networks"  # in the home folder
_MOST_LIMIT = 10_000
_SAFE_DAYS = 7  # who reads or writes for longer than this loses the files under way


def _path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name, default)).expanduser().resolve()


def _lake_uri() -> str:
    raw = os.environ.get("SPINE_LAKE", "")
    return raw.rstrip("/") if "://" in raw else str(_path("SPINE_LAKE", PROJECT / "lake"))


def _listed_networks() -> Networks | None:
    raw = os.environ.get("SPINE_PRIVATE_NETWORKS")
    return None if raw is None else Networks.parse(raw)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(name: str, default: _Number, least: _Number, most: _Number | None = None) -> _Number:
    """A variable as a number of the default's type. Raises ConfigError if it is none, or out of its bounds."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        value = type(default)(raw)
    except ValueError:
        value = type(default)(-1)
    if not (math.isfinite(value) and least <= value and (most is None or value <= most)):
        bounds = f"from {least:g} on" if most is None else f"between {least:g} and {most:g}"
        raise ConfigError(
            f"{name} is {raw!r}, which is no number {bounds}", hint=f"Correct the variable, or unset it: then it is {default:g}"
        )
    return value


@dataclass(frozen=True)
class Retention:
    """Days that things are kept; `SPINE_RETENTION` names those that differ, as in `bronze=60 pages=30`. Gold is kept for good.

    `bronze` stays in its table, then in the archive. `silver` is for rows that the source has deleted. `files` is for files that Bronze and
    quarantine no longer use, `history` for those of Silver and Gold. `pages` is for validation pages and logs.
    """

    bronze: int = 30
    silver: int = 365
    files: int = 7
    history: int = 365
    pages: int = 90

    @classmethod
    def parse(cls, text: str) -> Retention:
        """What the variable says. Raises ConfigError for another word, and for fewer days than a running writer may take."""
        known = {word.name for word in fields(cls)}
        days: dict[str, int] = {}
        for part in text.replace(",", " ").split():
            word, _, number = part.partition("=")
            least = _SAFE_DAYS if word in ("files", "history") else 1
            if word not in known or not number.isdecimal() or int(number) < least:
                raise ConfigError(
                    f"SPINE_RETENTION has {part!r}, which is no number of days, or fewer than {least}",
                    hint=f"Write words of {', '.join(sorted(known))}, as in bronze=60",
                )
            days[word] = int(number)
        return cls(**days)


@dataclass(frozen=True)
class AnalystLimits:
    """What one analysts' login may take of PostgreSQL; `SPINE_ANALYST_LIMITS` names those that differ, as in `connections=20 minutes=60`.

    `connections` at once, `minutes` of one transaction, `idle` minutes of a session that asks nothing, `temp` gigabytes of temporary
    files, of which each connection has its share.
    """

    connections: int = 10
    minutes: int = 15
    idle: int = 480
    temp: int = 10

    @classmethod
    def parse(cls, text: str) -> AnalystLimits:
        """What the variable says. Raises ConfigError for another word, and for what is no number."""
        known = {word.name for word in fields(cls)}
        limits: dict[str, int] = {}
        for part in text.replace(",", " ").split():
            word, _, number = part.partition("=")
            if word not in known or not number.isdecimal() or not 1 <= int(number) <= _MOST_LIMIT:
                raise ConfigError(
                    f"SPINE_ANALYST_LIMITS has {part!r}, which is no number from 1 to {_MOST_LIMIT}",
                    hint=f"Write words of {', '.join(sorted(known))}, as in connections=20",
                )
            limits[word] = int(number)
        return cls(**limits)


@dataclass(frozen=True)
class Settings:
    """All settings of one process. Sizes are bytes, times seconds. Raises ConfigError for a value that makes no sense.

    `home` holds what the embedded services keep (PostgreSQL, Airflow, jars, logs, validation pages); `lake` is a folder or `s3://…`.
    `proxy` is the way to public addresses. `ca_bundle` is a file of authorities to trust in place of certifi's.
    `drops` are the folders and prefixes below which tenants' Connections may name theirs, with `{tenant}` for its name.
    """

    home: Path = field(default_factory=lambda: _path("SPINE_HOME", PROJECT / ".spine"))
    lake: str = field(default_factory=_lake_uri)
    sources: Path = field(default_factory=lambda: _path("SPINE_SOURCES", PROJECT / "include" / "sources"))
    entities: Path = field(default_factory=lambda: _path("SPINE_ENTITIES", PROJECT / "include" / "entities"))
    syncs: Path = field(default_factory=lambda: _path("SPINE_SYNCS", PROJECT / "include" / "syncs"))
    notifiers: Path = field(default_factory=lambda: _path("SPINE_NOTIFIERS", PROJECT / "include" / "notifiers.yaml"))
    lake_options: str | None = field(default_factory=lambda: os.environ.get("SPINE_LAKE_OPTIONS"), repr=False)
    admins: frozenset[str] = field(default_factory=lambda: frozenset(os.environ.get("SPINE_ADMINS", "").replace(",", " ").split()))
    admin_url: str = field(default_factory=lambda: os.environ.get("SPINE_ADMIN_URL", ""), repr=False)
    analyst_password: str = field(default_factory=lambda: os.environ.get("SPINE_ANALYST_PASSWORD", ""), repr=False)
    analyst_limits: AnalystLimits = field(default_factory=lambda: AnalystLimits.parse(os.environ.get("SPINE_ANALYST_LIMITS", "")))
    postgres: str = field(default_factory=lambda: os.environ.get("SPINE_POSTGRES", ""))
    postgres_jobs: str = field(default_factory=lambda: os.environ.get("SPINE_POSTGRES_JOBS", ""))
    fernet_key: str = field(default_factory=lambda: os.environ.get("SPINE_FERNET_KEY", ""), repr=False)
    batch_size: int = field(default_factory=lambda: _number("SYNC_BATCH_SIZE", 1000, 1, 5000))
    pool_size: int = field(default_factory=lambda: _number("CONNECTOR_POOL_SIZE", 10, 1))
    match_threshold: float = field(default_factory=lambda: _number("IDENTITY_MATCH_THRESHOLD", 0.85, 0.5, 1.0))
    flush_bytes: int = field(default_factory=lambda: _number("SPINE_FLUSH_BYTES", 8 * 1024 * 1024, 1))
    spark_master: str = field(default_factory=lambda: os.environ.get("SPINE_SPARK_MASTER", "local[2]"))
    spark_memory: str = field(default_factory=lambda: os.environ.get("SPINE_SPARK_MEMORY", ""))
    spark_java_options: str | None = field(default_factory=lambda: os.environ.get("SPINE_SPARK_JAVA_OPTIONS"))
    spark_remote: str = field(default_factory=lambda: os.environ.get("SPARK_REMOTE", ""))
    s3_endpoint: str = field(default_factory=lambda: os.environ.get("AWS_ENDPOINT_URL", ""))
    flush_seconds: float = field(default_factory=lambda: _number("SPINE_FLUSH_SECONDS", 30.0, 0.0))
    retention: Retention = field(default_factory=lambda: Retention.parse(os.environ.get("SPINE_RETENTION", "")))
    proxy: Proxy | None = field(default_factory=lambda: Proxy.parse(os.environ.get("SPINE_PROXY", "")))
    listed_networks: Networks | None = field(default_factory=_listed_networks)
    ca_bundle: str = field(default_factory=lambda: os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or "")
    bounds: Bounds = field(default_factory=lambda: Bounds.parse(os.environ.get("SPINE_BOUNDS", "")))
    drops: tuple[str, ...] = field(default_factory=lambda: _list(os.environ.get("SPINE_DROPS", "")))
    failpoint: str = field(default_factory=lambda: os.environ.get("SPINE_FAILPOINT", ""))

    @property
    def private_networks(self) -> Networks:
        """What may be called besides public addresses: those listed, else what `make up` leaves in the home for its own vendors."""
        if self.listed_networks is not None:
            return self.listed_networks
        kept = self.home / PRIVATE_NETWORKS
        return Networks.parse(kept.read_text(encoding="utf-8"), str(kept)) if kept.is_file() else Networks()

    @property
    def jars(self) -> Path:
        """Folder with Delta's jars, resolved once at set-up."""
        return self.home / "jars"

    @property
    def validations(self) -> Path:
        """Folder with one JSON and one HTML page per validation."""
        return self.home / "validations"


_SECRET = ("AIRFLOW__", "AIRFLOW_CONN_", "SPINE_ADMIN_", "SPINE_POSTGRES", "SPINE_FERNET_", "SPINE_PROXY")


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Names of the variables that only Airflow's own processes and the command line may have: keys, passwords, URLs with passwords.

    Keys of the lake's storage are none of them, since whoever reads tables needs them.
    """
    return [name for name in environment if name.startswith(_SECRET) or (name.startswith("SPINE_") and name.endswith("_PASSWORD"))]


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for processes that run other people's data through other people's code: Spark's, the sandbox."""
    hidden = set(secrets_of(environment))
    return {name: value for name, value in environment.items() if name not in hidden}


def settings() -> Settings:
    """The settings as the environment says now; made anew only when it has changed, since each step asks for them. Raises ConfigError."""
    return _made(frozenset(os.environ.items()), os.getcwd())


@lru_cache(maxsize=4)
def _made(_environment: frozenset[tuple[str, str]], _folder: str) -> Settings:
    return Settings()
