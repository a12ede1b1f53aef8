"""Keeps every version of the records of streams whose file says `history: true`, beside their Silver table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spine.core.entities import Entity
from spine.core.failpoints import failpoint
from spine.core.names import history_table
from spine.lake import history
from spine.lake.flat import ensure_flat
from spine.lake.generations import swapped
from spine.lake.paths import table_uri
from spine.lake.silver import HISTORY, KEY, TAIL, ensure_silver, silver_columns
from spine.lake.tables import Tables
from spine.normalize.history import RECORD, changes
from spine.normalize.staging import Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Versions:
    """The rows of one run that are versions of records. `everything`: also those of records that Silver need not change."""

    entity: Entity
    silver: str
    run_id: str
    moment: datetime
    everything: bool

    def keep(self, tables: Tables, plans: Sequence[Plan], rows: DataFrame, tenants: Sequence[str]) -> None:
        """Bring the tables of versions of these plans up to date with judged rows. Raises LakeError on a conflicting writer."""
        for plan in plans:
            if plan.history:
                self._keep(tables, plan, rows.where((rows.stream == plan.stream) & rows.versioned), tenants)
                failpoint("normalize.after_history")

    def _keep(self, tables: Tables, plan: Plan, rows: DataFrame, tenants: Sequence[str]) -> None:
        uri = table_uri(history_table(plan.source, plan.stream))
        self._ensure(tables, uri, plan)
        found = rows.select(*silver_columns(self.entity, self.run_id, self.moment), "bare", "left")
        if not self.everything:  # what Silver has and keeps is the newest version there as well
            found = found.join(rows.where(rows.outcome != "unchanged").select(*RECORD).distinct(), list(RECORD), "left_semi")
        known = tables.read(uri, self._columns).join(found.select(*RECORD).distinct(), list(RECORD), "left_semi")
        news = tables.once(changes(found, known, list(self.entity.fields), swapped(plan.swaps)))
        try:
            if news.limit(1).count():
                history.merge_versions(tables, uri, news, list(self.entity.fields), tenants=tenants)
        finally:
            tables.release(news)

    @property
    def _columns(self) -> list[str]:
        return [*KEY, *self.entity.fields, *TAIL, *HISTORY]

    def _ensure(self, tables: Tables, uri: str, plan: Plan) -> None:
        """The table of versions; a new one begins with what Silver has."""
        from pyspark.sql import functions as F

        if plan.mapping is None:
            ensure_flat(tables.spark, uri, self.entity, plan.columns, history=True)
        else:
            ensure_silver(tables.spark, uri, self.entity, history=True)
        if history.begun(uri):
            return
        present = tables.read(self.silver, [*KEY, *self.entity.fields, *TAIL]).withColumns({"bare": F.lit(False), "left": F.lit(False)})
        mine = present.where(present.stream == plan.stream)
        present = tables.once(changes(mine, tables.read(uri, self._columns), list(self.entity.fields), swapped(plan.swaps)))
        try:
            tenants = [row["tenant_id"] for row in present.select("tenant_id").distinct().collect()]
            if tenants:
                history.merge_versions(tables, uri, present, list(self.entity.fields), tenants=tenants)
        finally:
            tables.release(present)
        history.begin(uri)
