"""Where things are and how big they may get, from the environment: the one place that reads this project's variables.

Elsewhere `os.environ` is touched only to hand an environment on: to a process that is started, or to a library that looks there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def _path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name, str(default))).expanduser().resolve()


def _lake_uri() -> str:
    raw = os.environ.get("SPINE_LAKE", str(PROJECT / "lake"))
    return raw.rstrip("/") if "://" in raw else str(Path(raw).expanduser().resolve())


@dataclass(frozen=True)
class Settings:
    """All settings of one process. Sizes are bytes, times seconds.

    `home` holds what the embedded services keep (PostgreSQL, Airflow, jars, logs, validation pages); `lake` is a folder or `s3://…`.
    """

    home: Path = field(default_factory=lambda: _path("SPINE_HOME", PROJECT / ".spine"))
    lake: str = field(default_factory=_lake_uri)
    sources: Path = field(default_factory=lambda: _path("SPINE_SOURCES", PROJECT / "include" / "sources"))
    entities: Path = field(default_factory=lambda: _path("SPINE_ENTITIES", PROJECT / "include" / "entities"))
    notifiers: Path = field(default_factory=lambda: _path("SPINE_NOTIFIERS", PROJECT / "include" / "notifiers.yaml"))
    lake_options: str | None = field(default_factory=lambda: os.environ.get("SPINE_LAKE_OPTIONS"), repr=False)
    admins: frozenset[str] = field(default_factory=lambda: frozenset(os.environ.get("SPINE_ADMINS", "").replace(",", " ").split()))
    admin_url: str = field(default_factory=lambda: os.environ.get("SPINE_ADMIN_URL", ""), repr=False)
    analyst_password: str = field(default_factory=lambda: os.environ.get("SPINE_ANALYST_PASSWORD", ""), repr=False)
    postgres: str = field(default_factory=lambda: os.environ.get("SPINE_POSTGRES", ""))
    fernet_key: str = field(default_factory=lambda: os.environ.get("SPINE_FERNET_KEY", ""), repr=False)
    batch_size: int = field(default_factory=lambda: min(5000, int(os.environ.get("SYNC_BATCH_SIZE", "1000"))))
    pool_size: int = field(default_factory=lambda: int(os.environ.get("CONNECTOR_POOL_SIZE", "10")))
    match_threshold: float = field(default_factory=lambda: float(os.environ.get("IDENTITY_MATCH_THRESHOLD", "0.85")))
    flush_bytes: int = field(default_factory=lambda: int(os.environ.get("SPINE_FLUSH_BYTES", str(8 * 1024 * 1024))))
    spark_master: str = field(default_factory=lambda: os.environ.get("SPINE_SPARK_MASTER", "local[2]"))
    spark_memory: str = field(default_factory=lambda: os.environ.get("SPINE_SPARK_MEMORY", ""))
    spark_java_options: str | None = field(default_factory=lambda: os.environ.get("SPINE_SPARK_JAVA_OPTIONS"))
    spark_remote: str = field(default_factory=lambda: os.environ.get("SPARK_REMOTE", ""))
    s3_endpoint: str = field(default_factory=lambda: os.environ.get("AWS_ENDPOINT_URL", ""))
    flush_seconds: float = field(default_factory=lambda: float(os.environ.get("SPINE_FLUSH_SECONDS", "30")))
    failpoint: str = field(default_factory=lambda: os.environ.get("SPINE_FAILPOINT", ""))

    @property
    def jars(self) -> Path:
        """Folder with Delta's jars, resolved once at set-up."""
        return self.home / "jars"

    @property
    def validations(self) -> Path:
        """Folder with one JSON and one HTML page per validation."""
        return self.home / "validations"


def settings() -> Settings:
    """The settings as the environment says now (cheap; tests change the environment)."""
    return Settings()
