"""What a run is asked to read, the work that this becomes for each stream, and what became of it. All cross tasks as JSON in XComs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from spine.control.runs import Status, StreamResult
from spine.core.errors import ConfigError
from spine.core.names import job_name
from spine.sources.coverage import Coverage

MODES = ("incremental", "full", "resync", "renormalize")


@dataclass(frozen=True)
class Sync:
    """What one run of a source is asked to read; without tenants or streams all of them. An interval makes it a backfill."""

    source: str
    run_id: str
    tenants: Sequence[str] | None = None
    streams: Sequence[str] | None = None
    mode: str = "incremental"
    interval_start: datetime | None = None
    interval_end: datetime | None = None
    dry_run: bool = False
    triggered_by: str = ""

    @property
    def backfill(self) -> bool:
        """True if an interval is read rather than what follows the cursor."""
        return self.interval_start is not None

    def require_sound(self) -> None:
        """Raise ConfigError for a mode that does not exist or an interval with one end."""
        if self.mode not in MODES:
            raise ConfigError(f"there is no mode {self.mode!r}", hint=f"Use one of {', '.join(MODES)}")
        if (self.interval_start is None) != (self.interval_end is None):
            raise ConfigError("a backfill needs both ends of its interval", source=self.source)


@dataclass(frozen=True)
class StreamWork:
    """One stream of one tenant to be read in one run. The window is fixed when the run is planned, as texts in UTC.

    `continues` is the run whose reading was stopped and whose pages this one goes on from; empty if it begins anew.
    """

    source: str
    stream: str
    tenant: str
    connection_id: str
    mode: str
    run_id: str
    window_start: str | None
    window_end: str
    full: bool
    backfill: bool
    dry_run: bool
    triggered_by: str
    continues: str = ""

    @property
    def pages_of(self) -> str:
        """The run under which the pages are known in Bronze."""
        return self.continues or self.run_id

    @property
    def label(self) -> str:
        """How the mapped task is called in the grid."""
        return f"{self.tenant} · {self.stream}"

    @property
    def job(self) -> str:
        """Its name in the run log."""
        return job_name(self.source, self.stream, self.mode)

    def to_json(self) -> dict[str, Any]:
        """The work as an XCom holds it; label and job are for readers of the XCom."""
        return {**asdict(self), "label": self.label, "job": self.job}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StreamWork:
        """The work that `to_json` gave. Raises ConfigError if something is missing.

        What it does not know is left aside: a run that was planned just before or after an update goes on with either code.
        """
        names = [known.name for known in fields(cls)]
        missing = [known.name for known in fields(cls) if known.name not in data and known.default is MISSING]
        if missing:
            raise ConfigError(f"a planned work lacks {', '.join(missing)}", hint="Clear the task `plan` of this run; it plans anew")
        return cls(**{name: data[name] for name in names if name in data})


@dataclass(frozen=True)
class StreamRead:
    """What became of a work: its counts are those of committed pages, `bronze_version` the table's after the last of them.

    `notes` say what a person should know: files that were left alone, rows that say nothing. `skips` counts what rules of the source's
    file left out, `skipped` names the first of it.
    """

    work: StreamWork
    counts: StreamResult
    deletes: int
    bronze_version: int | None
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None
    skips: int = 0
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as an XCom and `--json` hold it."""
        return {
            **asdict(self.counts),
            "deletes": self.deletes,
            "bronze_version": self.bronze_version,
            "status": "success",
            "notes": list(self.notes),
            "skips": self.skips,
            "skipped": list(self.skipped),
            **self._seen(),
            **{name: getattr(self.work, name) for name in ("source", "stream", "tenant", "run_id", "dry_run", "job")},
        }

    def _seen(self) -> dict[str, Any]:
        """What the mapping reaches, without any value of a record."""
        seen = self.coverage
        if seen is None:
            return {}
        whole = {"null_shares": seen.nulls, "unmapped_fields": list(seen.unmapped)} if self.work.dry_run else {}
        return {"empty_fields": list(seen.empty), **whole}


@dataclass(frozen=True)
class TenantClosed:
    """How one tenant's part of a run ended: the status of each stream, and the errors as JSON."""

    status: Status
    rows: int = 0
    bytes: int = 0
    streams: dict[str, str] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class RunClosed:
    """How a run of a source ended, by tenant."""

    source: str
    run_id: str
    tenants: dict[str, TenantClosed]

    @property
    def status(self) -> Status:
        """The status that all tenants share; `partial` if they differ. Tenants with nothing to do do not count."""
        found = {closed.status for closed in self.tenants.values()} - {"skipped"}
        return found.pop() if len(found) == 1 else ("partial" if found else "skipped")

    def to_json(self) -> dict[str, Any]:
        """The result as an XCom holds it."""
        return {
            "source": self.source,
            "run_id": self.run_id,
            "status": self.status,
            "rows": sum(closed.rows for closed in self.tenants.values()),
            "bytes": sum(closed.bytes for closed in self.tenants.values()),
            "tenants": {tenant: asdict(closed) for tenant, closed in self.tenants.items()},
        }
