"""Links from a task to its validation page and to its tables, as buttons on the task's page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink


class ValidationLink(BaseOperatorLink):
    """Opens the run's validation pages."""

    name = "Validation"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The list of the run's validation pages."""
        return f"/spine/validations/{quote(ti_key.run_id, safe='')}?dag={quote(ti_key.dag_id)}"


class TablesLink(BaseOperatorLink):
    """Opens the tables that the task wrote."""

    name = "Tables"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The table page of what the task wrote; of several, their list."""
        tables = tables_of(operator.result)  # Airflow asks right after `execute`, in the same process
        return f"/spine/tables?{'&'.join(f'name={quote(table)}' for table in tables)}" if tables else "/spine/tables"


def tables_of(result: dict[str, Any]) -> list[str]:
    """Names of the tables in a job's result."""
    entities = result.get("entities")
    silver = (
        [str(entity["silver_table"]) for entity in entities.values() if entity.get("silver_table")] if isinstance(entities, dict) else []
    )
    versions = result.get("versions")
    gold = sorted(versions) if isinstance(versions, dict) else []
    return silver + gold
