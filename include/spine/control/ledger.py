"""Conservation of rows: for each run, layer and table, rows in = published + quarantined + superseded + filtered.

Published are all rows that stand in the table after the run, changed or not. Into `bronze` come the records that were read; into `silver`
Bronze's rows, of which a mapping filters some; into `gold` Silver's rows, of which those are filtered that the source has deleted, and
those published that are linked to a golden record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from spine.control.database import TenantDatabase
from spine.core.errors import ConservationFailed

_HINTS = {"bronze": "The cursor stays where it was, so a new run reads these records again; keep this run's log"}


@dataclass(frozen=True)
class Line:
    """What became of the rows that a run read for one table of a layer (`bronze`, `silver`, `gold`)."""

    layer: str
    table_name: str
    rows_in: int
    published: int = 0
    quarantined: int = 0
    superseded: int = 0
    filtered: int = 0

    @property
    def missing(self) -> int:
        """Rows that went in and are not accounted for; negative if more came out than went in."""
        return self.rows_in - self.published - self.quarantined - self.superseded - self.filtered

    def require_balance(self, run_id: str, tenant: str | None = None) -> None:
        """Raise ConservationFailed, naming layer, table and numbers, if rows are lost or made up."""
        if self.missing:
            raise ConservationFailed(
                f"{self.layer} {self.table_name}: {self.rows_in} rows in, but {self.published} published + "
                f"{self.quarantined} quarantined + {self.superseded} superseded + {self.filtered} filtered "
                f"= {self.rows_in - self.missing}",
                hint=_HINTS.get(self.layer, "Nothing of this table was published; keep the job's log and run it again"),
                run=run_id,
                layer=self.layer,
                table=self.table_name,
                tenant=tenant,
            )


def record(database: TenantDatabase, run_id: str, line: Line) -> None:
    """Write a line; the same run, layer and table again replaces it, since a retry counts from the start."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.ledger (tenant_id, run_id, layer, table_name, rows_in, published, quarantined, superseded, filtered)
            VALUES (:tenant, :run_id, :layer, :table_name, :rows_in, :published, :quarantined, :superseded, :filtered)
            ON CONFLICT (tenant_id, run_id, layer, table_name) DO UPDATE
            SET rows_in = excluded.rows_in, published = excluded.published, quarantined = excluded.quarantined,
                superseded = excluded.superseded, filtered = excluded.filtered, recorded_at = now()
            """),
            {"tenant": database.tenant, "run_id": run_id, **vars(line)},
        )


def lines(database: TenantDatabase, run_id: str) -> Sequence[Line]:
    """All lines of a run, by layer and table."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT layer, table_name, rows_in, published, quarantined, superseded, filtered FROM spine.ledger
            WHERE run_id = :run_id ORDER BY layer, table_name
            """),
            {"run_id": run_id},
        )
        return [Line(**row) for row in rows.mappings()]


def published(database: TenantDatabase, layer: str, table_name: str) -> bool:
    """True if some run has published rows of the tenant to the table."""
    with database.begin() as connection:
        found = connection.execute(
            text("SELECT 1 FROM spine.ledger WHERE layer = :layer AND table_name = :table_name AND published > 0 LIMIT 1"),
            {"layer": layer, "table_name": table_name},
        )
        return found.first() is not None


def check(database: TenantDatabase, run_id: str) -> Sequence[Line]:
    """The lines of a run if every one balances. Raises ConservationFailed for the first that does not."""
    found = lines(database, run_id)
    for line in found:
        line.require_balance(run_id)
    return found
